"""The objects of any part of any plane."""

import numpy as np
import pytest
import torch
from scipy.stats import kstest, poisson

from skygen.process.bright import halo_of
from skygen.process.cells import MAGNITUDES, MOST_PX, REACH_PX, STEPS_A_PX, Cells
from skygen.process.generator import FAINT_NMGY
from skygen.process.law import STAR
from skygen.process.light import reach_px
from skygen.process.marks import COLOUR_MAG, RADIUS_ARCSEC
from skygen.process.objects import ARCMIN2_A_PX, Objects
from skygen.process.view import MOST_FWHM_PX
from skygen.sky.units import PIXEL_SCALE_ARCSEC
from tests.process.skies import boxes, process


@pytest.fixture(scope="module")
def cells():
    return Cells(process())


def _columns(catalogue):
    """A catalogue as one table of numbers, a row an object."""
    objects = [
        part.double().numpy().reshape(len(catalogue.box), part.shape[1] if part.ndim > 1 else 1)
        for part in catalogue.objects
    ]
    return np.concatenate([*objects, catalogue.magnitude[:, None]], 1)


def _of(catalogue, box):
    """Ids and columns of one box."""
    own = catalogue.box == box
    return catalogue.id[own], _columns(catalogue)[own]


def test_a_box_has_the_same_objects_to_the_bit_whatever_is_beside_it(cells):
    many = boxes(60)
    whole = cells.catalogue(many)
    order = np.random.default_rng(1).permutation(60)
    for some in (order, order[:1], order[5:7], order[20:53]):
        found = cells.catalogue(many.take(some))
        for place, box in enumerate(some):
            for one, other in zip(_of(found, place), _of(whole, box), strict=True):
                np.testing.assert_array_equal(one, other)


def test_a_part_of_a_box_has_the_objects_of_the_box(cells):
    whole = cells.catalogue(boxes(width=500, height=300, x=-250, y=77), margin=False)
    part = cells.catalogue(boxes(width=61, height=100, x=-200, y=150), margin=False)
    x, y = whole.objects.x.numpy() - 50, whole.objects.y.numpy() - 73
    own = (x >= -0.5) & (x < 60.5) & (y >= -0.5) & (y < 99.5)
    np.testing.assert_array_equal(part.id, whole.id[own])
    np.testing.assert_array_equal(part.objects.x.numpy(), x[own])
    np.testing.assert_array_equal(part.objects.y.numpy(), y[own])
    np.testing.assert_array_equal(_columns(part)[:, 3:], _columns(whole)[own][:, 3:])


def test_ids_are_distinct_positive_and_ascend(cells):
    found = cells.catalogue(boxes(width=3000, height=3000, x=-1500, y=-1500, density=(3, 3)))
    assert (np.diff(found.id) > 0).all()
    assert found.id[0] > 0


def test_a_lower_density_keeps_the_first_of_the_same_objects(cells):
    before = {}
    for factor in (0.0, 0.25, 0.5, 1.0, 2.0, 4.0):
        found = cells.catalogue(boxes(width=600, height=600, density=(1.5 * factor, 1.2 * factor)))
        now = dict(zip(found.id.tolist(), map(tuple, _columns(found)), strict=True))
        assert before.items() <= now.items()
        assert len(now) > len(before) or factor == 0
        before = now


def test_stars_stay_where_only_galaxies_grow_denser(cells):
    few, many = (cells.catalogue(boxes(width=600, height=600, density=(1.5, more))) for more in (0.0, 3.0))
    stars = ~many.objects.is_galaxy.numpy()
    np.testing.assert_array_equal(few.id, many.id[stars])


def test_numbers_of_stars_are_poisson_of_density_law_and_area(cells):
    found = cells.catalogue(boxes(2000, density=(2.0, 1.5)), margin=False)
    mean = 2.0 * cells.share[:, STAR].sum() * 64**2 * ARCMIN2_A_PX
    number = np.bincount(found.box[~found.objects.is_galaxy.numpy()], minlength=2000)
    assert abs(number.mean() - mean) < 4 * (mean / 2000) ** 0.5
    assert abs(number.var() / mean - 1) < 4 * ((2 + 1 / mean) / 2000) ** 0.5
    assert abs((number == 0).mean() - poisson.pmf(0, mean)) < 0.03


def test_one_object_of_each_class_and_density_is_brighter_than_20_5_on_an_arcmin2(cells):
    found = cells.catalogue(boxes(width=4000, height=4000, density=(2.0, 0.5)), margin=False, faintest=20.5)
    area = 4000**2 * ARCMIN2_A_PX
    for kind, density in ((False, 2.0), (True, 0.5)):
        number = (found.objects.is_galaxy.numpy() == kind).sum()
        scatter = 2.5 if kind else 1.0  # of counts of galaxies in large fields, for their groups
        assert abs(number - density * area) < 4 * scatter * (density * area) ** 0.5


