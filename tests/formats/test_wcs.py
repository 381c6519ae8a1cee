"""The invented sky: astropy's positions are ours, turned as the survey's, and the same in whatever rectangle."""

import bz2
import io
import math
from pathlib import Path

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS

from skygen.formats.fits import to_fits
from skygen.formats.wcs import REACH_PX, position_angle, sky_position, tangent_point
from tests.formats.planes import SCALE_ARCSEC, SIDE, origin, tiles

FRAMES = Path(__file__).parents[2].parent / "shared" / "sdss"
FAR = REACH_PX - SIDE + 1  # where the last tile on the sky begins
PLACES = [(0, 0), (-SIDE, 5), (FAR, FAR), (-REACH_PX, FAR), (FAR, -REACH_PX), (-REACH_PX, -REACH_PX), (12345, -678)]


def headers(bands: str, places: list[tuple[int, int]], seed: int = 7, of_tiles: bool = False) -> list[fits.Header]:
    content = to_fits(tiles(len(places), bands), origin(bands, places, seed, of_tiles))
    with fits.open(io.BytesIO(content), checksum=True) as hdus:
        return [hdu.header for hdu in hdus[1:]]


@pytest.mark.parametrize("bands", ["r", "gri"])
@pytest.mark.parametrize("seed", [0, 7, 2**63 - 1])
def test_astropy_puts_a_pixel_where_we_do_and_back(bands: str, seed: int) -> None:
    corners = np.array([[0, 0, SIDE - 1, SIDE - 1, 3.25], [0, SIDE - 1, 0, SIDE - 1, 60.5]])
    for (x, y), header in zip(PLACES, headers(bands, PLACES, seed), strict=True):
        wcs = WCS(header).celestial
        ra, dec = sky_position(seed, corners[0] + x, corners[1] + y, SCALE_ARCSEC)
        assert np.stack(wcs.wcs_world2pix(ra, dec, 0)) == pytest.approx(corners, abs=1e-6)
        theirs = SkyCoord(*wcs.wcs_pix2world(*corners, 0), unit="deg")
        assert theirs.separation(SkyCoord(ra, dec, unit="deg")).arcsec.max() < 1e-6


def test_tiles_are_on_the_sky_up_to_45000_px_and_linear_beyond() -> None:
    just_off = [(FAR + 1, 0), (0, FAR + 1), (-REACH_PX - 1, 0), (0, -REACH_PX - 1), (10**9, -(10**9))]
    assert all(WCS(header).has_celestial for header in headers("gri", PLACES))
    for (x, y), header in zip(just_off, headers("gri", just_off), strict=True):
        assert not [key for key in ("RADESYS", "EQUINOX") if key in header]
        wcs = WCS(header)
        assert not wcs.has_celestial
        assert [str(unit) for unit in wcs.world_axis_units[:2]] == ["arcsec", "arcsec"]
        assert wcs.wcs_pix2world([[0, 0, 0], [9, 4, 2]], 0) == pytest.approx(
            np.array([[SCALE_ARCSEC * x, SCALE_ARCSEC * y, 1], [SCALE_ARCSEC * (x + 9), SCALE_ARCSEC * (y + 4), 3]])
        )


def test_the_third_axis_is_the_band() -> None:
    (header,) = headers("gri", [(0, 0)])
    wcs = WCS(header)
    assert (wcs.naxis, wcs.celestial.naxis, wcs.wcs.ctype[2]) == (3, 2, "BAND")
    assert wcs.wcs_pix2world([[0, 0, plane] for plane in range(3)], 0)[:, 2].tolist() == [1, 2, 3]
    assert WCS(headers("r", [(0, 0)])[0]).naxis == 2


def test_rectangles_that_overlap_agree_about_every_pixel_of_the_plane() -> None:
    one, other = (WCS(header) for header in headers("r", [(100, -300), (130, -320)]))
    here = one.wcs_pix2world([[40, 10], [30, 0], [63, 43]], 0)
    there = other.wcs_pix2world([[10, 30], [0, 20], [33, 63]], 0)
    assert here == pytest.approx(there, abs=1e-12)


