from pathlib import Path

import numpy as np
import pytest
from astropy.wcs import WCS

from benchmarks.registration import source_offsets, whole_pixels
from skygen.sky.frame import read_frame
from skygen.sky.inspection.inspect import inspect_field
from skygen.sky.registration import band_shift, moved, register, sky_position

SURVEY = Path(__file__).parents[3] / "shared" / "sdss"
SCALE_DEG = 0.396 / 3600
X, Y = (corner.ravel().astype(float) for corner in np.meshgrid([0, 1023, 2047], [0, 744, 1488]))


def tangent(crpix=(1025.0, 745.0), angle_deg=90.0):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [336.66, 40.0]
    wcs.wcs.crpix = crpix
    angle = np.radians(angle_deg)
    turn = [[np.cos(angle), np.sin(angle)], [np.sin(angle), -np.cos(angle)]]
    wcs.wcs.cd = SCALE_DEG * np.array(turn)
    wcs.wcs.set()
    return wcs


def test_the_reference_pixel_lies_at_the_reference_position():
    ra, dec = sky_position(tangent(), np.array([1024.0]), np.array([744.0]))  # 0-based

    assert (ra, dec) == (pytest.approx([336.66]), pytest.approx([40.0]))


def test_a_pixel_is_as_large_on_the_sky_as_it_should_be():
    ra, dec = sky_position(tangent(), np.array([1024.0, 1124.0]), np.array([744.0, 744.0]))
    ra_arcsec = (ra[1] - ra[0]) * np.cos(np.radians(40)) * 3600

    assert np.hypot(ra_arcsec, (dec[1] - dec[0]) * 3600) == pytest.approx(39.6, rel=1e-4)


@pytest.mark.parametrize(("dx", "dy"), [(0, 0), (3, 11), (-2, 14), (5, -7)])
@pytest.mark.parametrize("angle_deg", [0.0, 42.0, 90.0])
def test_a_shift_by_whole_pixels_is_found(dx, dy, angle_deg):
    found = band_shift(tangent(angle_deg=angle_deg), tangent((1025.0 + dx, 745.0 + dy), angle_deg), X, Y)

    assert [shift.tolist() for shift in found] == [[dx] * 9, [dy] * 9]


@pytest.mark.parametrize(("offset", "whole"), [(2.4, 2), (2.6, 3), (-2.4, -2), (-2.6, -3)])
def test_a_shift_is_rounded_to_the_nearest_pixel(offset, whole):
    dx, dy = band_shift(tangent(), tangent((1025.0 + offset, 745.0)), X, Y)

    assert dx.tolist() == [whole] * 9
    assert dy.tolist() == [0] * 9


def test_the_way_back_is_the_opposite():
    there, here = tangent((1028.0, 756.0)), tangent()

    assert np.array(band_shift(there, here, X, Y)).tolist() == (-np.array(band_shift(here, there, X, Y))).tolist()


def test_a_turned_band_shifts_each_place_by_its_own():
    turned = 0.2
    dx, dy = band_shift(tangent(angle_deg=90.0), tangent(angle_deg=90.0 + turned), X, Y)
    along, across = X - 1024, Y - 744
    turn = np.radians(turned)

    assert np.array([dx, dy]) == pytest.approx(turn * np.array([-across, along]), abs=0.51)
    assert len(set(dx.tolist())) == 3


@pytest.mark.parametrize(("dx", "dy"), [(0.0, 0.0), (2.25, -0.5)])
def test_a_moved_wcs_has_every_place_so_much_further(dx, dy):
    ra, dec = sky_position(tangent(), X, Y)
    x, y = moved(tangent(), dx, dy).all_world2pix(ra, dec, 0)

    assert x == pytest.approx(X + dx, abs=1e-6)
    assert y == pytest.approx(Y + dy, abs=1e-6)


@pytest.fixture(scope="module")
def survey_offsets():
    """Of matched sources in tiles of the survey's fields, by band: how far they lie from r's [sources, 2], in px."""
    fields = sorted(SURVEY.glob("frame-r-*.fits.bz2"))
    if not fields:
        pytest.skip(f"no frames of the survey in {SURVEY}")
    offsets = {"g": [], "i": []}
    for path in fields:
        frames = {band: read_frame(path.with_name(path.name.replace("-r-", f"-{band}-"))) for band in "gri"}
        frames = register(frames, inspect_field(frames).offset_px)
        for band, found in offsets.items():
            found.append(source_offsets(frames["r"].flux_nmgy, whole_pixels(frames["r"], frames[band])))
    return {band: np.concatenate(found) for band, found in offsets.items()}


@pytest.mark.slow  # reads 24 frames
@pytest.mark.parametrize("band", ["g", "i"])
def test_sources_of_the_survey_lie_on_each_other_but_for_the_rounding(survey_offsets, band):
    offsets = survey_offsets[band]

    assert len(offsets) > 200
    assert (np.abs(offsets.mean(0)) <= 0.1).all()
    assert (np.sqrt((offsets**2).mean(0)) <= 0.35).all()  # rounding alone gives 0.29
