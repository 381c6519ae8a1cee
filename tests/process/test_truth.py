"""The truth of a rectangle, measured on the light that is drawn."""

import numpy as np
import pytest
import torch

from skygen.process.light import Canvas
from skygen.process.plane import Plane
from skygen.process.truth import (
    BLENDED,
    CENTRE_OUTSIDE,
    SATURATED,
    STRUCTURED,
    TRUNCATED,
    columns,
    truth_of,
)
from skygen.process.view import Under, View, variance
from tests.process.skies import boxes, conditions, process

BANDS = ("g", "r", "i")


@pytest.fixture(scope="module")
def plane():
    return Plane(process(background=0.001), 11, conditions())


@pytest.fixture(scope="module")
def view():
    return View(process(), BANDS)


def _light(truth, pixels):
    """The sum of the clean scene [bands] that a truth tells of."""
    inside = np.array([truth.rows[f"flux_inside_{band}_nmgy"].sum() for band in BANDS])
    return inside + truth.left_out_nmgy - truth.background_nmgy * pixels


@pytest.mark.parametrize("min_snr", [0.0, 3.0, 50.0])
@pytest.mark.parametrize("rectangle", [(0, 0, 64, 64), (-77, 12, 128, 128), (500, -300, 301, 177), (5, 5, 1, 1)])
def test_flux_inside_and_light_left_out_add_up_to_the_clean_scene(plane, rectangle, min_snr):
    scene, truth = plane.scene(*rectangle), plane.truth(*rectangle, min_snr=min_snr)
    light = scene.sum((1, 2), dtype=np.float64) + truth.background_nmgy * scene[0].size
    np.testing.assert_allclose(_light(truth, scene[0].size) + truth.background_nmgy * scene[0].size, light, rtol=1e-4)
    best = np.max([truth.rows[f"snr_{band}"] for band in BANDS], 0, initial=0)
    assert (best >= min_snr).all()


def test_a_frame_with_its_truth_is_rectangle_and_truth(plane):
    drawn, truth = plane.observed(30, 40, 200, 100, min_snr=2.0)
    np.testing.assert_array_equal(drawn, plane.rectangle(30, 40, 200, 100))
    alone = plane.truth(30, 40, 200, 100, min_snr=2.0)
    np.testing.assert_array_equal(truth.rows, alone.rows)
    np.testing.assert_array_equal(truth.left_out_nmgy, alone.left_out_nmgy)


def test_overlapping_rectangles_know_the_same_objects_by_the_same_ids(plane):
    whole, part = plane.truth(0, 0, 300, 300).rows, plane.truth(100, 50, 80, 90).rows
    own = whole[np.searchsorted(whole["object_id"], part["object_id"][np.isin(part["object_id"], whole["object_id"])])]
    part = part[np.isin(part["object_id"], whole["object_id"])]
    np.testing.assert_array_equal(part["object_id"], own["object_id"])
    np.testing.assert_array_equal(part["x"] + 100, own["x"])
    np.testing.assert_array_equal(part["y"] + 50, own["y"])
    for name in ("class", "flux_r_nmgy", "mag_i", "half_light_radius_arcsec", "axis_ratio", "angle_deg", "bulge_share"):
        np.testing.assert_array_equal(part[name], own[name])
    inside = (whole["x"] > 110) & (whole["x"] < 170) & (whole["y"] > 60) & (whole["y"] < 130)
    assert np.isin(whole["object_id"][inside], part["object_id"]).all()
    assert (part["flux_inside_r_nmgy"] <= own["flux_inside_r_nmgy"] * (1 + 1e-6)).all()


def test_the_columns_are_those_of_the_contract(plane):
    rows = plane.truth(0, 0, 64, 64).rows
    assert rows.dtype == columns(BANDS)
    assert set(rows["class"]) <= {b"star", b"galaxy"}
    assert (np.diff(rows["object_id"]) > 0).all()
    np.testing.assert_allclose(rows["mag_g"], 22.5 - 2.5 * np.log10(rows["flux_g_nmgy"]), rtol=1e-6)
    stars = rows["class"] == b"star"
    assert (rows["half_light_radius_arcsec"][stars] == 0).all()
    assert (rows["half_light_radius_arcsec"][~stars] > 0).all()
    assert ((rows["axis_ratio"] > 0) & (rows["axis_ratio"] <= 1)).all()
    assert ((rows["angle_deg"] >= 0) & (rows["angle_deg"] < 180)).all()


def _without(view, box, under, place):
    """Scenes with object `place` alone, with all objects, and with all others."""
    catalogue = view.cells.catalogue(box)
    alone = np.arange(len(catalogue.box)) == place
    return [view.light(catalogue.take(some), box, under) for some in (alone, np.ones(len(alone), bool), ~alone)]


def test_signal_to_noise_is_that_of_a_matched_filter_on_the_drawn_light(view):
    """The light of an object is what is missing without it; the best linear estimate of its flux has this S/N."""
    box, under = boxes(width=128, height=128), Under.of(conditions())
    truth = truth_of(view, box, under)[0].rows
    catalogue = view.cells.catalogue(box)
    brightest = np.argsort(-truth["snr_r"])[:6]
    for row in truth[brightest]:
        place = int(np.flatnonzero(catalogue.id == row["object_id"])[0])
        alone, whole, _ = _without(view, box, under, place)
        spread = variance(whole, under)
        np.testing.assert_allclose(row["snr_r"], ((alone**2 / spread)[0, 1].sum()) ** 0.5, rtol=1e-4)
        np.testing.assert_allclose(row["flux_inside_r_nmgy"], alone[0, 1].sum(), rtol=1e-4)


