import bz2
import io
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from skygen.sky.detection import detect
from skygen.sky.field import FieldId, frame_name
from skygen.sky.frame import SHAPE, FrameError, read_frame
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
NAME = "frame-r-000094-1-0012.fits"
ASTROMETRY = (
    *("CTYPE1", "CTYPE2", "CUNIT1", "CUNIT2", "CRVAL1", "CRVAL2", "CRPIX1", "CRPIX2"),
    *("CD1_1", "CD1_2", "CD2_1", "CD2_2"),
)
FLUX = np.zeros(SHAPE, np.float32)
FLUX[700, 300] = 5.0


@pytest.fixture
def written(tmp_path, frame_bytes):
    """A function: the path of a frame's file with `flux`, and what of its header `changes`."""

    def write(name=NAME, flux=FLUX, **changes):
        content = frame_bytes(name, flux, **changes)
        path = tmp_path / name
        path.write_bytes(bz2.compress(content, 1) if path.suffix == ".bz2" else content)
        return path

    return write


def cause(path):
    with pytest.raises(FrameError) as caught:
        read_frame(path)
    name, _, rest = str(caught.value).partition(": ")
    assert name == path.name
    assert "; " in rest  # the remedy follows
    return rest


@pytest.mark.parametrize("suffix", ["", ".bz2"])
def test_a_frame_comes_back_as_it_was_written(written, suffix):
    frame = read_frame(written(NAME + suffix))

    assert (frame.band, frame.field_id, frame.nmgy_per_count) == ("r", FieldId(94, 1, 12), 0.005)
    assert frame.flux_nmgy.dtype == np.dtype("=f4")
    assert np.array_equal(frame.flux_nmgy, FLUX)
    assert [float(value) for value in frame.wcs.all_pix2world(1024, 744, 0)] == pytest.approx(
        [336.664257327, -0.931558661381]
    )


def test_flux_of_doubles_becomes_float32(written):
    assert read_frame(written(flux=FLUX.astype(np.float64))).flux_nmgy.dtype == np.float32


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the file is empty"),
        (b"not a frame at all", "18 bytes, no whole number of FITS blocks"),
        (b"no" * 1440, "astropy cannot read it as FITS"),
    ],
)
def test_a_file_that_is_no_fits_is_refused(tmp_path, content, words):
    path = tmp_path / NAME
    path.write_bytes(content)

    assert words in cause(path)


def test_a_file_cut_short_is_refused(written):
    path = written()
    path.write_bytes(path.read_bytes()[:-100])

    assert "it is cut short" in cause(path)


@pytest.mark.filterwarnings("ignore::astropy.utils.exceptions.AstropyWarning")  # outside tests they are no errors
@pytest.mark.parametrize("blocks", [1, 2, 3000])
def test_a_file_cut_short_by_whole_blocks_is_refused(written, blocks):
    path = written()
    path.write_bytes(path.read_bytes()[: -2880 * blocks])

    assert "astropy cannot read it as FITS" in cause(path)


@pytest.mark.parametrize(
    "spoil", [lambda raw: raw[:-10], lambda raw: b"XX" + raw[2:], lambda raw: raw[: len(raw) // 2]]
)
def test_a_damaged_bz2_is_refused(written, spoil):
    path = written(NAME + ".bz2")
    path.write_bytes(spoil(path.read_bytes()))

    assert "bz2 cannot decode it" in cause(path)


def test_a_file_by_another_name_is_refused(tmp_path):
    path = tmp_path / "sky.fits"
    path.write_bytes(b"x")

    assert "is not a frame's name" in cause(path)


def test_a_missing_file_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match=NAME):
        read_frame(tmp_path / NAME)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("BUNIT", "counts", "BUNIT is 'counts', not 'nanomaggy'"),
        ("BUNIT", None, "BUNIT is ''"),
        ("FILTER", "g", "says band, run, camcol ('g', 94, 1), its name ('r', 94, 1)"),
        ("RUN", 95, "says band, run, camcol ('r', 95, 1), its name ('r', 94, 1)"),
        ("CAMCOL", 2, "('r', 94, 2)"),
        ("RUN", None, "('r', None, 1)"),
        ("NMGY", 0.0, "NMGY is 0.0, not a positive number"),
        ("NMGY", -1.0, "NMGY is -1.0"),
        ("NMGY", "some", "NMGY is 'some'"),
        ("NMGY", None, "NMGY is None"),
    ],
)
def test_a_header_that_is_not_a_frames_is_refused(written, key, value, words):
    assert words in cause(written(**{key: value}))


@pytest.mark.parametrize("key", ASTROMETRY)
def test_a_header_without_its_astrometry_is_refused(written, key):
    assert f"lacks {key}" in cause(written(**{key: None}))


@pytest.mark.parametrize(
    "changes",
    [
        {"CTYPE1": "RA---XYZ"},
        {"CTYPE1": "RA---TAN", "CTYPE2": "RA---TAN"},
        {"CRVAL1": "here"},
        {"CD1_1": 0.0, "CD1_2": 0.0},
        {"CD1_2": 1e-3, "CD2_1": 1e-3},  # nine times a pixel's 0.396 arcsec
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore::astropy.utils.exceptions.AstropyWarning")  # outside tests they are no errors
def test_astrometry_that_cannot_be_the_surveys_is_refused(written, changes):
    assert cause(written(**changes)).endswith("use frames with the survey's astrometry")


@pytest.mark.filterwarnings("ignore::astropy.utils.exceptions.AstropyWarning")  # outside tests they are no errors
def test_one_flipped_bit_in_a_header_reads_or_is_refused(monkeypatch, written):
    monkeypatch.setattr("skygen.sky.frame.SHAPE", (32, 32))
    path = written(flux=FLUX[690:722, 290:322])
    content, rng = path.read_bytes(), np.random.default_rng(0)
    outcomes = {}
    for place in rng.permutation(20 * 80)[:300]:  # the header's cards
        bits = 1 << rng.integers(8)
        path.write_bytes(content[:place] + bytes([content[place] ^ bits]) + content[place + 1 :])
        try:
            read_frame(path)
            outcome = "read"
        except Exception as error:
            outcome = type(error).__name__
        outcomes[outcome] = outcomes.get(outcome, 0) + 1

    assert set(outcomes) == {"read", "FrameError"}, outcomes


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda flux: flux[:-1], "shape (1488, 2048), not (1489, 2048)"),
        (lambda flux: flux.T, "shape (2048, 1489), not (1489, 2048)"),
        (lambda flux: flux[None], "shape (1, 1489, 2048), not (1489, 2048)"),
        (lambda flux: np.where(flux > 0, np.nan, flux), "1 pixels are NaN or infinite"),
        (lambda flux: np.where(flux > 0, np.inf, flux), "1 pixels are NaN or infinite"),
        (lambda flux: np.full_like(flux, 0.25), "every pixel is 0.25"),
        (lambda flux: flux.astype(np.int16), "no image of floats"),
        (lambda flux: None, "no image of floats"),
    ],
)
def test_an_image_that_is_not_a_frames_is_refused(written, spoil, words):
    assert words in cause(written(flux=spoil(FLUX)))


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
