"""Places of sources: planted ones, against sums over all pairs."""

import math

import numpy as np
import pytest

from skygen.measure import source_places
from skygen.measure.source_places import NEAR_PX, places_of, relate, shares

SIDE_PX = 64


def scattered(tiles=200, seed=0, a_tile=2.0):
    """The numbers and places of sources that stand anywhere in tiles."""
    rng = np.random.default_rng(seed)
    number = rng.poisson(a_tile, tiles)
    return number, rng.uniform(-0.5, SIDE_PX - 0.5, (number.sum(), 2))


def value(fake, real):
    (found,) = relate(places_of(*fake), places_of(*real))(np.ones((1, len(fake[0]))), np.ones((1, len(real[0]))))[
        "sources.places"
    ]
    return found


def by_pairs(number, xy_px, weights):
    """The mean kernel over pairs of sources of different tiles, one by one."""
    tile, places = np.repeat(np.arange(len(number)), number), np.rint(np.maximum(xy_px, 0))
    kernel = np.exp(-((places[:, None] - places) ** 2).sum(axis=-1) / (2 * NEAR_PX**2))
    pairs = np.outer(weights[tile], weights[tile]) * (tile[:, None] != tile)
    return (pairs * kernel).sum() / pairs.sum()


def test_a_share_is_the_mean_over_all_pairs_of_different_tiles():
    number, xy_px = scattered(30)
    rows = np.random.default_rng(1).integers(0, 3, (4, 30)).astype(float)

    expected = [by_pairs(number, xy_px, row) for row in rows]
    assert shares(places_of(number, xy_px), rows) == pytest.approx(expected)


def test_a_kernel_of_two_pixels_is_that_share_of_a_tile():
    found = shares(places_of(*scattered(2000)), np.ones((1, 2000)))[0]

    assert found == pytest.approx(2 * math.pi * NEAR_PX**2 / SIDE_PX**2, rel=0.06)  # less at the edges


def test_sources_that_stand_anywhere_are_as_the_sky_whatever_their_number():
    assert value(scattered(1000, 1, a_tile=4.0), scattered(1000, 2, a_tile=1.0)) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_a_lattice_is_found(share):
    number, xy_px = scattered(1000, 1)
    on_lattice = np.arange(len(xy_px)) < share * len(xy_px)
    xy_px[on_lattice] = np.rint((xy_px[on_lattice] - 8) / 16).clip(0, 3) * 16 + 8
    together = share**2 * (1 / 16) / (2 * math.pi * NEAR_PX**2 / SIDE_PX**2)  # of 16 places

    assert value((number, xy_px), scattered(1000, 2)) == pytest.approx(together + 1 - share**2, rel=0.1)


def test_pairs_within_a_tile_do_not_count():
    number, xy_px = scattered(1000, 1, a_tile=1.0)
    twice = 2 * number, np.repeat(xy_px, 2, axis=0)  # every source a close double

    assert value(twice, (number, xy_px)) == pytest.approx(1)


def test_a_repeated_tile_has_its_sources_at_the_same_places():
    repeated = np.full(100, 2), np.tile([[10.0, 20.0], [40.0, 50.0]], (100, 1))

    assert value(repeated, scattered()) > 50


def test_half_samples_of_one_set_are_alike_on_average():
    places = places_of(*scattered(400))
    first = np.random.default_rng(1).permuted(np.tile([1.0, 0.0], (200, 200)), axis=1)

    assert relate(places, places)(first, 1 - first)["sources.places"].mean() == pytest.approx(1, abs=0.02)


def test_without_pairs_the_value_is_a_number():
    none, single = (np.zeros(5, np.int64), np.zeros((0, 2))), (np.array([3, 0, 0]), np.zeros((3, 2)))

    for too_few in (none, single):
        assert value(too_few, scattered()) == 0
        assert value(scattered(), too_few) == value(too_few, too_few) == 1
    assert np.isnan(source_places.shares(places_of(*none), np.ones((2, 5)))).all()
