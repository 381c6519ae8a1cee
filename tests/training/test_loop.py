import io
import json
import logging
import math
import os
import resource
import signal

import pytest
import torch

from skygen.gan.dropout import s_dropout_rate
from skygen.training import loop
from skygen.training.generations import read_newest
from skygen.training.loop import TrainingError, train
from skygen.training.state import new_state, weights_of
from skygen.training.validation import Validation
from tests.training.tiny import CPU, Recorder, content, same, scale

RECIPES = ["gan", "improved", "scene"]


class KilledError(Exception):
    pass


class Killer(Recorder):
    """A log that ends the training at its measurement number `at`, when the state before it is all that is kept."""

    def __init__(self, at):
        super().__init__()
        self._at = at

    def metrics(self, values, images_seen):
        if len(self.measured) + 1 == self._at:
            raise KilledError
        super().metrics(values, images_seen)


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


@pytest.mark.parametrize(("name", "critic_steps"), [("gan", 1), ("improved", 5), ("scene", 1)])
def test_images_seen_count_every_real_tile(run, recipes, name, critic_steps):
    state, log = run(recipes[name])

    assert (state.iteration, state.images_seen) == (4, 4 * 4 * critic_steps)
    assert [images_seen for images_seen, _ in log.measured] == [8 * critic_steps, 16 * critic_steps]


@pytest.mark.parametrize("name", RECIPES)
def test_the_history_is_what_the_log_was_told_but_for_the_clock(run, recipes, name):
    state, log = run(recipes[name])
    told = [{"images_seen": float(seen), **values} for seen, values in log.measured]

    assert all(values.pop("images_per_second") > 0 for values in told)
    assert state.history == told
    for entry in state.history:
        assert {"iteration", "discriminator_loss", "generator_loss", "dropout_rate"} < set(entry)
        assert {"collapsed", "diverged"} < set(entry)
        assert {"validation_score", "validation_pixel_w1", "validation_power_spectrum"} < set(entry)
        assert ("validation_scene_diversity" in entry) == (name == "scene")
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


def scored(monkeypatch, scores, diversity=1.0):
    """Let the validation say these scores, one after another."""
    following = iter(scores)

    def measure(validation, fake):
        return {"validation_score": next(following), "validation_diversity": diversity}

    monkeypatch.setattr(Validation, "measure", measure)


def test_the_best_checkpoint_has_the_least_score(run, recipes, made, monkeypatch):
    kept = []

    class Keeper(Recorder):
        def samples(self, flux_nmgy, images_seen):
            players = made[0].players
            kept.append({**weights_of(made[0].ema_generator), **weights_of(players.discriminator)})

    scored(monkeypatch, [3.0, 1.0, 2.0, 1.0])
    best = run(recipes["gan"], scale(4, 4), log=Keeper())[0].best

    assert (best.iteration, best.images_seen, best.measured["validation_score"]) == (2, 8, 1.0)
    assert same({**best.generator, **best.discriminator}, kept[1])
    assert not same(kept[1], kept[3])


def test_the_last_weights_stay_beside_the_best(run, recipes, monkeypatch):
    scored(monkeypatch, [1.0, 2.0, 1.0])
    state, _ = run(recipes["scene"], scale(2, 2))
    shorter, _ = run(recipes["scene"], scale(1, 1), checkpoint="shorter.pt")

    assert same(state.best.generator, weights_of(shorter.ema_generator))
    assert not same(weights_of(state.ema_generator), state.best.generator)


def test_the_average_of_the_generator_is_what_is_measured_and_kept(run, recipes):
    state, _ = run(recipes["scene"], scale(measurements=1))

    assert same(state.best.generator, weights_of(state.ema_generator))
    assert not same(state.best.generator, weights_of(state.players.generator))


def test_the_same_seed_gives_the_same_weights_and_another_others(run, recipes):
    first, again, other = (
        content(run(recipes["gan"], scale(2, 1), seed, checkpoint=name)[0])
        for seed, name in ((1, "a.pt"), (1, "b.pt"), (2, "c.pt"))
    )

    assert same(first, again)
    assert not same(first, other)


@pytest.mark.parametrize("name", RECIPES)
def test_a_training_that_was_interrupted_goes_on_bit_for_bit(run, recipes, name):
    straight, whole_log = run(recipes[name], checkpoint="straight.pt")
    with pytest.raises(KilledError):
        run(recipes[name], log=Killer(at=2))
    torch.manual_seed(99)  # another process stands elsewhere in its randomness
    resumed, log = run(recipes[name])

    assert [seen for seen, _ in log.measured] == [seen for seen, _ in whole_log.measured][1:]  # the rest alone
    assert same(content(resumed), content(straight))


