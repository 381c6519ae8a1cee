"""Galaxies lie in groups, stars do not."""

import numpy as np
import pytest
from scipy.integrate import quad

from benchmarks.clustering import Catalogue, correlation, dispersion
from skygen.process.cells import LEVELS, Boxes, Cells, _cells, _wide_groups
from skygen.process.groups import GALAXIES_ARCMIN2, NEAR, NEAR_PX, WIDE, WIDE_PX, members
from skygen.process.law import GALAXY
from skygen.process.objects import ARCMIN2_A_PX, PIXEL_SCALE_ARCSEC
from skygen.process.philox import keys_of
from skygen.sky.inspection.defects import DEFECT
from tests.process.skies import boxes, process

FIELDS, WIDTH, HEIGHT = 160, 2048, 1489
DENSITY = (GALAXIES_ARCMIN2, GALAXIES_ARCMIN2)
IN_CELLS = ((64, 1.11, 0.03), (128, 1.20, 0.04), (256, 1.45, 0.1))


@pytest.fixture(scope="module")
def cells():
    return Cells(process())


@pytest.fixture(scope="module")
def bright(cells):
    """Objects brighter than r = 20.5 in fields of the survey's size."""
    return cells.catalogue(boxes(FIELDS, WIDTH, HEIGHT, density=DENSITY), margin=0, faintest=20.5)


@pytest.fixture(scope="module")
def fields(bright):
    found = []
    for field in range(FIELDS):
        own = bright.take(bright.box == field)
        x, y, galaxy = own.objects.x.numpy(), own.objects.y.numpy(), own.objects.is_galaxy.numpy()
        found.append(Catalogue(x, y, own.magnitude, galaxy, (HEIGHT, WIDTH), np.zeros(0, DEFECT)))
    return found


def test_groups_leave_the_mean_number_as_it_is(cells, bright):
    """Of each level that has groups, and of all levels together."""
    found = cells.catalogue(boxes(400, 256, 256, density=DENSITY, seed=3), margin=0)
    for catalogue, area, of in ((bright, WIDTH * HEIGHT, 1.0), (found, 256**2, cells.share[:, GALAXY].sum())):
        number = np.bincount(catalogue.box[catalogue.objects.is_galaxy.numpy()])
        error = number.std() / len(number) ** 0.5
        assert abs(number.mean() - DENSITY[GALAXY] * of * area * ARCMIN2_A_PX) < 3 * error
        assert error < 0.04 * number.mean()


@pytest.mark.parametrize(("cell_px", "wanted", "tolerance"), IN_CELLS)
def test_counts_of_galaxies_in_cells_scatter_as_the_survey_s_do(fields, cell_px, wanted, tolerance):
    value, _ = dispersion(fields, "galaxies", cell_px)
    assert abs(value - wanted) < tolerance
    value, error = dispersion(fields, "stars", cell_px)
    assert abs(value - 1) < 3 * error


def test_galaxies_have_more_neighbours_than_chance_has_and_stars_have_not(fields):
    """At 5 to 8 arcsec and at 1 arcmin, about as many as real galaxies brighter than r = 20.5."""
    edges = np.array([5, 8, 39, 65]) / PIXEL_SCALE_ARCSEC
    (near, _, wide), (near_error, _, wide_error), _ = correlation(fields[:30], "galaxies", edges)
    assert 1.0 < near < 2.4
    assert 0.12 < wide < 0.32
    assert near > 3 * near_error
    assert wide > 3 * wide_error
    w, error, _ = correlation(fields[:12], "stars", edges)
    assert (np.abs(w) < 3 * error)[[0, 2]].all()


def test_each_level_has_its_share_of_the_objects(cells):
    """Members of near groups are missing among the others of the same magnitudes."""
    of = np.array([level.share for level in LEVELS])
    limits = np.array([level.bright for level in LEVELS])
    for limit in set(limits):
        np.testing.assert_allclose(of[limits == limit].sum(0), 1)
    assert (of[:, GALAXY] >= 0).all()
    assert cells.share[:, GALAXY].sum() == pytest.approx(process().law.number(25.5)[GALAXY].item())