def test_objects_that_show_have_rows_and_others_have_none(view):
    box, under = boxes(width=96, height=96), Under.of(conditions())
    catalogue, rows = view.cells.catalogue(box), truth_of(view, box, under)[0].rows
    whole = view.light(catalogue, box, under)
    deviation = np.sqrt(variance(whole, under))[0]
    for place, one in enumerate(catalogue.id):
        alone = view.light(catalogue.take(np.arange(len(catalogue.box)) == place), box, under)[0]
        assert ((alone / deviation).max() > 0.01) == (one in rows["object_id"])


def test_blend_is_the_share_of_neighbours_light(view):
    """Of two equal stars at one place each has one half; a star far from others has none."""
    box, under = boxes(width=64, height=64, density=(0, 0)), Under.of(conditions())
    found = _of_stars(view, [(20.0, 20.0), (20.0, 20.0), (50.0, 40.0)])
    view_of = _Planted(view, found)
    rows = truth_of(view_of, box, under)[0].rows
    np.testing.assert_allclose(rows["blend"], [0.5, 0.5, 0.0], atol=1e-3)
    np.testing.assert_array_equal(rows["flags"] & BLENDED, [BLENDED, BLENDED, 0])


def test_flags_tell_of_edges(view):
    box, under = boxes(width=64, height=64), Under.of(conditions())
    found = _of_stars(view, [(32.0, 32.0), (-2.0, 30.0), (0.0, 10.0), (63.4, 50.0)])
    rows = truth_of(_Planted(view, found), box, under)[0].rows
    cut = TRUNCATED
    np.testing.assert_array_equal(rows["flags"], [0, CENTRE_OUTSIDE | cut, cut, cut])
    np.testing.assert_allclose(rows["flux_inside_r_nmgy"][2] / rows["flux_inside_r_nmgy"][0], 0.55, atol=0.1)


def test_a_star_that_fills_a_pixel_s_well_is_saturated(view):
    """45,000 counts of 0.0049 nmgy in r."""
    well = view.full_well_nmgy[1]
    assert well == pytest.approx(45_000 * 0.004975)
    found = _of_stars(view, [(32.0, 32.0), (10.0, 10.0)])
    same_seeing = Under.of(conditions()._replace(psf_fwhm_px=torch.full((1, 3), 3.4)))
    peak = view.drawn(found, np.arange(2), same_seeing.take([0, 0]), Canvas(2, 3, 64, 64))[:, 1].max((1, 2))
    flux = torch.tensor([1.01, 0.99])[:, None] * 20 * well / torch.from_numpy(peak)[:, None]
    fluxes = torch.cat([0 * flux + 1, flux, 0 * flux + 1], 1).double()
    stars = found._replace(objects=found.objects._replace(flux_nmgy=fluxes))
    rows = truth_of(_Planted(view, stars), boxes(), same_seeing)[0].rows
    np.testing.assert_array_equal(rows["flags"] & SATURATED, [SATURATED, 0])


def test_large_galaxies_have_structure_that_the_model_lacks(view):
    found = _of_stars(view, [(32.0, 32.0), (20.0, 32.0)])
    galaxies = found.objects._replace(
        is_galaxy=torch.tensor([True, True]), radius_px=torch.tensor([12.0, 4.0], dtype=torch.float64)
    )
    rows = truth_of(_Planted(view, found._replace(objects=galaxies)), boxes(), Under.of(conditions()))[0].rows
    np.testing.assert_array_equal(rows["flags"] & STRUCTURED, [STRUCTURED, 0])
    assert set(rows["class"]) == {b"galaxy"}


class _Planted(View):
    """A view of objects that are given."""

    def __init__(self, view, catalogue):
        self.__dict__.update(view.__dict__)
        self.cells = self
        self._given = catalogue

    def catalogue(self, boxes):
        return self._given


def _of_stars(view, places, flux=20.0):
    """A catalogue of equal stars at places in px."""
    found = view.cells.catalogue(boxes(width=600, height=600), margin=False, faintest=22.0)
    stars = found.take(np.flatnonzero(~found.objects.is_galaxy.numpy())[: len(places)])
    x, y = (torch.tensor(part, dtype=torch.float64) for part in zip(*places, strict=True))
    fluxes = torch.full((len(places), 3), flux, dtype=torch.float64)
    return stars._replace(objects=stars.objects._replace(x=x, y=y, flux_nmgy=fluxes))


@pytest.mark.parametrize("min_snr", [-1.0, float("nan"), float("inf")])
def test_a_signal_to_noise_that_is_none_is_refused(plane, min_snr):
    with pytest.raises(ValueError, match=r"min_snr is .*; it must be a number from 0"):
        plane.truth(0, 0, 64, 64, min_snr=min_snr)


def test_an_empty_sky_has_no_rows():
    empty = Plane(process(), 7, conditions(), factors=(0, 0)).truth(0, 0, 64, 64)
    assert len(empty.rows) == 0
    np.testing.assert_array_equal(empty.left_out_nmgy, np.zeros(3))
