import json
import math

import pytest

from skygen.gan.dropout import s_dropout_rate
from skygen.training.loop import train
from skygen.training.state import weights_of
from tests.training.tiny import CPU, RECIPES, Recorder, content, same, scale, scored


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
        assert ("validation_scene_diversity" in entry) == (name in ("ambient", "scene"))
        assert all(math.isfinite(value) for value in entry.values())


def test_samples_are_flux_within_the_limit(run, recipes):
    _, log = run(recipes["gan"])
    seen, flux_nmgy = log.drawn[-1]

    assert (seen, flux_nmgy.shape) == (16, (16, 3, 64, 64))  # of 17, half of the validation tiles
    assert abs(flux_nmgy).max() <= 100.001


@pytest.mark.parametrize(
    ("iterations", "measurements", "at"),
    [(6, 3, [2, 4, 6]), (3, 9, [1, 2, 3]), (4, 1, [4]), (5, 2, [3, 5]), (7, 4, [2, 4, 6, 7])],
)
def test_measurements_are_spread_over_the_iterations(run, recipes, iterations, measurements, at):
    state, _ = run(recipes["gan"], scale(iterations, measurements))

    assert [entry["iteration"] for entry in state.history] == at


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
    recipe = recipes["scene"].model_copy(update={"lr_decay": None})
    scored(monkeypatch, [1.0, 2.0, 1.0])
    state, _ = run(recipe, scale(2, 2))
    shorter, _ = run(recipe, scale(1, 1), checkpoint="shorter.pt")

    assert same(state.best.generator, weights_of(shorter.ema_generator))
    assert not same(weights_of(state.ema_generator), state.best.generator)


def test_where_learning_rates_fall_the_last_weights_are_the_best_whatever_their_score(run, recipes, monkeypatch):
    scored(monkeypatch, [1.0, 2.0])
    state, _ = run(recipes["scene"], scale(2, 2))

    assert (state.best.iteration, state.best.measured["validation_score"]) == (2, 2.0)
    assert same(state.best.generator, weights_of(state.ema_generator))


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


def test_s_dropout_s_rate_follows_the_iterations(run, recipes):
    state, _ = run(recipes["improved"], scale(3, 3))

    assert [entry["dropout_rate"] for entry in state.history] == [s_dropout_rate(x) for x in range(3)]


def test_a_history_is_json_and_comes_back_equal(run, recipes):
    state, _ = run(recipes["scene"])

    assert json.loads(json.dumps(state.history, allow_nan=False)) == state.history


def test_too_few_validation_tiles_are_refused(tmp_path, noise_store, recipes, write_store):
    tiles = {split: noise_store.split(split).array() for split in ("train", "validation", "test")}
    store = write_store(tmp_path / "few", {**tiles, "validation": tiles["validation"][:1]})

    with pytest.raises(ValueError, match="1 tiles cannot be halved"):
        train(recipes["gan"], scale(), store, 0, CPU, tmp_path / "state.pt", Recorder())