def test_places_and_angles_are_uniform_and_magnitudes_follow_the_law(cells):
    """Places of stars on a plane, and of all objects in cells of 32 px."""
    found = cells.catalogue(boxes(width=1504, height=1504, x=-704, seed=8), margin=False)
    galaxies = found.objects.is_galaxy.numpy()
    for value in (found.objects.x.numpy() + 0.5, found.objects.y.numpy() + 0.5):
        assert kstest(value[~galaxies] / 1504, "uniform").pvalue > 0.001
        assert kstest(value % 32 / 32, "uniform").pvalue > 0.001
    assert kstest(found.objects.angle.numpy() / np.pi, "uniform").pvalue > 0.001
    law = process().law.double()
    for kind in (0, 1):
        magnitude = torch.from_numpy(np.sort(found.magnitude[galaxies == bool(kind)]))
        share = torch.stack([law.number(float(one))[kind] for one in magnitude]) / law.number(25.5)[kind]
        assert kstest(share.detach().numpy(), "uniform").pvalue > 0.001


def test_fainter_objects_can_be_left_out_without_changing_the_others(cells):
    whole = cells.catalogue(boxes(width=400, height=400), margin=False)
    bright = cells.catalogue(boxes(width=400, height=400), margin=False, faintest=21.0)
    own = whole.magnitude < 21
    np.testing.assert_array_equal(bright.id, whole.id[own])
    np.testing.assert_array_equal(_columns(bright), _columns(whole)[own])


@pytest.mark.parametrize("sign", [-1, 1])
def test_places_are_exact_a_billion_px_from_the_origin(cells, sign):
    far = sign * 10**9
    found = cells.catalogue(boxes(width=256, height=256, x=far, y=-far))
    shifted = cells.catalogue(boxes(width=256, height=256, x=far + 100, y=-far))
    both = np.isin(shifted.id, found.id)
    x = dict(zip(found.id.tolist(), found.objects.x.tolist(), strict=True))
    assert [x[one] - 100 for one in shifted.id[both].tolist()] == shifted.objects.x[torch.from_numpy(both)].tolist()
    steps = (found.objects.x.numpy() + 0.5) * STEPS_A_PX
    np.testing.assert_array_equal(steps, np.rint(steps))
    np.testing.assert_array_equal(found.objects.x.float().double().numpy(), found.objects.x.numpy())


@pytest.mark.parametrize("box", [{"x": MOST_PX - 63}, {"y": -MOST_PX - 1}, {"x": 2**40}])
def test_beyond_the_bounds_of_the_plane_nothing_is_drawn(cells, box):
    with pytest.raises(ValueError, match=f"the plane ends at -{MOST_PX} and {MOST_PX} px"):
        cells.catalogue(boxes(**box))
    edge = cells.catalogue(boxes(x=MOST_PX - 64, y=-MOST_PX))
    assert len(edge.box) > 0


@pytest.mark.parametrize("density", [(-1, 1), (1, float("nan")), (float("inf"), 1)])
def test_a_density_that_is_none_is_refused(cells, density):
    with pytest.raises(ValueError, match="densities"):
        cells.catalogue(boxes(density=density))


def test_more_objects_than_ids_are_refused(cells):
    with pytest.raises(ValueError, match="objects in a cell of 32 px, at most 127; lower the density"):
        cells.catalogue(boxes(density=(1, 100)))


@pytest.mark.parametrize("size", [{"width": 0}, {"height": -3}])
def test_a_box_without_pixels_is_refused(cells, size):
    with pytest.raises(ValueError, match="must be 1 or more"):
        cells.catalogue(boxes(**size))


@pytest.mark.parametrize("galaxy", [False, True])
def test_no_object_is_drawn_farther_than_its_magnitude_allows(galaxy):
    """At the ends of all other marks: the widest PSF, the reddest and bluest colours, every radius, disc and bulge."""
    radius = torch.logspace(*(np.log10(limit / PIXEL_SCALE_ARCSEC) for limit in RADIUS_ARCSEC), 40) * galaxy
    bulge = torch.linspace(0, 1, 5) * galaxy
    radius, bulge = (part.flatten() for part in torch.meshgrid(radius, bulge, indexing="ij"))
    n, one = len(radius), torch.ones(len(radius))
    for magnitude, most in zip(MAGNITUDES, REACH_PX[galaxy], strict=True):
        for colours in ((COLOUR_MAG[0], COLOUR_MAG[1]), (COLOUR_MAG[0], COLOUR_MAG[0])):
            in_bands = torch.tensor([magnitude + colours[0], magnitude, magnitude - colours[1]])
            flux = (10 ** (-0.4 * (in_bands - 22.5))).expand(n, 3)
            objects = Objects(one == galaxy, one, one, flux, radius, one, bulge, 0 * one)
            for fwhm in (2.0, MOST_FWHM_PX):
                reached = reach_px(objects, torch.full((3,), fwhm), FAINT_NMGY, halo_of("gri"))
                assert reached.max() <= most, (magnitude, colours, fwhm)