def test_what_is_resumed_is_the_state_before_the_newest_where_that_is_damaged(run, recipes, tmp_path, caplog):
    straight, _ = run(recipes["scene"], scale(6, 3), checkpoint="straight.pt")
    with pytest.raises(KilledError):
        run(recipes["scene"], scale(6, 3), log=Killer(at=3))
    newest = tmp_path / "state.pt"
    newest.write_bytes(newest.read_bytes()[:-1000])
    resumed, log = run(recipes["scene"], scale(6, 3))

    assert f"{newest} is damaged" in caplog.text
    assert [seen for seen, _ in log.measured] == [16, 24]  # the second again
    assert same(content(resumed), content(straight))


def test_a_training_whose_states_are_all_damaged_begins_anew(run, recipes, tmp_path, caplog):
    straight, _ = run(recipes["gan"])
    for kept in tmp_path.glob("state*.pt"):
        kept.write_bytes(b"damaged")
    again, log = run(recipes["gan"])

    assert len(caplog.messages) == 2
    assert len(log.measured) == 2
    assert same(content(again), content(straight))


def test_a_changed_configuration_never_resumes_an_old_state(run, recipes):
    run(recipes["gan"])
    slower = recipes["gan"].model_copy(update={"generator_lr": 1e-5})

    with pytest.raises(ValueError, match=r"state of another training: recipe\.generator_lr 0\.00025 \(now 1e-05\)"):
        run(slower)


def test_a_finished_training_is_not_trained_again(run, recipes):
    finished, _ = run(recipes["gan"])
    again, log = run(recipes["gan"])

    assert same(content(finished), content(again))
    assert log.measured == []


@pytest.mark.parametrize(("number", "error"), [(signal.SIGTERM, SystemExit), (signal.SIGINT, KeyboardInterrupt)])
def test_a_signal_ends_the_training_after_the_iteration_with_its_state_kept(run, recipes, made, number, error):
    class Signal(Recorder):
        def samples(self, flux_nmgy, images_seen):
            os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    straight, _ = run(recipes["scene"], scale(6, 2), checkpoint="straight.pt")
    with pytest.raises(error):
        run(recipes["scene"], scale(6, 2), log=Signal())
    assert made[1].iteration == 4  # one after the measurement that brought the signal
    assert signal.getsignal(number) is before
    resumed, log = run(recipes["scene"], scale(6, 2))

    assert made[2].iteration == 6
    assert [seen for seen, _ in log.measured] == [24]
    assert same(content(resumed), content(straight))


@pytest.mark.parametrize(("every_s", "kept"), [(0.0, 2), (1000.0, None)])
def test_the_state_is_saved_between_measurements_where_it_is_time(run, recipes, monkeypatch, tmp_path, every_s, kept):
    monkeypatch.setattr(loop, "SAVE_EVERY_S", every_s)
    with pytest.raises(KilledError):
        run(recipes["gan"], scale(3, 1), log=Killer(at=1))
    content = read_newest(tmp_path / "state.pt")

    assert (torch.load(io.BytesIO(content), weights_only=True)["iteration"] if content else None) == kept


