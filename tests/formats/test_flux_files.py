"""npy and FITS hold the flux exactly; FITS is valid by the standard's own checksum and says where it comes from."""

import dataclasses
import hashlib
import io
import itertools
import json
import re
import subprocess
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning
from hypothesis import given
from numpy.typing import NDArray

from skygen.formats.checksum import encoded_complement, ones_complement_sum
from skygen.formats.fits import to_fits
from skygen.formats.json_file import to_json
from skygen.formats.npy import to_npy
from skygen.formats.origin import Origin
from tests.programs import program

SHA256 = "0123456789abcdef" * 4


def origin(bands: str = "gri", seed: int = 7) -> Origin:
    return Origin("gri128", "gan", SHA256, seed, "survey", "survey", list(bands), 0.396)


def tiles(count: int, bands: int) -> NDArray[np.float32]:
    return np.random.default_rng(5).normal(size=(count, bands, 6, 8)).astype(np.float32)


def walk(flux: NDArray[np.float32]) -> Origin:
    """Everything an origin can hold, in numbers that FITS writes in different ways."""
    noise = np.random.default_rng(6).uniform(1e-6, 9, size=flux.shape[:2]).astype(np.float32)
    noise[0] = [0, 2e-6, 10]
    return Origin(
        tiles="gri128",
        recipe="scene",
        model_sha256=SHA256,
        seed=2**63 - 1,
        noise=0.05,
        seeing=1.2,
        bands=list("gri"),
        pixel_scale_arcsec=0.396,
        sky_noise_nmgy=noise,
        first=12,
        softening_nmgy=0.02,
        limit_nmgy=100.0,
        towards=0,
        shares=np.linspace(0, 1, len(flux)).tolist(),
    )


@pytest.mark.parametrize("flux", [tiles(3, 3), tiles(2, 1)[:, :, ::-1], tiles(1, 3).astype(">f4"), tiles(1, 1)[:0]])
def test_npy_is_what_numpy_writes(flux: NDArray[np.float32]) -> None:
    stream = io.BytesIO()
    np.save(stream, np.ascontiguousarray(flux, dtype="<f4"))
    assert to_npy(flux) == stream.getvalue()


def test_npy_gives_back_every_bit() -> None:
    flux = tiles(3, 3)
    loaded = np.load(io.BytesIO(to_npy(flux)), allow_pickle=False)
    assert loaded.dtype == np.dtype("<f4")
    assert loaded.tobytes() == flux.tobytes()


@pytest.mark.parametrize(("bands", "shape"), [("r", (6, 8)), ("gri", (3, 6, 8))])
def test_fits_equals_npy_bit_for_bit(bands: str, shape: tuple[int, ...]) -> None:
    flux = tiles(4, len(bands))
    expected = np.load(io.BytesIO(to_npy(flux)))
    with fits.open(io.BytesIO(to_fits(flux, origin(bands))), checksum=True) as hdus:
        assert hdus[0].data is None
        assert [hdu.data.shape for hdu in hdus[1:]] == [shape] * 4
        served = np.stack([hdu.data.astype("<f4").reshape(expected.shape[1:]) for hdu in hdus[1:]])
    assert served.tobytes() == expected.tobytes()


def test_json_gives_back_every_bit() -> None:
    flux = tiles(3, 3)
    content = json.loads(to_json(flux, origin()))
    data = content.pop("data")
    assert np.array(data, dtype=np.float32).tobytes() == flux.tobytes()
    assert content == {
        "tiles": "gri128",
        "seed": 7,
        "bands": ["g", "r", "i"],
        "unit": "nanomaggy",
        "pixel_scale_arcsec": 0.396,
        "noise": "survey",
        "seeing": "survey",
        "model": {"recipe": "gan", "sha256": SHA256},
    }


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_json_refuses_what_it_cannot_hold(value: float) -> None:
    flux = tiles(2, 3)
    flux[1, 2, 3, 4] = value
    with pytest.raises(ValueError, match=r"seed 7 .* not finite"):
        to_json(flux, origin())


