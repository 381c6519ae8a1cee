import json

import numpy as np
import pytest
import torch

from skygen.evaluation.control_values import SplitControls
from skygen.evaluation.discriminator import logits_of
from skygen.evaluation.halvings import halvings
from skygen.evaluation.scoring import CONTROLS, describe, entries, relate, rounded, with_accuracy
from skygen.gan.networks import Discriminator
from skygen.measure import discriminator
from skygen.measure.accuracy import PARTS
from skygen.measure.metric import Given, Measure
from skygen.measure.table import MEANINGS, measures_of
from skygen.sky.stretch import Stretch

TILES, SIZE = 24, 32
NO_CONTROLS = SplitControls(tiles=TILES, fields=1, repeated=0, values={}, real_real={}, matched={})


@pytest.fixture(scope="module")
def real(sky) -> np.ndarray:
    return sky(1, TILES, SIZE)


def score(fake, real, measures, count=20):
    """The flat section of metrics.json for these tiles."""
    described = (describe(tiles, measures) for tiles in (fake, real))
    found = relate(*described, measures, halvings([0] * len(fake), count, (0,)))
    return dict(entries(NO_CONTROLS.section(found)))


def mean_of(key: str, calls: list[int]) -> Measure:
    """A measure that is the generated tiles' mean flux, and counts how often it is asked to describe."""

    def describe_mean(tiles):
        calls.append(len(tiles))
        return tiles.mean(axis=(1, 2, 3))

    def relate_means(fake, _):
        return lambda ours, _: {key: ours @ fake / ours.sum(axis=1)}

    return Measure((key,), describe_mean, relate_means)


def test_pure_noise_has_no_sources_and_the_worst_values_in_plain_json(real):
    noise = np.random.default_rng(7).normal(0, 0.025, real.shape).astype(np.float32)
    found = score(noise, real, measures_of(Given("r")))

    assert found["sources.per_tile"]["value"] == 0
    assert found["sources.magnitude"]["value"] == 16
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_sources_twice_as_bright_are_found_by_magnitude_and_not_by_number(real):
    found = score(2 * real, real, measures_of(Given("r")), 50)

    low, high = found["sources.magnitude"]["interval"]
    assert low > 0.1
    assert low < 2.5 * np.log10(2) < high
    assert found["sources.per_tile"]["value"] == pytest.approx(1, abs=0.15)


def test_every_value_lies_in_its_interval_and_the_keys_are_in_the_order_of_the_table(sky, real):
    found = score(sky(2, TILES, SIZE), real, measures_of(Given("r")), 50)

    assert list(found) == [key for key in MEANINGS if key in found]
    for key, metric in found.items():
        assert list(metric) == ["value", "interval"]  # there are no controls here
        assert metric["interval"][0] <= metric["value"] <= metric["interval"][1], key


def test_the_value_is_the_mean_of_the_rows_and_the_interval_their_middle():
    metric = NO_CONTROLS.section({"frechet": np.linspace(1, 3, 1001)})["frechet"]

    assert metric == {"value": 2, "interval": pytest.approx([1.05, 2.95])}


def test_groups_nest_and_come_apart_again_with_their_controls_and_what_they_say():
    keys = ("sources.number", "sources.g_r", "frechet", "recall")
    controls = SplitControls(
        tiles=2,
        fields=1,
        repeated=0,
        values={key: dict(zip(CONTROLS, (1.0, 2.0, 3.0, 4.0), strict=True)) for key in keys},
        real_real={key: [1.0] * 3 for key in keys},
        matched={key: [2.0] * 3 for key in keys if key != "recall"},
    )
    nested = controls.section({key: np.full(3, 3.0) for key in keys})
    said = {key: [metric[name] for name in ("excess", "exceeds", *CONTROLS)] for key, metric in entries(nested)}

    assert set(nested) == {"frechet", "recall", "sources"}
    assert set(nested["sources"]) == {"number", "g_r"}
    assert said == {
        "sources.number": [4.0, True, 1, 2, 3, 4],  # (9 - 1) / 2
        "sources.g_r": [4.0, True, 1, 2, 3, 4],
        "frechet": [1.0, True, 1, 2, 3, 4],  # (3 - 1) / 2, a square already
        "recall": [None, False, 1, 2, 3, 4],
    }


