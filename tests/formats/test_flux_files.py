"""npy and FITS hold the flux exactly; FITS is valid by the standard's own checksum and says where it comes from."""

import dataclasses
import io
import itertools
import json
import re

import numpy as np
import pytest
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning
from numpy.typing import NDArray

from skygen.formats.fits import to_fits
from skygen.formats.json import to_json
from skygen.formats.npy import to_npy
from skygen.formats.origin import Origin

SHA256 = "0123456789abcdef" * 4


def origin(bands: str = "gri", seed: int = 7) -> Origin:
    return Origin("gri128", "gan", SHA256, seed, "survey", "survey", list(bands), 0.396)


def tiles(count: int, bands: int) -> NDArray[np.float32]:
    return np.random.default_rng(5).normal(size=(count, bands, 6, 8)).astype(np.float32)


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
    scene = dataclasses.replace(origin(), noise=0.05, seeing=1.2, sky_noise_nmgy=noise)
    with fits.open(io.BytesIO(to_fits(tiles(2, 3), scene)), checksum=True) as hdus:
        headers = [hdu.header for hdu in hdus[1:]]
    assert [(header["NOISE"], header["SEEING"]) for header in headers] == [(0.05, 1.2)] * 2
    for header, of_tile in zip(headers, noise, strict=True):
        assert [header[f"SKYSIG_{band}"] for band in "GRI"] == pytest.approx(of_tile.tolist())


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
