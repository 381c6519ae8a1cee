"""Fluxes and detections of field 94-1-12 against the survey's own catalogue of it.

Columns and flags: https://data.sdss.org/datamodel/files/BOSS_PHOTOOBJ/RERUN/RUN/CAMCOL/photoObj.html and
https://www.sdss4.org/dr17/algorithms/bitmasks/#RESOLVE_STATUS
"""

from pathlib import Path

import numpy as np
import pytest
import sep
from astropy.io import fits

from skygen.sky.frame import read_frame
from skygen.sky.inspection.detection import detect
from skygen.sky.noise import sky_noise
from skygen.sky.units import PIXEL_SCALE_ARCSEC

FOLDER = Path(__file__).parents[4] / "shared" / "sdss"
CATALOGUE = FOLDER / "photoObj-000094-1-0012.fits"
BANDS = "ugriz"
# The survey prefers another run for this sky, so that none of these is SURVEY_PRIMARY; in its own run each object of a
# field is primary in one field alone.
RUN_PRIMARY = 1 << 0
STAR = 6
RADIUS_PX = 7.43 / PIXEL_SCALE_ARCSEC  # of the aperture to which the survey's PSF fluxes are corrected
ALONE_PX = 30  # from the next object of r < 22

pytestmark = pytest.mark.skipif(not CATALOGUE.is_file(), reason=f"no catalogue at {CATALOGUE}")


@pytest.fixture(scope="module")
def catalogue():
    """The primary, unblended objects of the survey's catalogue."""
    objects = fits.getdata(CATALOGUE)
    return objects[(objects["RESOLVE_STATUS"] & RUN_PRIMARY > 0) & (objects["NCHILD"] == 0)]


@pytest.fixture(scope="module")
def flux_nmgy():
    """A function: the pixels of the field in a band."""
    return lambda band: read_frame(FOLDER / f"frame-{band}-000094-1-0012.fits.bz2").flux_nmgy


def magnitude(flux):
    return 22.5 - 2.5 * np.log10(np.maximum(flux, 1e-3))


def place(objects, band):
    """The catalogue counts from the corner of the first pixel, images from its centre."""
    return (objects[name][:, BANDS.index(band)].astype(float) - 0.5 for name in ("COLC", "ROWC"))


def isolated_stars(objects, band):
    x, y = place(objects, band)
    mag = magnitude(objects["PSFFLUX"][:, BANDS.index(band)])
    apart = np.hypot(x[:, None] - x[mag < 22], y[:, None] - y[mag < 22])
    inside = (x > 50) & (y > 50) & (x < 2048 - 50) & (y < 1489 - 50)
    good = inside & (objects["OBJC_TYPE"] == STAR) & (mag > 16) & (mag < 20) & ((apart < ALONE_PX).sum(1) == 1)
    return x[good], y[good], mag[good]


def local_sky(image, x, y):
    """The median of a ring beyond the aperture, as aperture photometry takes it."""
    rows, columns = np.mgrid[-45:46, -45:46]
    ring = (np.hypot(rows, columns) > 24) & (np.hypot(rows, columns) < 44)
    corners = zip(np.rint(y).astype(int) - 45, np.rint(x).astype(int) - 45, strict=True)
    return np.array([np.median(image[row : row + 91, column : column + 91][ring]) for row, column in corners])


def test_fluxes_in_r_on_the_sky_of_the_frame_are_the_surveys(catalogue, flux_nmgy):
    x, y, mag = isolated_stars(catalogue, "r")
    flux, _, _ = sep.sum_circle(flux_nmgy("r"), x, y, RADIUS_PX)
    offset = magnitude(flux) - mag

    assert len(offset) > 40
    assert abs(np.median(offset)) <= 0.03  # -0.025
    assert 1.4826 * np.median(np.abs(offset - np.median(offset))) < 0.05  # 0.032


@pytest.mark.parametrize(("band", "scatter"), [("g", 0.07), ("r", 0.06), ("i", 0.1)])
def test_fluxes_on_the_local_sky_are_the_surveys_in_every_band(catalogue, flux_nmgy, band, scatter):
    image = flux_nmgy(band)
    x, y, mag = isolated_stars(catalogue, band)
    flux, _, _ = sep.sum_circle(image, x, y, RADIUS_PX)
    offset = magnitude(flux - local_sky(image, x, y) * np.pi * RADIUS_PX**2) - mag

    assert abs(np.median(offset)) <= 0.03  # +0.007, -0.004, +0.006
    assert 1.4826 * np.median(np.abs(offset - np.median(offset))) < scatter


@pytest.mark.parametrize("flux", ["PSFFLUX", "MODELFLUX"])
def test_nearly_all_that_the_survey_sees_brighter_than_21_in_r_is_detected(catalogue, flux_nmgy, flux):
    image = flux_nmgy("r")
    sources = detect(image, float(sky_noise(image)), 5.0)
    x, y = place(catalogue, "r")
    bright = magnitude(catalogue[flux][:, BANDS.index("r")]) < 21
    nearest = np.hypot(x[bright, None] - sources["x"], y[bright, None] - sources["y"]).min(1)

    assert bright.sum() > 200
    assert (nearest < 2).mean() >= 0.95  # 0.988 of 240, 0.979 of 283


def test_places_are_the_surveys(catalogue, flux_nmgy):
    image = flux_nmgy("r")
    x, y, _ = isolated_stars(catalogue, "r")
    sources = detect(image, float(sky_noise(image)), 20.0)
    nearest = np.hypot(x[:, None] - sources["x"], y[:, None] - sources["y"]).argmin(1)

    assert np.median(sources["x"][nearest] - x) == pytest.approx(0, abs=0.05)
    assert np.median(sources["y"][nearest] - y) == pytest.approx(0, abs=0.05)
