import numpy as np
import pytest
from astropy.coordinates import SkyCoord

from skygen.sky.footprint import REACH_DEG, groups, near_any, sky_cells


def random_sky(count, seed=0):
    rng = np.random.default_rng(seed)
    return rng.uniform(0, 360, count), np.degrees(np.arcsin(rng.uniform(-1, 1, count)))


def separations(ra, dec):
    places = SkyCoord(ra, dec, unit="deg")
    return places[:, None].separation(places[None]).deg


def test_the_reach_is_a_frames_diagonal():
    assert 1 < REACH_DEG / (np.hypot(2048, 1489) * 0.396 / 3600) < 1.011


def over_the_edges():
    """Random sky, with pairs of places over the edges of RA and Dec."""
    ra, dec = random_sky(300)
    ra[:6], dec[:6] = [359.95, 0.05, 10, 190, 77, 78], [0.1, 0.1, 89.9, 89.9, -89.95, -89.9]
    return ra, dec


@pytest.mark.parametrize("reach_deg", [0.3, 3.0, 6.0])
def test_groups_are_what_near_places_link(reach_deg):
    ra, dec = over_the_edges()
    labels = groups(ra, dec, reach_deg)
    expected = np.arange(len(ra))
    for one, other in np.argwhere(separations(ra, dec) <= reach_deg).tolist():
        expected[expected == expected[other]] = expected[one]

    assert len(set(labels.tolist())) == len(set(expected.tolist())) == len(set(zip(labels, expected, strict=True)))
    assert np.array_equal(labels[:6:2], labels[1:6:2])


def test_repeated_scans_are_linked_wherever_they_are_near():
    rng = np.random.default_rng(0)
    ra, dec = 10 + 6 * rng.random(3000), 3 * rng.random(3000)
    for count in (100, 400, 3000):
        labels, near = groups(ra[:count], dec[:count]), separations(ra[:count], dec[:count]) <= REACH_DEG
        assert not (near & (labels[:, None] != labels[None])).any()
    assert len(set(labels.tolist())) == 1
    assert len(set(groups(ra[:100], dec[:100]).tolist())) > 5


def test_one_place_is_one_group():
    assert groups(np.full(5, 20.0), np.full(5, -3.0)).tolist() == [0] * 5
    assert len(set(groups(np.array([10.0, 10.0]), np.array([0.0, REACH_DEG - 1e-6])).tolist())) == 1
    assert len(set(groups(np.array([10.0, 10.0]), np.array([0.0, REACH_DEG + 1e-6])).tolist())) == 2


def test_near_any_is_what_astropy_finds():
    ra, dec = over_the_edges()
    found = near_any(ra[::2], dec[::2], ra[1::2], dec[1::2], 3.0)

    assert np.array_equal(found, (separations(ra, dec)[::2, 1::2] <= 3.0).any(axis=1))
    assert found[:3].all()
    assert not found.all()
    assert near_any(ra, dec, ra[:0], dec[:0]).tolist() == [False] * len(ra)
    assert near_any(ra[:0], dec[:0], ra, dec).shape == (0,)


@pytest.mark.parametrize("width_deg", [0.5, 2.0, 8.0])
def test_cells_cover_the_sky_and_are_as_wide_as_asked(width_deg):
    ra, dec = random_sky(20000)
    cells = sky_cells(ra, dec, width_deg)
    for cell in np.unique(cells)[:200]:
        inside = SkyCoord(ra[cells == cell], dec[cells == cell], unit="deg")
        assert np.ptp(inside.dec.deg) <= width_deg
        assert (inside[:, None].separation(inside[None]).deg).max() <= 1.6 * width_deg + 0.1
    assert len(np.unique(cells)) <= 1.1 * 41253 / width_deg**2 + 4


def test_a_place_is_in_the_same_cell_whatever_others_there_are():
    ra, dec = random_sky(100)

    assert np.array_equal(sky_cells(ra, dec, 4.0)[:10], sky_cells(ra[:10], dec[:10], 4.0))
    assert sky_cells(np.array([0.0, 359.999]), np.array([-90.0, 90.0]), 4.0).shape == (2,)
