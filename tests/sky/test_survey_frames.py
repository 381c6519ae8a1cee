"""The survey's own frames: noise, offsets of the bands, photometry."""

import bz2
import io
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from skygen.sky.field import FieldId, frame_name
from skygen.sky.frame import read_frame
from skygen.sky.inspection.detection import detect
from skygen.sky.noise import sky_noise
from skygen.sky.registration import band_shift

SURVEY = Path(__file__).parents[3] / "shared" / "sdss"
SURVEY_FIELDS = [
    FieldId(94, 1, 12),
    FieldId(1035, 6, 17),
    FieldId(1043, 5, 25),
    FieldId(1992, 1, 87),
    FieldId(3184, 2, 169),
    FieldId(3918, 3, 213),
    FieldId(4510, 4, 30),
    FieldId(7264, 3, 111),
]
ASTROMETRY = (
    *("CTYPE1", "CTYPE2", "CUNIT1", "CUNIT2", "CRVAL1", "CRVAL2", "CRPIX1", "CRPIX2"),
    *("CD1_1", "CD1_2", "CD2_1", "CD2_2"),
)


def survey_frame(band, field_id):
    path = SURVEY / frame_name(band, field_id)
    if not path.is_file():
        pytest.skip(f"{path.name} is not beside the project")
    return path


def survey_wcs(band, field_id):
    """The astrometry of a survey frame, of which only the beginning is decoded: a header of 20 blocks at most."""
    with bz2.open(survey_frame(band, field_id)) as stream:
        header = fits.Header.fromfile(io.BytesIO(stream.read(20 * 2880)))
    return WCS(fits.Header([(key, header[key]) for key in ASTROMETRY]))


@pytest.mark.parametrize("field_id", SURVEY_FIELDS[:3], ids=str)
def test_the_surveys_r_frames_have_the_surveys_noise(field_id):
    frame = read_frame(survey_frame("r", field_id))

    assert frame.field_id == field_id
    assert 0.023 <= round(float(sky_noise(frame.flux_nmgy)), 3) <= 0.032
    assert 74 <= round(float(frame.flux_nmgy.max())) <= 292
    assert 0.003 < frame.nmgy_per_count < 0.007


@pytest.mark.parametrize("field_id", SURVEY_FIELDS, ids=str)
def test_the_surveys_bands_are_offset_as_measured(field_id):
    reference = survey_wcs("r", field_id)
    x, y = np.array([1023.0, 0, 2047, 0, 2047]), np.array([744.0, 0, 0, 1488, 1488])  # the centre, then the corners
    g_x, g_y = band_shift(reference, survey_wcs("g", field_id), x, y)
    i_x, i_y = band_shift(reference, survey_wcs("i", field_id), x, y)

    assert 9 <= g_y[0] <= 14
    assert -2 <= g_x[0] <= 6
    assert 2 <= i_y[0] <= 4
    assert max(np.abs(shift - shift[0]).max() for shift in (g_x, g_y, i_x, i_y)) <= 1


def test_stars_have_the_flux_of_the_surveys_catalogue():
    field_id = FieldId(94, 1, 12)
    frame = read_frame(survey_frame("r", field_id))
    with fits.open(SURVEY / "photoObj-000094-1-0012.fits") as hdus:
        catalogue = hdus[1].data
        flux = catalogue["PSFFLUX"][:, 2].astype(float)
        star = (catalogue["OBJC_TYPE"] == 6) & (flux > 20) & (flux < 400)
        x, y = frame.wcs.all_world2pix(catalogue["RA"][star], catalogue["DEC"][star], 0)
        flux = flux[star]
    sources = detect(frame.flux_nmgy, float(sky_noise(frame.flux_nmgy)), 20.0)
    separation = np.hypot(sources["x"][:, None] - x, sources["y"][:, None] - y)
    nearest = separation.argmin(axis=0)
    found = separation.min(axis=0) < 1.0
    ratio = sources["flux_nmgy"][nearest][found] / flux[found]

    assert found.sum() >= 30
    assert found.mean() > 0.9
    assert np.median(ratio) == pytest.approx(1.0, abs=0.03)
    assert np.median(separation.min(axis=0)) < 0.2
