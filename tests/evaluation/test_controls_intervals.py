import math

import numpy as np
import pytest

from skygen.evaluation.controls import collapse, controls
from skygen.evaluation.intervals import interval, resampled
from skygen.tiles.store import TileStore


@pytest.fixture
def store(tmp_path, write_store) -> TileStore:
    """Test tiles of two fields that differ by their run, 12 and 9, each of a flux that is its run and a number."""
    numbers = {run: np.arange(run, run + tiles, dtype=np.float32) for run, tiles in ((100, 12), (200, 9))}
    flux = {run: number[:, None, None, None] * np.ones((1, 1, 8, 8), np.float32) for run, number in numbers.items()}
    return write_store(tmp_path, "r", {"test": flux})


def test_real_halves_are_disjoint_and_mix_the_fields_alike(store):
    found = controls(store, "test")
    first, second = found.real_a[:, 0, 0, 0], found.real_b[:, 0, 0, 0]

    assert found.real_a.shape == found.real_b.shape == found.collapsed.shape == (10, 1, 8, 8)
    assert not set(first) & set(second)
    assert abs((first >= 200).sum() - (second >= 200).sum()) <= 1


def test_controls_are_the_same_at_every_call(store):
    for once, again in zip(controls(store, "test"), controls(store, "test"), strict=True):
        np.testing.assert_array_equal(once, again)


def test_the_collapsed_control_is_one_real_tile(store):
    found = controls(store, "test")

    assert set(found.collapsed.ravel()) == {found.real_a[0, 0, 0, 0]}
    assert len(collapse(found.real_a)) == len(found.real_a)


def test_every_resampling_draws_as_many_tiles_as_there_are():
    weights = resampled(50, 300, np.random.default_rng(0))

    assert weights.shape == (300, 50)
    assert (weights.sum(axis=1) == 50).all()
    assert weights.mean(axis=0) == pytest.approx(1, abs=0.3)
    assert (weights == 0).mean() == pytest.approx(math.exp(-1), abs=0.02)  # the bootstrap's share of tiles left out


def test_the_interval_of_a_mean_is_the_textbooks():
    values = np.random.default_rng(1).normal(10, 2, 400)
    means = resampled(400, 2000, np.random.default_rng(2)) @ values / 400

    low, high = interval(values.mean(), means)

    reach = 1.96 * values.std() / math.sqrt(400)
    assert low == pytest.approx(values.mean() - reach, abs=0.1 * reach)
    assert high == pytest.approx(values.mean() + reach, abs=0.1 * reach)


def test_an_interval_covers_the_truth_about_nineteen_times_in_twenty():
    rng, hits = np.random.default_rng(3), 0
    for _ in range(300):
        values = rng.exponential(1, 100)
        low, high = interval(values.mean(), resampled(100, 300, rng) @ values / 100)
        hits += low <= 1 <= high

    assert hits / 300 == pytest.approx(0.94, abs=0.03)


def test_an_interval_holds_its_value_though_resampling_is_biased():
    low, high = interval(0.01, np.random.default_rng(0).normal(0.05, 0.02, 1000))

    assert 0 == low < 0.01 < high < 0.055


def test_a_constant_has_no_width():
    assert interval(0.3, np.full(100, 0.3)) == (0.3, 0.3)
