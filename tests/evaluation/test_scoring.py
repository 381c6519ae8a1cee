import json

import numpy as np
import pytest
import torch

from skygen.evaluation.controls import Controls, collapse
from skygen.evaluation.judge import judge
from skygen.evaluation.scoring import entries, evaluate
from skygen.gan.networks import Discriminator
from skygen.measure.table import discriminator_accuracy, metrics
from skygen.sky.stretch import Stretch

TILES = 24


def sky(seed: int, bands: int = 1) -> np.ndarray:
    """Tiles of noise with one round source of random place and flux each."""
    rng = np.random.default_rng(seed)
    tiles = rng.normal(0, 0.025, (TILES, bands, 32, 32))
    rows, columns = np.mgrid[:32, :32]
    for index, (x, y, flux) in enumerate(rng.uniform((10, 10, 5), (22, 22, 50), (TILES, 3))):
        tiles[index] += flux * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 4.5) / (4.5 * np.pi)
    return tiles.astype(np.float32)


@pytest.fixture(scope="module")
def real() -> Controls:
    real_a = sky(0)
    return Controls(real_a, sky(1), 1.5 * sky(8), collapse(real_a), ["94-1-12"] * TILES)


def test_real_tiles_as_fakes_have_the_real_real_value(real):
    for key, metric in entries(evaluate(real.real_a, real, metrics("r"), 20)):
        assert metric["value"] == metric["real_real"], key


def test_training_tiles_as_fakes_have_the_value_between_fields(real):
    section = evaluate(real.between_fields, real, metrics("r"), 20)

    for key, metric in entries(section):
        assert metric["value"] == metric["between_fields"], key
    assert section["sky_noise"]["between_fields"] == pytest.approx(1.5, rel=0.02)


def test_the_collapsed_control_is_what_a_collapsed_generator_gets(real):
    section = evaluate(real.collapsed, real, metrics("r"), 20)

    for key, metric in entries(section):
        assert metric["value"] == metric["collapsed"], key
    assert section["diversity"]["value"] == 0


def test_pure_noise_has_no_sources_and_the_worst_values_in_plain_json(real):
    noise = np.random.default_rng(7).normal(0, 0.025, real.real_a.shape).astype(np.float32)
    section = evaluate(noise, real, metrics("r"), 20)

    assert section["sources"]["per_tile"]["value"] == 0
    assert section["sources"]["magnitude"]["value"] == 16
    assert json.loads(json.dumps(section, allow_nan=False)) == section


def test_sources_twice_as_bright_are_found_by_magnitude_and_not_by_number(real):
    sources = evaluate(2 * real.real_a, real, metrics("r"), 50)["sources"]

    low, high = sources["magnitude"]["interval"]
    assert low > 0.3
    assert low < 2.5 * np.log10(2) < high
    assert sources["per_tile"]["value"] == pytest.approx(1, abs=0.15)


def test_every_value_lies_in_its_interval_and_the_keys_are_the_contract(real):
    section = evaluate(sky(2), real, metrics("r"), 50)

    assert list(section) == ["pixel_w1", "power_spectrum", "sky_noise", "sources", "diversity"]
    for key, metric in entries(section):
        assert list(metric) == ["value", "interval", "real_real", "between_fields", "collapsed"]
        assert metric["interval"][0] <= metric["value"] <= metric["interval"][1], key


def test_evaluating_twice_gives_the_same_bytes(real):
    assert json.dumps(evaluate(sky(3), real, metrics("r"), 20)) == json.dumps(evaluate(sky(3), real, metrics("r"), 20))


def test_a_group_becomes_keys_with_a_dot():
    metric = {"value": 1.0}

    assert dict(entries({"a": metric, "group": {"b": metric}})) == {"a": metric, "group.b": metric}


def test_tiles_that_are_not_finite_are_refused(real):
    fake = sky(2)
    fake[3, 0, 4, 4] = np.nan

    with pytest.raises(ValueError, match="NaN or infinity"):
        evaluate(fake, real, metrics("r"), 20)


def test_unequal_sample_sizes_are_refused(real):
    with pytest.raises(ValueError, match="must be equal"):
        evaluate(sky(2)[:-1], real, metrics("r"), 20)
    with pytest.raises(ValueError, match=r"between_fields has .* must be equal"):
        evaluate(sky(2), real._replace(between_fields=sky(3)[1:]), metrics("r"), 20)


def test_a_discriminator_that_knows_the_mean_flux_is_always_right(real):
    row = discriminator_accuracy(lambda tiles: 0.5 - tiles.mean(axis=(1, 2, 3)))
    metric = evaluate(real.real_a + 1, real, [row], 20)["discriminator_accuracy"]

    assert metric == {"value": 1.0, "interval": [1.0, 1.0], "real_real": 0.5, "between_fields": 0.5, "collapsed": 0.5}


def test_a_judge_stretches_drops_nothing_and_ignores_the_batch(real):
    torch.manual_seed(0)
    stretch, discriminator = Stretch(0.2, 100.0), Discriminator(32, 1, 4, "batch", 0.2)
    logits = judge(discriminator, stretch, torch.device("cpu"))

    many = logits(np.concatenate([real.real_a] * 3))

    assert many.shape == (3 * TILES,)
    np.testing.assert_allclose(many[:TILES], logits(real.real_a), atol=1e-6)
    with torch.inference_mode():
        expected = discriminator(torch.from_numpy(stretch.stretch(real.real_a)), 0.0)
    np.testing.assert_allclose(many[:TILES], expected, atol=1e-6)