def test_members_of_a_near_group_lie_around_its_centre_by_the_profile():
    n = 4000
    keys, zero = keys_of(np.full(n, 5, np.uint64), np.arange(n)), np.zeros(n, np.int64)
    some = NEAR.number(keys, zero, zero) == 1
    keys, zero = keys[some], zero[some]
    assert abs(some.mean() - NEAR.mean * np.exp(-NEAR.mean)) < 4 * (NEAR.mean / n) ** 0.5
    at = np.array(NEAR.places(keys, zero, zero, zero))
    assert ((at >= 0) & (at < NEAR.cell_px)).all()
    offsets = np.concatenate(
        [
            np.array(members(keys, zero, zero, zero + 5, zero + number, np.zeros(len(zero), np.uint32))) - at
            for number in range(60)
        ],
        1,
    )
    assert (np.hypot(*offsets) < NEAR_PX).all()
    np.testing.assert_allclose(offsets.mean(1), 0, atol=0.5)
    np.testing.assert_allclose((offsets**2).mean(1), NEAR_PX**2 / 8, rtol=0.06)


def test_galaxies_of_wide_groups_are_as_many_as_the_kernel_says():
    """The variance of the density on a plane is the kernel's mean square over the density of groups."""
    box = boxes(width=30000, height=30000)
    _, crowding = _cells(box, 2, 0, _wide_groups(box, [2], 0))
    of = 1 + (crowding - 1) / LEVELS[2].wide
    inside, _ = quad(lambda share: (3 / (np.pi * WIDE_PX**2)) ** 2 * (1 - share) ** 4, 0, 1)
    wanted = inside * np.pi * WIDE_PX**2 / (WIDE.arcmin2 * ARCMIN2_A_PX)
    assert of.mean() == pytest.approx(1, abs=0.1)
    assert of.var() == pytest.approx(wanted, rel=0.2)


def test_galaxies_do_not_lie_apart_at_the_edges_of_cells(cells):
    """Groups reach over the edges of their cells: pairs across an edge are as many as elsewhere."""
    found = cells.catalogue(boxes(width=8192, height=8192, density=(0, 20)), margin=0, faintest=21)
    near = found.id >> 59 & 7 >= 5
    x = found.objects.x.numpy()[near] + 0.5
    in_cell = np.histogram(x % NEAR.cell_px, bins=16, range=(0, NEAR.cell_px))[0]
    assert len(x) > 5000
    assert in_cell.std() / in_cell.mean() < 0.15


def test_rectangles_that_overlap_show_the_same_groups(cells):
    whole = cells.catalogue(boxes(width=900, height=900, x=-450, y=-450, density=(0.5, 3)), margin=0)
    near = 0
    for x, y, width, height in ((-450, -450, 64, 64), (-300, -300, 650, 250), (100, -300, 33, 601), (386, 386, 64, 64)):
        part = cells.catalogue(boxes(width=width, height=height, x=x, y=y, density=(0.5, 3)), margin=0)
        at = whole.objects.x.numpy() - 450 - x, whole.objects.y.numpy() - 450 - y
        own = (at[0] >= -0.5) & (at[0] < width - 0.5) & (at[1] >= -0.5) & (at[1] < height - 0.5)
        np.testing.assert_array_equal(part.id, whole.id[own])
        np.testing.assert_array_equal(part.objects.x.numpy(), at[0][own])
        near += np.count_nonzero(part.id >> 59 & 7 >= 5)
    assert near > 5


def test_a_brighter_limit_and_a_lower_density_leave_the_groups_in_place(cells):
    many = cells.catalogue(boxes(width=1500, height=1500, density=(1, 2)), margin=0)
    few = cells.catalogue(boxes(width=1500, height=1500, density=(1, 0.7)), margin=0)
    assert set(few.id.tolist()) < set(many.id.tolist())
    bright = cells.catalogue(boxes(width=1500, height=1500, density=(1, 2)), margin=0, faintest=20.5)
    np.testing.assert_array_equal(bright.id, many.id[many.magnitude < 20.5])
    assert np.count_nonzero(bright.id >> 59 & 7 >= 5) > 5


def test_many_boxes_see_what_each_sees_alone(cells):
    keys = keys_of(np.full(6, 11, np.uint64), np.arange(6))
    x, y = np.array([0, 10**9, -(10**9), 555, -7, 64]), np.array([0, -(10**9), 10**9, 1, -900, 64])
    many = Boxes(keys, x, y, 300, 200, np.tile([[1.0, 2.0]], (6, 1)))
    whole = cells.catalogue(many)
    for place in range(6):
        alone = cells.catalogue(many.take(slice(place, place + 1)))
        own = whole.take(whole.box == place)
        np.testing.assert_array_equal(alone.id, own.id)
        np.testing.assert_array_equal(alone.objects.x.numpy(), own.objects.x.numpy())
        np.testing.assert_array_equal(alone.objects.flux_nmgy.numpy(), own.objects.flux_nmgy.numpy())
