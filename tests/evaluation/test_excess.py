"""How much worse than real tiles, in units of another field: planted distances, and planted skies."""

import numpy as np
import pytest

from skygen.evaluation.controls import held_out
from skygen.evaluation.excess import excess, margin
from skygen.evaluation.scoring import describe, relate
from skygen.measure.metric import Given
from skygen.measure.table import MEANINGS, measures_of

W1 = MEANINGS["pixel_w1"]


def rows(mean, spread=0.0):
    return np.random.default_rng(0).normal(mean, spread, 400)


def test_the_excess_is_0_at_real_real_1_at_the_matched_control_and_grows_with_the_square():
    real_real, matched = rows(1.0), margin(W1, rows(3.0), rows(1.0))

    assert excess(W1, margin(W1, rows(1.0), real_real), matched).value == 0
    assert excess(W1, margin(W1, rows(3.0), real_real), matched).value == pytest.approx(1)
    assert excess(W1, margin(W1, rows(7.0), real_real), matched).value == pytest.approx((49 - 1) / (9 - 1))


def test_what_is_better_than_real_tiles_has_no_excess_and_does_not_exceed_them():
    found = excess(W1, margin(W1, rows(0.5, 0.1), rows(1.0)), margin(W1, rows(3.0), rows(1.0)))

    assert (found.exceeds, found.value, found.interval) == (False, 0, (0, 0))


def test_without_a_control_that_exceeds_real_tiles_only_whether_it_exceeds_them_is_said():
    matched = margin(W1, rows(1.0, 0.5), np.random.default_rng(1).normal(1, 0.5, 400))

    assert excess(W1, margin(W1, rows(5.0), rows(1.0)), matched) == (True, None, None)
    assert excess(W1, matched, matched) == (False, None, None)


@pytest.mark.parametrize(
    ("key", "better", "worse"),
    [
        ("sky_noise", 1.02, 0.9),  # a ratio: either side of 1 is worse
        ("c2st.pixels", 0.5, 0.9),
        ("frechet", 2.0, 9.0),
        ("accuracy", 1.1, 0.5),  # a share, of which more is better
        ("memorised", 0.5, 0.8),
    ],
)
def test_the_margin_is_positive_on_the_worse_side_of_every_kind_of_metric(key, better, worse):
    real_real = rows({"sky_noise": 0.95, "frechet": 4.0, "accuracy": 1.0}.get(key, 0.55))

    assert (margin(MEANINGS[key], rows(better), real_real) < 0).all()
    assert (margin(MEANINGS[key], rows(worse), real_real) > 0).all()


def test_metrics_without_an_excess_have_none():
    found = excess(MEANINGS["recall"], margin(MEANINGS["recall"], rows(0.2), rows(0.9)), np.zeros(1))

    assert found == (True, None, None)


@pytest.fixture(scope="module")
def judged(tmp_path_factory, write_store, sky):
    """A function: the excess by key of tiles beside a field of 160, where other fields have brighter sources."""
    other = {"train": {94: 1.6 * sky(20, 160)}, "validation": {95: sky(21, 8)}, "test": {96: sky(22, 160)}}
    store = write_store(tmp_path_factory.mktemp("excess") / "r64", "r", other)
    measures = measures_of(Given("r"))
    weights = held_out(store, "test", 0, 200).weights
    real = describe(store.split("test").array(), measures)
    real_real = relate(real, real, measures, weights)

    def margins(tiles):
        found = relate(describe(tiles, measures), real, measures, weights)
        return {key: margin(MEANINGS[key], values, real_real[key]) for key, values in found.items()}

    matched = margins(store.split("train").array())
    return lambda tiles: {key: excess(MEANINGS[key], m, matched[key]) for key, m in margins(tiles).items()}


KEYS = ("pixel_w1", "power_spectrum", "sources.magnitude")


def test_a_true_copy_of_the_field_has_an_excess_of_0_within_its_interval(judged, sky):
    found = judged(sky(23, 160))

    for key in KEYS:
        assert found[key].interval[0] == 0, key
        assert found[key].value < 0.2, key
        assert not found[key].exceeds, key


def test_tiles_like_the_training_fields_have_an_excess_of_about_1_and_exceed_real_tiles(judged, sky):
    found = judged(1.6 * sky(24, 160))

    for key in KEYS:
        low, high = found[key].interval
        assert low <= 1 <= high, key
        assert 0.5 < found[key].value < 1.7, key
        assert found[key].exceeds, key