def test_the_sky_is_icrs_and_said_to_be_fictitious() -> None:
    (header,) = headers("gri", [(5, 6)])
    assert (header["RADESYS"], header["OBJECT"]) == ("ICRS", "fictitious sky")
    assert [header[key] for key in ("PLANE", "PLANEX", "PLANEY", "SEED")] == ["SEED", 5, 6, 7]
    assert "INDEX" not in header
    (of_tile,) = headers("gri", [(5, 6)], of_tiles=True)
    assert [of_tile[key] for key in ("PLANE", "SEED", "INDEX")] == ["SEED,INDEX", 7, 0]


def test_every_plane_has_a_tangent_point_of_its_own_and_keeps_it() -> None:
    assert tangent_point(7) == (164.703078, -10.08533)
    assert tangent_point((7, 0)) == (241.045586, 51.763927)
    points = np.array([tangent_point(seed) for seed in range(4000)])
    assert len(np.unique(points, axis=0)) == 4000
    assert ((points[:, 0] >= 0) & (points[:, 0] < 360) & (abs(points[:, 1]) <= 60)).all()
    # uniform on the sphere: sin Dec is flat, of mean 0 and variance a third of sin(60°) squared
    sines = np.sin(np.radians(points[:, 1]))
    assert abs(sines.mean()) < 4 * math.sqrt(0.25 / 4000)
    assert sines.var() == pytest.approx(0.25, rel=0.07)
    assert points[:, 0].mean() == pytest.approx(180, abs=7)


@pytest.mark.parametrize("x", [0.0, 44_999.0, -44_999.0])
@pytest.mark.parametrize("angle_deg", [0.0, 17.0, 90.0, 133.0, 179.5])
def test_a_position_angle_is_that_of_a_step_along_it(x: float, angle_deg: float) -> None:
    """astropy's own angle between two ends of a line of 20 px."""
    y, half = 30_000.0, 10 * np.array([math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))])
    ends = [
        SkyCoord(*sky_position(7, [x + sign * half[0]], [y + sign * half[1]], SCALE_ARCSEC), unit="deg")
        for sign in (-1, 1)
    ]
    (expected,) = ends[0].position_angle(ends[1]).deg % 180
    (found,) = position_angle(7, [x], [y], [angle_deg], SCALE_ARCSEC)
    assert abs((found - expected + 90) % 180 - 90) < 0.01
    assert 0 <= found < 180


def test_at_the_tangent_point_the_position_angle_is_the_angle_from_x_to_y() -> None:
    angles = np.array([0.0, 45.0, 90.0, 179.0])
    assert position_angle(7, np.zeros(4), np.zeros(4), angles, SCALE_ARCSEC) == pytest.approx(angles)


def frame_headers() -> list[fits.Header]:
    return [fits.Header.fromstring(bz2.open(path).read(2880 * 5)) for path in FRAMES.glob("frame-r-*.fits.bz2")]


@pytest.mark.skipif(not FRAMES.is_dir(), reason="needs the survey's frames in ../shared/sdss")
def test_the_sky_is_turned_as_in_the_survey_s_frames() -> None:
    """No frame is mirrored against ours, and one of a stripe along the equator has our very matrix, to 0.1 %."""
    keys = ("CD1_1", "CD1_2", "CD2_1", "CD2_2")
    (ours,) = headers("r", [(0, 0)])
    degrees = SCALE_ARCSEC / 3600
    theirs = frame_headers()
    assert theirs
    for header in theirs:
        assert [header[key] for key in ("CTYPE1", "CTYPE2")] == [ours[key] for key in ("CTYPE1", "CTYPE2")]
        determinant = header["CD1_1"] * header["CD2_2"] - header["CD1_2"] * header["CD2_1"]
        assert determinant == pytest.approx(-(degrees**2), rel=2e-3)
    (along_equator,) = (header for header in theirs if header["RUN"] == 94)
    assert [ours[key] for key in keys] == pytest.approx([along_equator[key] for key in keys], abs=1e-3 * degrees)
