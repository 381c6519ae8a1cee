"""What a frame's file says, checked: astrometry, pixels, tables."""

import numpy as np
import pytest
from astropy.io import fits

from skygen.sky.frame import read_frame
from tests.sky.frame_files import FLUX, cause, edited, put

ASTROMETRY = (
    *("CTYPE1", "CTYPE2", "CUNIT1", "CUNIT2", "CRVAL1", "CRVAL2", "CRPIX1", "CRPIX2"),
    *("CD1_1", "CD1_2", "CD2_1", "CD2_2"),
)


@pytest.mark.parametrize("key", ASTROMETRY)
def test_a_header_without_its_astrometry_is_refused(written, key):
    assert f"lacks {key}" in cause(written(**{key: None}))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"CTYPE1": "RA---XYZ"}, "its projection is"),
        ({"CTYPE1": "RA---TAN", "CTYPE2": "RA---TAN"}, "its projection is"),
        ({"CRVAL1": "here"}, "CRVAL1 = 'here', which is no number"),
        ({"CRVAL2": -90.1}, "CRVAL2 = -90.1, not -90 to 90"),
        ({"CRPIX1": 1e9}, "CRPIX1 = 1000000000.0, not 0 to 2049"),
        ({"CD1_1": 0.0, "CD1_2": 0.0}, "its pixels are 0 arcsec wide"),
        ({"CD1_2": 1e-3, "CD2_1": 1e-3}, "its pixels are 3.6 arcsec wide"),
        ({"CRVAL1": 336.664257327 + 0.3 / 3600}, "its header and its table asTrans put it 0.3 arcsec apart"),
        ({"CRVAL2": -0.931558661381 - 0.3 / 3600}, "put it 0.3 arcsec apart"),
        ({"CRPIX2": 150.0}, "put it 0.396 arcsec apart"),
        ({"CD1_1": -5.4e-08 + 1e-7}, "put it 0.368 arcsec apart"),
        ({"CD1_2": 1.09953e-04 + 6e-7}, "put it 0.324 arcsec apart"),
        ({"CD2_1": 1.09986e-04 - 2e-7}, "put it 0.737 arcsec apart"),
    ],
    ids=str,
)
def test_astrometry_that_cannot_be_the_surveys_is_refused(written, changes, words):
    assert words in cause(written(**changes))


def test_astrometry_within_half_a_pixel_of_the_surveys_is_taken(written):
    """asTrans and the header's tangent plane are two descriptions of one sky, and the real ones differ a little."""
    assert read_frame(written(CRVAL2=-0.931558661381 + 0.1 / 3600)).wcs.wcs.crval[1] == pytest.approx(-0.9315308836)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda flux: flux[:-1], "shape (300, 2048), not (301, 2048)"),
        (lambda flux: flux.T, "shape (2048, 301), not (301, 2048)"),
        (lambda flux: flux[None], "shape (1, 301, 2048), not (301, 2048)"),
        (lambda flux: put(flux, 7, np.nan), "1 pixels are NaN or infinite"),
        (lambda flux: put(flux, 7, np.inf), "1 pixels are NaN or infinite"),
        (lambda flux: np.full_like(flux, 0.25), "every pixel is 0.25"),
        (lambda flux: flux.astype(np.int16), "BITPIX = 16, not the -32 of floats"),
        (lambda flux: flux.astype(np.float64), "BITPIX = -64, not the -32 of floats"),
        (lambda flux: None, "BUNIT is '', not 'nanomaggy'"),
        (lambda flux: put(flux, slice(0, 720), 0), "360 pixels in a row are zero"),
        (lambda flux: put(flux, 7, 394), "go from -0.1379 to 394 nmgy, beyond what a CCD can hold (-1.25 to 393)"),
        (lambda flux: put(flux, 7, -1.26), "go from -1.26 to 5 nmgy, beyond what a CCD can hold (-1.25 to 393)"),
    ],
)
def test_an_image_that_is_not_a_frames_is_refused(written, spoil, words):
    assert words in cause(written(flux=spoil(FLUX)))


def test_a_pixel_with_more_digits_than_the_survey_keeps_is_refused(written):
    path = written()
    content = bytearray(path.read_bytes())
    content[2880 * 100] ^= 1  # the last byte of a pixel's four lies at a place that 4 divides with the rest 3
    content[2880 * 100 + 3] ^= 1
    path.write_bytes(content)

    assert "the last 14 bits of its pixels are not all zero" in cause(path)


@pytest.mark.parametrize(
    ("number", "edit", "words"),
    [
        (1, lambda data: data.__setitem__(5, np.nan), "not positive numbers"),
        (1, lambda data: data.__setitem__(slice(None), np.inf), "not positive numbers"),
        (1, lambda data: data.__setitem__(5, 0), "varies from 0 to 1 of its median"),
        (1, lambda data: data.__setitem__(5, 0.007), "varies from 1 to 1.4 of its median"),
        (1, lambda data: data.__setitem__(5, -0.005), "varies from -1 to 1 of its median"),
        (2, lambda data: data["ALLSKY"].fill(np.nan), "its table of the sky goes from nan to nan counts"),
        (2, lambda data: data["ALLSKY"].fill(-1), "its table of the sky goes from -1 to -1 counts"),
        (2, lambda data: data["XINTERP"].fill(1), "its table of the sky has places that do not ascend"),
        (3, lambda data: data["FIELD"].fill(13), "asTrans says band, run, camcol, field ('r', 94, 1, 13), its name"),
        (3, lambda data: data["RUN"].fill(95), "field ('r', 95, 1, 12), its name"),
        (3, lambda data: data["CAMCOL"].fill(2), "field ('r', 94, 2, 12), its name"),
        (3, lambda data: data["FILTER"].fill("g"), "field ('g', 94, 1, 12), its name"),
        (3, lambda data: data["DROW0"].fill(1), "asTrans put it 0.396 arcsec apart"),
        (3, lambda data: data["A"].fill(np.nan), "asTrans put it nan arcsec apart"),
    ],
)
def test_a_table_that_is_not_the_frames_is_refused(written, number, edit, words):
    assert words in cause(edited(written(), lambda hdus: edit(hdus[number].data)))


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("TTYPE8", "FELD", "one of its tables lacks FIELD"),
        ("TTYPE8", "RUN", "one of its tables is not laid out as the survey's"),
        ("TFORM8", "E", "asTrans says band"),  # the bits of the field's number as a float
        ("TFORM8", "Q", "column 8 is 'FIELD' of the form 'Q', not the survey's"),
        ("TFORM8", "9999999J", "column 8 is"),
        ("TFIELDS", 1000, "not laid out as the survey's"),
    ],
)
def test_a_table_that_is_not_laid_out_as_the_surveys_is_refused(written, key, value, words):
    path = written()
    content = path.read_bytes()
    card = str(fits.Card(key, value)).encode()
    start = content.rindex(f"{key:8}=".encode())
    path.write_bytes(content[:start] + card + content[start + 80 :])

    assert words in cause(path)
