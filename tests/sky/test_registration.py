import numpy as np
import pytest
from astropy.wcs import WCS

from skygen.sky.registration import band_shift, sky_position

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
