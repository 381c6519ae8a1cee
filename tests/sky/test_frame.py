import bz2
import pickle

import numpy as np
import pytest
from astropy.io import fits

from skygen.sky.field import FieldId
from skygen.sky.frame import FrameError, read_frame
from tests.sky.frame_files import FLUX, NAME, SHAPE, cause, edited


@pytest.mark.parametrize("suffix", ["", ".bz2"])
def test_a_frame_comes_back_as_it_was_written(written, suffix):
    frame = read_frame(written(NAME + suffix))

    assert (frame.band, frame.field_id) == ("r", FieldId(94, 1, 12))
    assert frame.nmgy_per_count == pytest.approx(0.005)
    assert frame.flux_nmgy.dtype == np.dtype("=f4")
    assert np.array_equal(frame.flux_nmgy, FLUX)
    assert [float(value) for value in frame.wcs.all_pix2world(1024, 150, 0)] == pytest.approx(
        [336.664257327, -0.931558661381]
    )


def test_the_calibration_is_the_median_over_the_columns(written):
    def grade(hdus):
        hdus[1].data[:] = np.linspace(0.0049, 0.0053, SHAPE[1])

    frame = read_frame(edited(written(NMGY=0.0055), grade))
    assert frame.nmgy_per_count == pytest.approx(0.0051)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the file is empty"),
        (b"SIMPLE  = not a frame", "21 bytes, no whole number of FITS blocks"),
        (b"no" * 1440, "it is not FITS, nor bz2 or gzip: it begins with b'nonononon'"),
        (b"SIMPLE  =".ljust(2880), "the header at byte 0 has no end"),
        (b"SIMPLE  =" + bytes(2871), "the header at byte 0 is not FITS"),
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


@pytest.mark.parametrize("blocks", [1, 2, 600, 855])
def test_a_file_cut_short_by_whole_blocks_is_refused(written, blocks):
    path = written()
    path.write_bytes(path.read_bytes()[: -2880 * blocks])

    assert "it is cut short" in cause(path)


def test_what_follows_the_four_hdus_is_refused(written):
    path = written()
    content = path.read_bytes()
    path.write_bytes(content + content[:2880])

    assert "2880 bytes follow its four HDUs" in cause(path)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda raw: raw[:-10],
        lambda raw: raw[: len(raw) // 2],
        lambda raw: raw + b"and more",
        lambda raw: raw[:1000] + bytes([raw[1000] ^ 4]) + raw[1001:],
    ],
    ids=["end", "half", "more", "flip"],
)
def test_a_damaged_bz2_is_refused(written, spoil):
    path = written(NAME + ".bz2")
    path.write_bytes(spoil(path.read_bytes()))

    assert "bz2 cannot decode it" in cause(path)


def test_a_frame_in_several_bz2_streams_is_read(written):
    """As parallel packers write them."""
    path = written(NAME + ".bz2")
    content = bz2.decompress(path.read_bytes())
    path.write_bytes(
        b"".join(bz2.compress(content[start : start + 900_000]) for start in range(0, len(content), 900_000))
    )

    assert np.array_equal(read_frame(path).flux_nmgy, FLUX)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (bz2.compress(bytes(100_000_000)), "it decodes to more than 13000000 bytes"),
        (bz2.compress(b"") * 200_000, "it consists of more than 10000 bz2 streams"),
        (bytes(13_000_001), "it has 13000001 bytes, and no frame more than 13000000"),
    ],
    ids=["bomb", "streams", "size"],
)
def test_a_file_that_would_take_memory_or_time_is_refused(tmp_path, content, words):
    path = tmp_path / (NAME + ".bz2")
    path.write_bytes(content)

    assert words in cause(path)


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
        ("RUN", None, "lacks RUN"),
        ("RERUN", "40", "its header says rerun '40', its table asTrans '301'"),
        ("NMGY", 0.0, "NMGY 0.0: not positive numbers"),
        ("NMGY", -1.0, "NMGY -1.0: not positive numbers"),
        ("NMGY", 0.0066, "NMGY is 0.0066, its calibration by column 0.005"),
        ("NMGY", 0.0039, "NMGY is 0.0039, its calibration by column 0.005"),
        ("NMGY", "some", "NMGY = 'some', which is no number"),
        ("NMGY", None, "lacks NMGY"),
    ],
)
def test_a_header_that_is_not_a_frames_is_refused(written, key, value, words):
    assert words in cause(written(**{key: value}))


def test_a_raw_image_is_told_by_its_name_and_by_its_header(tmp_path, written):
    for path in (tmp_path / "fpC-000094-r1-0012.fit.gz", tmp_path / NAME):
        raw = fits.PrimaryHDU(FLUX.astype(np.int16) + 1100, fits.Header([("SOFTBIAS", 1000), ("FILTER", "r")]))
        raw.writeto(path, output_verify="silentfix")
        words = cause(path)
        assert words.startswith("it is an old fpC image: raw counts on a soft bias of 1000, without calibration; ")
        assert words.endswith("use the calibrated frame-r-000094-1-0012.fits.bz2 of data release 8 or later")


def test_a_refusal_comes_back_from_another_process_as_it_was(written):
    with pytest.raises(FrameError) as caught:
        read_frame(written(BUNIT=None))
    again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301

    assert (str(again), again.cause, again.remedy) == (str(caught.value), caught.value.cause, caught.value.remedy)