def test_a_description_that_measures_share_is_made_once(real):
    calls: list[int] = []
    first = mean_of("frechet", calls)
    second = Measure(("kernel",), first.describe, first.relate)
    described = describe(real, [first, second])

    once = np.ones((1, TILES))
    assert calls == [TILES]
    np.testing.assert_allclose(relate(described, described, [first], (once, once))["frechet"], real.mean(), rtol=1e-5)


def test_values_are_written_to_six_digits_in_which_threads_cannot_matter():
    assert rounded(1 / 3) == 0.333333
    assert rounded(123456789.123) == 123457000
    assert rounded(-1e-12 / 3) == -3.33333e-13


def test_accuracy_is_beside_what_real_tiles_get_in_the_same_halving_where_a_share_may_exceed_1():
    found = {"precision": [0.4, 0.8, 0.9], "recall": [0.6, 0.5, 0.9], "coverage": [0.9, 0.3, 0.9]}
    real_real = {"precision": [0.8, 0.8, 0.6], "recall": [0.6, 0.5, 0.6], "coverage": [0.6, 0.6, 0.6]}

    values = with_accuracy(arrays(found), arrays(real_real))["accuracy"]
    np.testing.assert_allclose(values, [3 / (1 / 0.5 + 1 + 1 / 1.5), 3 / (1 + 1 + 1 / 0.5), 1.5])


def test_a_perfect_generator_has_1_in_the_interval_of_its_accuracy_and_no_value_above():
    shares = np.random.default_rng(0).normal(0.9, 0.03, (2 * len(PARTS), 201))
    found, real = (dict(zip(PARTS, rows, strict=True)) for rows in np.split(shares, 2))
    metric = NO_CONTROLS.section({"accuracy": with_accuracy(found, real)["accuracy"] + 0.01})["accuracy"]

    assert metric["value"] == 1
    assert 0.9 < metric["interval"][0] < 0.98
    assert metric["interval"][1] == 1


def arrays(values):
    return {key: np.array(of_key) for key, of_key in values.items()}


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_tiles_that_are_not_finite_are_refused(real, bad):
    fake = real.copy()
    fake[3, 0, 4, 4] = bad

    with pytest.raises(ValueError, match="NaN or infinity"):
        describe(fake, measures_of(Given("r")))


def test_a_value_that_is_not_finite_names_its_metric():
    with pytest.raises(ValueError, match="kernel is not a finite number"):
        NO_CONTROLS.section({"kernel": np.array([1.0, np.nan])})


def test_a_discriminator_that_knows_the_mean_flux_is_always_right(real):
    row = discriminator.measure(lambda tiles: 0.5 - tiles.mean(axis=(1, 2, 3)))
    metric = score(real + 1, real, [row])["discriminator_accuracy"]

    assert metric["value"] == 1
    assert metric["interval"] == [1, 1]


def test_a_judge_stretches_drops_nothing_and_ignores_the_batch(real):
    torch.manual_seed(0)
    stretch, discriminator = Stretch(0.2, 100.0), Discriminator(32, 1, 4, "batch", 0.2)
    logits = logits_of(discriminator, stretch, torch.device("cpu"))

    many = logits(np.concatenate([real] * 3))

    assert many.shape == (3 * TILES,)
    np.testing.assert_allclose(many[:TILES], logits(real), atol=1e-6)
    with torch.inference_mode():
        expected = discriminator(torch.from_numpy(stretch.stretch(real)), 0.0)
    np.testing.assert_allclose(many[:TILES], expected, atol=1e-6)