def test_header_says_where_a_tile_comes_from() -> None:
    with fits.open(io.BytesIO(to_fits(tiles(2, 3), origin(seed=2**63 - 1)))) as hdus:
        header = hdus[2].header
    expected = {
        "BITPIX": -32,
        "BUNIT": "nanomaggy",
        "BANDS": "g,r,i",
        "PIXSCALE": 0.396,
        "TILES": "gri128",
        "RECIPE": "gan",
        "MODEL": SHA256,
        "SEED": 2**63 - 1,
        "INDEX": 1,
        "NOISE": "survey",
        "SEEING": "survey",
    }
    assert {key: header[key] for key in expected} == expected
    assert not [key for key in header if key.startswith("SKYSIG")]


def test_header_says_the_noise_and_the_seeing_of_a_scene() -> None:
    noise = np.array([[0.01, 0.02, 0.03], [0.04, 0.05, 0.06]], dtype=np.float32)
    scene = dataclasses.replace(origin(), noise=0.05, seeing=1.2, sky_noise_nmgy=noise, sky_level_nmgy=-noise / 50)
    with fits.open(io.BytesIO(to_fits(tiles(2, 3), scene)), checksum=True) as hdus:
        headers = [hdu.header for hdu in hdus[1:]]
    assert [(header["NOISE"], header["SEEING"]) for header in headers] == [(0.05, 1.2)] * 2
    for header, of_tile in zip(headers, noise, strict=True):
        assert [header[f"SKYSIG_{band}"] for band in "GRI"] == pytest.approx(of_tile.tolist())
        assert [header[f"SKYLEV_{band}"] for band in "GRI"] == pytest.approx((-of_tile / 50).tolist(), abs=1e-6)


def test_header_says_the_first_tile_and_the_stretch() -> None:
    scene = dataclasses.replace(origin(), first=5, softening_nmgy=0.02, limit_nmgy=100.0)
    with fits.open(io.BytesIO(to_fits(tiles(2, 3), scene)), checksum=True) as hdus:
        headers = [hdu.header for hdu in hdus[1:]]
    assert [(header["EXTVER"], header["INDEX"]) for header in headers] == [(1, 5), (2, 6)]
    assert {(header["SOFTEN"], header["LIMIT"]) for header in headers} == {(0.02, 100.0)}
    assert not {"TOWARDS", "SHARE"} & set(headers[0])


def test_header_says_how_far_a_walk_has_come() -> None:
    flux = tiles(4, 3)
    with fits.open(io.BytesIO(to_fits(flux, walk(flux))), checksum=True) as hdus:
        headers = [hdu.header for hdu in hdus[1:]]
    assert {(header["SEED"], header["TOWARDS"], header["INDEX"]) for header in headers} == {(2**63 - 1, 0, 12)}
    assert [header["SHARE"] for header in headers] == pytest.approx([0, 1 / 3, 2 / 3, 1], abs=1e-9)


@pytest.mark.parametrize("shares", [None, [0.5]])
def test_a_walk_has_a_share_a_tile(shares: list[float] | None) -> None:
    with pytest.raises(ValueError, match="towards seed 8 of 2 tiles has shares"):
        to_fits(tiles(2, 3), dataclasses.replace(origin(), towards=8, shares=shares))


def test_fits_is_what_astropy_writes() -> None:
    """Byte by byte, header and checksums, from the header's own cards: nothing that is filled in differs."""
    flux = tiles(5, 3)
    content = to_fits(flux, walk(flux))
    stream = io.BytesIO()
    with fits.open(io.BytesIO(content)) as hdus:
        again = [fits.PrimaryHDU(), *(fits.ImageHDU(tile) for tile in flux)]
        for old, new in zip(hdus, again, strict=True):
            for card in old.header.cards:
                new.header.set(card.keyword, card.value, card.comment)
            new.add_datasum(when="data unit checksum")
            new.add_checksum(when="HDU checksum", override_datasum=True)
        fits.HDUList(again).writeto(stream)
    assert content == stream.getvalue()


