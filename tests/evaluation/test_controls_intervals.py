import math

import numpy as np
import pytest

from skygen.evaluation.controls import between_fields, collapse, collapse_scene, controls, evenly
from skygen.evaluation.intervals import interval, resampled
from skygen.gan.view import Conditions
from skygen.sky.conditions import BandConditions
from skygen.sky.noise import sky_noise
from skygen.tiles.store import TileStore


@pytest.fixture
def store(tmp_path, write_store) -> TileStore:
    """Tiles of fields that differ by their run, each of a flux that is its run and a number.

    12 and 9 test tiles of two fields, and 2, 30 and 40 training tiles of three.
    """

    def flux(tiles: dict[int, int]) -> dict[int, np.ndarray]:
        return {run: np.full((count, 1, 8, 8), run, np.float32) + _numbers(count) for run, count in tiles.items()}

    return write_store(tmp_path, "r", {"train": flux({300: 2, 400: 30, 500: 40}), "test": flux({100: 12, 200: 9})})


def _numbers(count: int) -> np.ndarray:
    return np.arange(count, dtype=np.float32)[:, None, None, None]


def test_real_halves_are_disjoint_and_mix_the_fields_alike(store):
    found = controls(store, "test")
    first, second = found.real_a[:, 0, 0, 0], found.real_b[:, 0, 0, 0]

    assert found.real_a.shape == found.real_b.shape == found.collapsed.shape == (10, 1, 8, 8)
    assert not set(first) & set(second)
    assert abs((first >= 200).sum() - (second >= 200).sum()) <= 1
    assert found.fields == [f"{flux // 100 * 100:.0f}-1-1" for flux in second]


def test_between_fields_are_as_many_training_tiles_of_each_field_as_it_has(store):
    drawn = controls(store, "test").between_fields
    runs = drawn[:, 0, 0, 0] // 100 * 100

    assert drawn.shape == (10, 1, 8, 8)
    assert len(np.unique(drawn)) == 10
    assert {run: int((runs == run).sum()) for run in (300, 400, 500)} == {300: 2, 400: 4, 500: 4}


def test_too_few_training_tiles_are_named(store):
    with pytest.raises(ValueError, match=r"holds 72 tiles, but half of a held-out split holds 73; raise train_a_field"):
        between_fields(store.split("train"), 73)


@pytest.mark.parametrize("count", [1, 3, 7, 12])
def test_groups_are_drawn_evenly_and_no_member_twice(count):
    groups = ["b"] * 4 + ["a"] * 4 + ["c"] * 4
    chosen = evenly(groups, count)
    number = [sum(groups[index] == name for index in chosen) for name in "abc"]

    assert len(set(chosen.tolist())) == len(chosen) == sum(number) == count
    assert max(number) - min(number) <= 1


def test_a_repeated_scene_differs_by_its_noise_alone():
    conditions = [BandConditions(sky_noise_nmgy=0.02, nmgy_per_electron=0.001, psf_fwhm_arcsec=1.3)]
    scene = np.zeros((1, 64, 64), np.float32)
    scene[0, 20:24, 20:24] = 5
    tiles = collapse_scene(scene, Conditions.of_fields([conditions] * 30, 0.396))

    assert tiles.shape == (30, 1, 64, 64)
    assert sky_noise(tiles).mean() == pytest.approx(0.02, rel=0.01)
    np.testing.assert_allclose(tiles.mean(axis=0), scene, atol=6 * np.sqrt((0.02**2 + 5e-3) / 30))
    assert len(np.unique(tiles[:, 0, 0, 0])) == 30


def test_controls_are_the_same_at_every_call(store):
    for once, again in zip(controls(store, "test")[:-1], controls(store, "test")[:-1], strict=True):
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
