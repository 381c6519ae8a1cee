import math

import pytest
import torch

from skygen.gan.dropout import s_dropout_rate
from skygen.params import TrainingScale
from skygen.training import loop
from skygen.training.loop import TrainingError, train
from skygen.training.state import new_state

CPU = torch.device("cpu")


class KilledError(Exception):
    pass


class Recorder:
    """A log that keeps what it is told, and kills the training at its measurement number `killed_at`."""

    def __init__(self, killed_at=None):
        self.measured, self.drawn, self._killed_at = [], [], killed_at

    def metrics(self, values, images_seen):
        if len(self.measured) + 1 == self._killed_at:
            raise KilledError
        self.measured.append((images_seen, dict(values)))

    def samples(self, flux_nmgy, images_seen):
        self.drawn.append((images_seen, flux_nmgy))


def scale(iterations=4, measurements=2, batch=4):
    factors = {"dropout_factor": 1.0, "clip_factor": 1.0}
    return TrainingScale(iterations=iterations, batch=batch, width=2, measurements=measurements, **factors)


@pytest.fixture
def run(tmp_path, noise_store):
    """A function: the state and the log of a tiny training on the store of noise."""

    def start(recipe, sizes=None, seed=0, log=None, checkpoint="state.pt"):
        log = log or Recorder()
        return train(recipe, sizes or scale(), noise_store, seed, CPU, tmp_path / checkpoint, log), log

    return start


@pytest.fixture
def made(monkeypatch):
    """The states that trainings began with, as they go on."""
    states = []
    monkeypatch.setattr(loop, "new_state", lambda *arguments: states.append(new_state(*arguments)) or states[-1])
    return states


def weights(state):
    players = state.players
    networks = (part.state_dict() for part in (players.generator, players.discriminator, state.ema_generator))
    return [weight for network in networks for weight in network.values()]


def same(one, other):
    return all(torch.equal(first, second) for first, second in zip(one, other, strict=True))


@pytest.mark.parametrize(("name", "critic_steps"), [("gan", 1), ("improved", 5)])
def test_images_seen_count_every_real_tile(run, recipes, name, critic_steps):
    state, log = run(recipes[name])

    assert (state.iteration, state.images_seen) == (4, 4 * 4 * critic_steps)
    assert [images_seen for images_seen, _ in log.measured] == [8 * critic_steps, 16 * critic_steps]


def test_the_history_is_what_the_log_was_told(run, recipes):
    state, log = run(recipes["gan"])

    assert state.history == [{"images_seen": float(seen), **values} for seen, values in log.measured]
    for entry in state.history:
        assert {"iteration", "discriminator_loss", "generator_loss", "dropout_rate", "images_per_second"} < set(entry)
        assert {"validation_score", "validation_pixel_w1", "validation_power_spectrum"} < set(entry)
        assert all(math.isfinite(value) for value in entry.values())


def test_samples_are_flux_within_the_limit(run, recipes):
    _, log = run(recipes["gan"])
    seen, flux_nmgy = log.drawn[-1]

    assert (seen, flux_nmgy.shape) == (16, (16, 1, 64, 64))  # of 17, half of the validation tiles
    assert abs(flux_nmgy).max() <= 100.001


@pytest.mark.parametrize(
    ("iterations", "measurements", "at"),
    [(6, 3, [2, 4, 6]), (3, 9, [1, 2, 3]), (4, 1, [4]), (5, 2, [3, 5]), (7, 4, [2, 4, 6, 7])],
)
def test_measurements_are_spread_over_the_iterations(run, recipes, iterations, measurements, at):
    state, _ = run(recipes["gan"], scale(iterations, measurements))

    assert [entry["iteration"] for entry in state.history] == at


def test_the_best_checkpoint_has_the_least_score(run, recipes, made, monkeypatch):
    scores, kept = iter([3.0, 1.0, 2.0, 1.0]), []

    class Keeper(Recorder):
        def samples(self, flux_nmgy, images_seen):
            kept.append([weight.clone() for weight in weights(made[0])])

    monkeypatch.setattr(loop._Validation, "measure", lambda self, fake: {"validation_score": next(scores)})
    best = run(recipes["gan"], scale(4, 4), log=Keeper())[0].best

    assert (best.iteration, best.images_seen, best.measured["validation_score"]) == (2, 8, 1.0)
    assert same([*best.generator.values(), *best.discriminator.values(), *best.generator.values()], kept[1])
    assert not same(kept[1], kept[3])


def test_the_same_seed_gives_the_same_weights_and_another_others(run, recipes):
    first, again, other = (
        weights(run(recipes["gan"], scale(2, 1), seed, checkpoint=name)[0])
        for seed, name in ((1, "a.pt"), (1, "b.pt"), (2, "c.pt"))
    )

    assert same(first, again)
    assert not same(first, other)