def test_files_of_tiles_without_a_plane_are_as_in_the_first_release() -> None:
    flux = tiles(5, 3)
    contents = to_fits(flux, walk(flux)), to_fits(tiles(3, 1), origin("r"))
    assert [hashlib.sha256(content).hexdigest()[:16] for content in contents] == [
        "8d37258546c4dd4e",
        "a28a3e1f178b6e97",
    ]


def test_fits_bytes_do_not_depend_on_what_was_asked_before() -> None:
    """1 and 1.0 are the same level, written in the same way whichever came first."""
    flux = tiles(2, 3)
    contents = [to_fits(flux, dataclasses.replace(origin(), noise=noise, seeing=1)) for noise in (1, 1.0, 2, 1)]
    assert contents[0] == contents[1] == contents[3] != contents[2]


def test_no_tiles_are_an_empty_file() -> None:
    with fits.open(io.BytesIO(to_fits(tiles(2, 3)[:0], origin())), checksum=True) as hdus:
        assert len(hdus) == 1


@pytest.mark.parametrize("bands", ["r", "gri"])
def test_fitsverify_finds_nothing(tmp_path: Path, bands: str) -> None:
    flux = tiles(3, len(bands))
    for name, of_tiles in (("plain", origin(bands)), ("walk", walk(flux) if bands == "gri" else origin(bands, seed=0))):
        (tmp_path / name).write_bytes(to_fits(flux, of_tiles))
        run = subprocess.run([program("fitsverify"), tmp_path / name], capture_output=True, text=True, check=False)
        assert "found 0 warning(s) and 0 error(s)" in run.stdout, run.stdout


@given(st.binary(min_size=1, max_size=40).map(lambda words: words * 4), st.binary(min_size=16, max_size=16))
def test_an_encoded_complement_brings_the_sum_to_minus_zero(content: bytes, start: bytes) -> None:
    """Wherever the card stands, as long as its value begins one byte before a word: the standard's place for it."""
    zeros = start[:3] + b"0" * 16 + start[:1]
    encoded = encoded_complement(ones_complement_sum(zeros, ones_complement_sum(content)))
    assert re.fullmatch("[0-9A-Za-z]{16}", encoded)
    sealed = start[:3] + encoded.encode() + start[:1]
    assert ones_complement_sum(sealed, ones_complement_sum(content)) == 0xFFFFFFFF


def test_fits_checksums_hold_by_the_standard() -> None:
    """The ones' complement sum of all 32-bit words of an HDU with a valid CHECKSUM is minus zero (FITS 4.0, J.1)."""
    content = to_fits(tiles(2, 3), origin())
    with fits.open(io.BytesIO(content)) as hdus:
        starts = [hdu.fileinfo()["hdrLoc"] for hdu in hdus] + [len(content)]
        sums = [(int(hdu.header["DATASUM"]), "CHECKSUM" in hdu.header) for hdu in hdus]
    assert all(has_checksum for _, has_checksum in sums)
    for start, end in itertools.pairwise(starts):
        total = sum(np.frombuffer(content[start:end], dtype=">u4").tolist())
        while total >> 32:
            total = (total & 0xFFFFFFFF) + (total >> 32)
        assert total == 0xFFFFFFFF


def test_a_flipped_bit_is_noticed() -> None:
    content = bytearray(to_fits(tiles(1, 1), origin("r")))
    content[-2880 + 10] ^= 1
    with pytest.warns(AstropyUserWarning) as warned:
        fits.open(io.BytesIO(bytes(content)), checksum=True).close()
    assert [str(warning.message).split()[0] for warning in warned] == ["Checksum", "Datasum"]


def test_fits_bytes_hold_no_time_of_day() -> None:
    content = to_fits(tiles(2, 3), origin())
    assert re.search(rb"DATE|[0-9]{4}-[0-9]{2}-[0-9]{2}", content) is None


def test_planes_and_bands_must_agree() -> None:
    with pytest.raises(ValueError, match=r"\[2, 3, 6, 8\]; wanted \[N, 1, H, W\]"):
        to_fits(tiles(2, 3), origin("r"))
