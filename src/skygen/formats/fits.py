"""Tiles as FITS: one image extension a tile, in nanomaggies, with where it comes from in its header.

The bytes depend on the tiles and their origin alone: no date is written, and the comments of CHECKSUM and DATASUM,
which astropy fills with the time of day, are fixed.

astropy takes over a millisecond to write one tile, as long as a network takes to paint it. So it writes the header
of a kind of tile once, and what differs from tile to tile is filled in: numbers, which have fixed columns (FITS 4.0,
4.2), and the two checksums.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Self, TypeVar

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from skygen.formats.checksum import encoded_complement, ones_complement_sum
from skygen.formats.origin import Origin

T = TypeVar("T")

_PIXEL, _CARD, _BLOCK = 4, 80, 2880  # bytes
_VALUE = 20  # characters, 11 to 30 of a card: numbers end there, strings begin there


def to_fits(tiles: NDArray[np.float32], origin: Origin) -> bytes:
    """The bytes of a FITS file of tiles `[N, bands, H, W]` in nmgy: an empty primary HDU, then one image HDU a tile.

    An image is `[H, W]` for one band and `[bands, H, W]` for more, float32 (BITPIX -32), BUNIT 'nanomaggy', with valid
    CHECKSUM and DATASUM. Raises `ValueError` where the tiles do not have one plane a band.
    """
    return fits_header() + fits_images(tiles, origin)


def fits_images(tiles: NDArray[np.float32], origin: Origin, before: int = 0) -> bytes:
    """The image HDUs of tiles, where so many stand `before` them in the file. Raises as `to_fits`."""
    origin.check(tiles.shape)
    kind = _Kind(
        tiles.shape[2:] if len(origin.bands) == 1 else tiles.shape[1:],
        tuple(origin.bands),
        origin.pixel_scale_arcsec,
        origin.tiles,
        origin.recipe,
        origin.model_sha256,
        _as_float(origin.noise),
        _as_float(origin.seeing),
        _as_float(origin.softening_nmgy),
        _as_float(origin.limit_nmgy),
        origin.sky_noise_nmgy is not None,
        origin.towards is not None,
    )
    header = _image_header(kind)
    size = len(header.content) + _blocks(math.prod(kind.shape) * _PIXEL)
    hdus = bytearray(len(tiles) * size)  # of zeros, as the end of the last block has to be
    for place, tile in enumerate(tiles):
        start = place * size
        np.frombuffer(hdus, ">f4", tile.size, start + len(header.content))[:] = tile.ravel()
        numbers = {"EXTVER": before + place + 1, **_numbers(origin, place)}
        header.fill(memoryview(hdus)[start : start + size], numbers)
    return bytes(hdus)


def _as_float(value: T | int) -> T | float:
    """A whole number as a float: equal to it, and so in the cache of headers, it would be written without a point."""
    return float(value) if isinstance(value, int) else value


@dataclass(frozen=True)
class _Kind:
    """What the headers of many tiles have in common."""

    shape: tuple[int, ...]
    bands: tuple[str, ...]
    pixel_scale_arcsec: float
    tiles: str
    recipe: str
    model_sha256: str
    noise: str | float
    seeing: str | float
    softening_nmgy: float | None
    limit_nmgy: float | None
    has_sky_noise: bool
    walks: bool


@dataclass(frozen=True)
class _Header:
    """A header as whole blocks, and where each card's value begins."""

    content: bytes
    starts: Mapping[str, int]

    @classmethod
    def of(cls, hdu: fits.PrimaryHDU | fits.ImageHDU) -> Self:
        """The header of `hdu` with checksums to be filled in."""
        hdu.header["CHECKSUM"] = ("0" * 16, "HDU checksum")  # what it holds while the sum is taken
        hdu.header["DATASUM"] = ("0", "data unit checksum")
        content = hdu.header.tostring().encode("ascii")
        return cls(content, {content[at : at + 8].decode().rstrip(): at + 10 for at in range(0, len(content), _CARD)})

    def fill(self, hdu: memoryview, numbers: Mapping[str, int | float]) -> None:
        """Write this header with `numbers`, and the checksums, to `hdu`, which ends in the data."""
        header, data = hdu[: len(self.content)], hdu[len(self.content) :]
        header[:] = self.content
        for key, number in numbers.items():
            self._put(header, key, str(number).upper().rjust(_VALUE))
        of_data = ones_complement_sum(data)
        self._put(header, "DATASUM", f"'{of_data:<8}'".ljust(_VALUE))
        checksum = encoded_complement(ones_complement_sum(header, of_data))
        self._put(header, "CHECKSUM", f"'{checksum}'".ljust(_VALUE))

    def _put(self, header: memoryview, key: str, value: str) -> None:
        header[self.starts[key] : self.starts[key] + _VALUE] = value.encode("ascii")