def test_a_full_disk_costs_no_earlier_state_and_not_the_training(run, recipes, tmp_path, caplog):
    straight, _ = run(recipes["gan"], checkpoint="straight.pt")
    with pytest.raises(KilledError):
        run(recipes["gan"], log=Killer(at=2))
    kept, former = read_newest(tmp_path / "state.pt"), resource.getrlimit(resource.RLIMIT_FSIZE)
    caplog.set_level(logging.WARNING)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, former[1]))  # the kernel refuses larger files, as a full disk does
    try:
        resumed, _ = run(recipes["gan"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, former)

    assert "iteration 4 is not saved, the training goes on" in caplog.text
    assert str(tmp_path / "state.pt") in caplog.text
    assert read_newest(tmp_path / "state.pt") == kept
    assert same(content(resumed), content(straight))


def test_s_dropout_s_rate_follows_the_iterations(run, recipes):
    state, _ = run(recipes["improved"], scale(3, 3))

    assert [entry["dropout_rate"] for entry in state.history] == [s_dropout_rate(x) for x in range(3)]


@pytest.mark.parametrize("player", ["generator", "discriminator"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_stops_the_training_and_names_what_is_left(
    run, recipes, monkeypatch, tmp_path, player, value
):
    save = loop.save_state

    def poison_afterwards(path, state, configuration):
        save(path, state, configuration)
        with torch.no_grad():
            next(getattr(state.players, player).parameters()).fill_(value)

    monkeypatch.setattr(loop, "save_state", poison_afterwards)
    log = Recorder()
    with pytest.raises(TrainingError, match=r"not finite: .*\. Checkpoints: the best, of iteration 3, is in") as caught:
        run(recipes["gan"], scale(5, 2), log=log)

    assert str(tmp_path / "state.pt") in str(caught.value)
    assert [name for name, _ in log.tags] == ["not_finite"]
    assert log.tags[0][1] in str(caught.value)
    assert len(log.measured) == 1
    monkeypatch.undo()
    with pytest.raises(KilledError):  # what is kept is sound, and goes on
        run(recipes["gan"], scale(5, 2), log=Killer(at=1))


def test_a_loss_that_is_not_finite_names_its_iteration_when_it_is_looked_at(run, recipes, made, monkeypatch):
    seen, update = [], loop.update_generator

    def spoiled(*arguments):
        seen.append(update(*arguments))
        return seen[-1] * (math.nan if len(seen) == 3 else 1)

    monkeypatch.setattr(loop, "update_generator", spoiled)
    with pytest.raises(TrainingError, match=r"losses of iteration 3: discriminator \d.*, generator nan"):
        run(recipes["gan"], scale(8, 1))
    assert made[0].iteration == 8  # no look, no waiting before

    seen.clear()
    monkeypatch.setattr(loop, "LOOK_EVERY", 2)
    with pytest.raises(TrainingError, match="losses of iteration 3"):
        run(recipes["gan"], scale(8, 1))
    assert made[1].iteration == 4


def test_what_is_not_finite_at_once_leaves_no_checkpoint(run, recipes, monkeypatch, tmp_path):
    def spoiled(*arguments):
        state = new_state(*arguments)
        torch.nn.init.constant_(state.players.discriminator.last.weight, math.inf)
        return state

    monkeypatch.setattr(loop, "new_state", spoiled)
    monkeypatch.setattr(loop, "SAVE_EVERY_S", 0.0)
    with pytest.raises(TrainingError, match=r"after iteration 1\. Checkpoints: none was measured yet"):
        run(recipes["gan"])
    assert not list(tmp_path.glob("state*"))


def one_tile(recipes, name, **changes):
    """A recipe under which a training cannot move from the one tile, or scene, that its generator paints."""
    return recipes[name].model_copy(update={"init_std": 1e-3, "generator_lr": 1e-12, "ema_half_life": None, **changes})


@pytest.mark.parametrize("name", ["gan", "scene"])
def test_a_planted_collapse_is_found_reported_once_and_kept_in_the_history(run, recipes, name):
    norm = {"norm": "none"}  # batch norm would blow tiny weights up
    state, log = run(one_tile(recipes, name, on_trouble="warn", **norm), scale(5, 5))

    assert [row["collapsed"] for row in state.history] == [0, 0, 1, 1, 1]
    assert [tag for tag, _ in log.tags if tag == "collapsed"] == ["collapsed"]
    assert [values["collapsed"] for _, values in log.measured] == [0, 0, 1, 1, 1]


def test_fresh_noise_hides_a_collapse_from_all_but_clean_scenes(run, recipes):
    state, log = run(one_tile(recipes, "scene", on_trouble="warn"), scale(3, 3))

    assert min(row["validation_diversity"] for row in state.history) > 0.3
    assert max(row["validation_scene_diversity"] for row in state.history) < 0.01
    assert log.tags[0][1].startswith("validation_scene_diversity is below 0.1")


def test_a_collapse_stops_a_training_whose_recipe_says_so_again_and_again(run, recipes, made):
    recipe = one_tile(recipes, "scene", on_trouble="stop")
    with pytest.raises(TrainingError, match=r"^collapsed: validation_scene_diversity is below 0\.1: .* Checkpoints: "):
        run(recipe, scale(5, 5))
    assert made[0].iteration == 3
    with pytest.raises(TrainingError, match="collapsed"):
        run(recipe, scale(5, 5))
    assert made[1].iteration == 3  # the same command resumes it, and it stays where it was stopped


def test_a_divergence_is_reported_once(run, recipes, monkeypatch):
    scored(monkeypatch, [1.0, 6.0, 7.0, 8.0, 9.0, 2.0])
    state, log = run(recipes["gan"].model_copy(update={"on_trouble": "warn"}), scale(6, 6))

    assert [row["diverged"] for row in state.history] == [0, 0, 0, 1, 1, 0]
    assert log.tags == [("diverged", "validation_score is above 5 times its best, 1: 6, 7, 8 after 8 to 16 images")]
    assert state.best.iteration == 1


def test_trouble_reported_before_a_resume_is_not_reported_again(run, recipes):
    recipe = one_tile(recipes, "scene", on_trouble="warn")
    with pytest.raises(KilledError):
        run(recipe, scale(5, 5), log=Killer(at=5))
    state, log = run(recipe, scale(5, 5))

    assert state.history[-1]["collapsed"] == 1
    assert log.tags == []


def test_a_history_is_json_and_comes_back_equal(run, recipes):
    state, _ = run(recipes["scene"])

    assert json.loads(json.dumps(state.history, allow_nan=False)) == state.history


def test_too_few_validation_tiles_are_refused(tmp_path, noise_store, recipes, write_store):
    tiles = {split: noise_store.split(split).array() for split in ("train", "validation", "test")}
    store = write_store(tmp_path / "few", {**tiles, "validation": tiles["validation"][:1]})

    with pytest.raises(ValueError, match="1 tiles cannot be halved"):
        train(recipes["gan"], scale(), store, 0, CPU, tmp_path / "state.pt", Recorder())