@pytest.mark.parametrize(("name", "ema_decay"), [("gan", None), ("improved", None), ("gan", 0.9)])
def test_a_training_that_was_killed_goes_on_bit_for_bit(run, recipes, name, ema_decay):
    recipe = recipes[name].model_copy(update={"ema_decay": ema_decay})
    straight, whole_log = run(recipe, checkpoint="straight.pt")
    with pytest.raises(KilledError):
        run(recipe, log=Recorder(killed_at=2))
    torch.manual_seed(99)  # another process stands elsewhere in its randomness
    resumed, log = run(recipe)

    assert [seen for seen, _ in log.measured] == [seen for seen, _ in whole_log.measured][1:]  # the rest alone
    assert same(weights(resumed), weights(straight))
    assert without_speed(resumed.history) == without_speed(straight.history)
    assert resumed.best.measured["validation_score"] == straight.best.measured["validation_score"]
    assert same(resumed.best.generator.values(), straight.best.generator.values())
    assert same(moments(resumed.players), moments(straight.players))


def test_the_average_of_the_generator_is_what_is_measured_and_kept(run, recipes):
    recipe = recipes["gan"].model_copy(update={"ema_decay": 0.9})
    state, _ = run(recipe, scale(measurements=1))

    assert same(state.best.generator.values(), state.ema_generator.state_dict().values())
    assert not same(state.best.generator.values(), state.players.generator.state_dict().values())


def without_speed(history):
    return [{key: value for key, value in entry.items() if key != "images_per_second"} for entry in history]


def moments(players):
    optimisers = players.generator_optimiser, players.discriminator_optimiser
    return [
        value
        for optimiser in optimisers
        for state in optimiser.state_dict()["state"].values()
        for value in state.values()
    ]


def test_a_finished_training_is_not_trained_again(run, recipes):
    finished, _ = run(recipes["gan"])
    again, log = run(recipes["gan"])

    assert same(weights(finished), weights(again))
    assert log.measured == []
    assert again.history == finished.history


def test_s_dropout_s_rate_follows_the_iterations(run, recipes):
    state, _ = run(recipes["improved"], scale(3, 3))

    assert [entry["dropout_rate"] for entry in state.history] == [s_dropout_rate(x) for x in range(3)]


def test_batches_follow_the_images_seen_and_not_the_history_of_draws(run, recipes, monkeypatch):
    seen, draw = [], loop.draw_batch

    def record(dataset, batch, generator):
        tiles = draw(dataset, batch, generator)
        seen.append(tiles)
        return tiles

    monkeypatch.setattr(loop, "draw_batch", record)
    run(recipes["gan"], scale(3, 1))
    run(recipes["gan"], scale(3, 1), checkpoint="again.pt")

    assert len(seen) == 6
    assert all(torch.equal(seen[index], seen[index + 3]) for index in range(3))
    assert not torch.equal(seen[0], seen[1])


@pytest.mark.parametrize("player", ["generator", "discriminator"])
def test_a_loss_that_is_not_finite_stops_the_training_and_names_what_is_left(run, recipes, made, player):
    class Poison(Recorder):
        def samples(self, flux_nmgy, images_seen):
            with torch.no_grad():
                next(getattr(made[0].players, player).parameters()).fill_(math.nan)

    with pytest.raises(TrainingError) as caught:
        run(recipes["gan"], scale(4, 2), log=Poison())

    assert "iteration 3: losses" in str(caught.value)
    assert "nan" in str(caught.value)
    assert "last good checkpoint: iteration 2" in str(caught.value)


def test_a_loss_that_is_not_finite_at_once_leaves_no_checkpoint(run, recipes, monkeypatch, tmp_path):
    def spoiled(*arguments):
        state = new_state(*arguments)
        torch.nn.init.constant_(state.players.discriminator.last.weight, math.inf)
        return state

    monkeypatch.setattr(loop, "new_state", spoiled)
    with pytest.raises(TrainingError, match=r"iteration 1: losses .*last good checkpoint: none"):
        run(recipes["gan"])
    assert not (tmp_path / "state.pt").exists()


def test_too_few_validation_tiles_are_refused(tmp_path, noise_store, recipes, write_store):
    tiles = {split: noise_store.split(split).array() for split in ("train", "validation", "test")}
    store = write_store(tmp_path / "few", {**tiles, "validation": tiles["validation"][:1]})

    with pytest.raises(ValueError, match="1 tiles cannot be halved"):
        train(recipes["gan"], scale(), store, 0, CPU, tmp_path / "state.pt", Recorder())
