import math

import numpy as np
import pytest

from skygen.evaluation.bootstrap import counted_once, draws, interval, resampled
from skygen.evaluation.controls import apart, between_fields, collapse, collapse_scene, evenly, held
from skygen.gan.camera import Conditions
from skygen.sky.conditions import BandConditions
from skygen.sky.noise import sky_noise
from skygen.tiles.store import TileStore


@pytest.fixture
def store(tmp_path, write_store) -> TileStore:
    """Tiles of 8 px of fields that differ by their run, each of a flux that is its run and a number.

    12 and 9 test tiles of two fields, and 2, 30 and 40 training tiles of three.
    """

    def flux(tiles: dict[int, int]) -> dict[int, np.ndarray]:
        return {run: np.full((count, 1, 8, 8), run, np.float32) + _numbers(count) for run, count in tiles.items()}

    return write_store(tmp_path, "r", {"train": flux({300: 2, 400: 30, 500: 40}), "test": flux({100: 12, 200: 9})})


def _numbers(count: int) -> np.ndarray:
    return np.arange(count, dtype=np.float32)[:, None, None, None]


def test_real_halves_are_disjoint_and_mix_the_fields_alike(store):
    halves = held(store, "test", 0)
    tiles = store.split("test")
    first, second = (tiles.batch(half)[:, 0, 0, 0] for half in (halves.first, halves.second))

    assert halves.split == "test"
    assert len(first) == len(second) == 10
    assert not set(first) & set(second)
    assert abs((first >= 200).sum() - (second >= 200).sum()) <= 1
    assert halves.fields == [f"{flux // 100 * 100:.0f}-1-1/left" for flux in second]


def test_the_seed_of_the_evaluation_deals_the_halves_anew(store):
    once, again, other = held(store, "test", 0), held(store, "test", 0), held(store, "test", 1)

    np.testing.assert_array_equal(once.second, again.second)
    assert set(once.second) != set(other.second)


def test_between_fields_are_as_many_training_tiles_of_each_field_as_it_has(store):
    chosen = between_fields(store.split("train"), 10, 0)
    runs = store.split("train").batch(chosen)[:, 0, 0, 0] // 100 * 100

    assert len(set(chosen.tolist())) == 10
    assert {run: int((runs == run).sum()) for run in (300, 400, 500)} == {300: 2, 400: 4, 500: 4}
    assert set(between_fields(store.split("train"), 10, 1)) != set(chosen)


def test_too_few_training_tiles_are_named(store):
    with pytest.raises(ValueError, match=r"holds 72 tiles, but half of a held-out split holds 73; raise train_a_field"):
        between_fields(store.split("train"), 73, 0)


@pytest.mark.parametrize("count", [1, 3, 7, 12])
def test_groups_are_drawn_evenly_and_no_member_twice(count):
    groups = ["b"] * 4 + ["a"] * 4 + ["c"] * 4
    chosen = evenly(groups, count, 2019)
    number = [sum(groups[index] == name for index in chosen) for name in "abc"]

    assert len(set(chosen.tolist())) == len(chosen) == sum(number) == count
    assert max(number) - min(number) <= 1


def test_tiles_that_share_a_pixel_with_a_chosen_one_are_not_apart(store, write_places):
    """Of three fields at the same places, the second: tiles of 8 px at 7 and 8 px from the chosen one, and across."""
    corners = [(0, 0), (500, 0)]
    corners += [
        (100, 100),
        (107, 100),
        (108, 100),
        (93, 107),
        (92, 93),
        (100, 108),
        *[(0, 8 * row) for row in range(24)],
    ]
    corners += [(100, 100)] * 40
    write_places(store.folder, corners)

    shared = np.flatnonzero(~apart(store, np.array([2])))
    np.testing.assert_array_equal(shared, [2, 3, 5])


def test_without_a_chosen_tile_all_are_apart_and_a_chosen_one_is_not(store):
    assert apart(store, np.array([], dtype=np.int64)).all()
    np.testing.assert_array_equal(np.flatnonzero(~apart(store, np.array([0, 50]))), [0, 50])  # they lie on a grid


def test_a_manifest_of_other_tiles_is_refused(store, write_places):
    write_places(store.folder, [(0, 0)] * 71)

    with pytest.raises(ValueError, match=r"manifest.parquet lists 71 training tiles, the shards hold 72"):
        apart(store, np.array([0]))


def test_a_repeated_scene_differs_by_its_noise_alone():
    conditions = [BandConditions(sky_noise_nmgy=0.02, nmgy_per_electron=0.001, psf_fwhm_arcsec=1.3)]
    scene = np.zeros((1, 64, 64), np.float32)
    scene[0, 20:24, 20:24] = 5
    tiles = collapse_scene(scene, Conditions.of_fields([conditions] * 600, 0.396), 0)  # more than a slice of them

    assert tiles.shape == (600, 1, 64, 64)
    assert sky_noise(tiles).mean() == pytest.approx(0.02, rel=0.01)
    np.testing.assert_allclose(tiles.mean(axis=0), scene, atol=6 * np.sqrt((0.02**2 + 5e-3) / 600))
    assert len(np.unique(tiles[:, 0, 0, 0])) == 600


def test_the_collapsed_control_is_one_tile_that_is_stored_once():
    tile = np.arange(12, dtype=np.float32).reshape(3, 2, 2)
    tiles = collapse(tile, 1000)

    assert tiles.shape == (1000, 3, 2, 2)
    assert (tiles == tile).all()
    assert np.shares_memory(tiles[999], tile)


def test_every_resampling_draws_as_many_tiles_as_there_are():
    weights = resampled(50, 300, np.random.default_rng(0))

    assert weights.shape == (300, 50)
    assert (weights.sum(axis=1) == 50).all()
    assert weights.mean(axis=0) == pytest.approx(1, abs=0.3)
    assert (weights == 0).mean() == pytest.approx(math.exp(-1), abs=0.02)  # the bootstrap's share of tiles left out


def test_the_first_row_of_the_draws_counts_every_tile_once_and_both_sets_have_their_own():
    fake, real = draws(50, 300, (1, 2))

    assert fake.shape == real.shape == (301, 50)
    np.testing.assert_array_equal([fake[0], real[0]], np.concatenate(counted_once(50)))
    assert (fake[1:] != real[1:]).any(axis=1).all()
    np.testing.assert_array_equal(draws(50, 300, (1, 2))[1], real)
    assert (draws(50, 300, (1, 3))[1][1:] != real[1:]).any()


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
    low, high = interval(0.01, np.abs(np.random.default_rng(0).normal(0.05, 0.02, 1000)))

    assert 0 == low < 0.01 < high < 0.055


def test_a_share_has_an_interval_of_shares_though_resampling_makes_it_smaller():
    low, high = interval(1.0, np.minimum(1, np.random.default_rng(0).normal(0.95, 0.05, 1000)))

    assert 0.85 < low < 0.95
    assert high == 1


def test_what_may_be_negative_has_an_interval_below_0():
    low, high = interval(-0.1, np.random.default_rng(0).normal(-0.1, 0.2, 4000))

    assert low == pytest.approx(-0.492, abs=0.03)
    assert high == pytest.approx(0.292, abs=0.03)


def test_a_constant_has_no_width():
    assert interval(0.3, np.full(100, 0.3)) == (0.3, 0.3)