@lru_cache(maxsize=1)
def fits_header() -> bytes:
    """The empty HDU with which a file begins."""
    header = _Header.of(fits.PrimaryHDU())
    hdu = bytearray(len(header.content))
    header.fill(memoryview(hdu), {})
    return bytes(hdu)


@lru_cache(maxsize=256)
def _image_header(kind: _Kind) -> _Header:
    """The header of a tile as astropy writes it, with 0 for what differs from tile to tile."""
    hdu = fits.ImageHDU(np.zeros(kind.shape, np.float32), name="TILE", ver=1)
    hdu.header.extend(_cards(kind))
    return _Header.of(hdu)


def _cards(kind: _Kind) -> list[tuple[str, str | float, str]]:
    cards: list[tuple[str, str | float, str]] = [
        ("BUNIT", "nanomaggy", "unit of the pixels: 3.631 microjansky (AB)"),
        ("BANDS", ",".join(kind.bands), "bands, in the order of the planes"),
        ("PIXSCALE", kind.pixel_scale_arcsec, "[arcsec] width of a pixel"),
        ("TILES", kind.tiles, "tile set"),
        ("RECIPE", kind.recipe, "how the generator was trained"),
        ("MODEL", kind.model_sha256, ""),
        ("SEED", 0, "seed of the tiles"),
        ("INDEX", 0, "place of this tile among the tiles of the seed"),
        ("NOISE", kind.noise, "noise asked for: survey, none, or [nmgy] in r"),
        ("SEEING", kind.seeing, "seeing asked for: survey, or [arcsec] FWHM"),
    ]
    if kind.walks:
        cards += [("TOWARDS", 0, "seed to which this tile is on the way"), ("SHARE", 0, "share of the way, 0 to 1")]
    if kind.softening_nmgy is not None:
        cards.append(("SOFTEN", kind.softening_nmgy, "[nmgy] s; the network paints asinh(flux/s)"))
    if kind.limit_nmgy is not None:
        cards.append(("LIMIT", kind.limit_nmgy, "[nmgy] largest flux that it can paint"))
    if kind.has_sky_noise:
        cards += [(f"SKYSIG_{band.upper()}", 0, f"[nmgy] sky noise of a pixel in {band}") for band in kind.bands]
    return cards


def _numbers(origin: Origin, place: int) -> dict[str, int | float]:
    """What the header of the tile at `place` says that others do not."""
    numbers: dict[str, int | float] = {"SEED": origin.seed, "INDEX": origin.index(place)}
    if origin.towards is not None and origin.shares is not None:
        numbers |= {"TOWARDS": origin.towards, "SHARE": round(float(origin.shares[place]), 9)}
    if origin.sky_noise_nmgy is not None:
        for band, noise in zip(origin.bands, origin.sky_noise_nmgy[place], strict=True):
            numbers[f"SKYSIG_{band.upper()}"] = round(float(noise), 6)
    return numbers


def _blocks(size: int) -> int:
    """The bytes that `size` bytes fill as whole blocks."""
    return -(-size // _BLOCK) * _BLOCK
