"""Tiles as FITS: one image extension a tile, in nanomaggies, with where it comes from in its header.

The bytes depend on the tiles and their origin alone: no date is written, and the comments of CHECKSUM and DATASUM,
which astropy fills with the time of day, are fixed.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from skygen.formats import wcs
from skygen.formats.cards import Kind, cards, numbers
from skygen.formats.header import Header
from skygen.formats.origin import Origin, Truth
from skygen.formats.truth import truth_hdu


def to_fits(tiles: NDArray[np.float32], origin: Origin, truths: Sequence[Truth] | None = None) -> bytes:
    """The bytes of a FITS file of tiles `[N, bands, H, W]` in nmgy: an empty primary HDU, then one image HDU a tile.

    An image is `[H, W]` for one band and `[bands, H, W]` for more, float32 (BITPIX -32), BUNIT 'nanomaggy', with valid
    CHECKSUM and DATASUM. Tiles with places have a WCS, and with `truths` [N] a table TRUTH behind each image, of the
    same EXTVER. Raises `ValueError` where the tiles do not have one plane a band, one place, or one truth each.
    """
    return fits_header() + fits_images(tiles, origin, truths=truths)


def fits_images(
    tiles: NDArray[np.float32], origin: Origin, before: int = 0, truths: Sequence[Truth] | None = None
) -> bytes:
    """The image HDUs of tiles, where so many stand `before` them in the file. Raises as `to_fits`."""
    origin.check(tiles.shape)
    if truths is not None and len(truths) != len(tiles):
        raise ValueError(f"{len(tiles)} tiles have {len(truths)} truths; wanted one each")
    kind, shape = Kind.of(origin), tiles.shape[2:] if len(origin.bands) == 1 else tiles.shape[1:]
    hdus: list[bytes | bytearray] = []
    for place, tile in enumerate(tiles):
        version = before + place + 1
        hdus.append(_image_hdu(tile, kind, shape, origin, place, version))
        if truths is not None:
            hdus.append(truth_hdu(truths[place], origin, place, version))
    return b"".join(hdus)


@lru_cache(maxsize=1)
def fits_header() -> bytes:
    """The empty HDU with which a file begins."""
    header = Header.of(fits.PrimaryHDU())
    hdu = bytearray(header.size(0))
    header.fill(memoryview(hdu), {})
    return bytes(hdu)


def _image_hdu(
    tile: NDArray[np.float32], kind: Kind, shape: tuple[int, ...], origin: Origin, place: int, version: int
) -> bytearray:
    filled, on_sky = {"EXTVER": version, **numbers(origin, place)}, None
    if origin.places is not None:
        filled |= wcs.numbers(origin.places[place])
        on_sky = origin.places[place].is_on_sky
    header = _image_header(kind, shape, on_sky)
    hdu = bytearray(header.size(4 * tile.size))  # of zeros, as the end of the last block has to be
    np.frombuffer(hdu, ">f4", tile.size, len(header.content))[:] = tile.ravel()
    header.fill(memoryview(hdu), filled)
    return hdu


@lru_cache(maxsize=256)
def _image_header(kind: Kind, shape: tuple[int, ...], on_sky: bool | None) -> Header:
    """The header of a tile as astropy writes it, with 0 for what differs from tile to tile; `on_sky` None: no WCS."""
    hdu = fits.ImageHDU(np.zeros(shape, np.float32), name="TILE", ver=1)
    hdu.header["BUNIT"] = ("nanomaggy", "unit of the pixels: 3.631 microjansky (AB)")
    hdu.header.extend(cards(kind))
    if on_sky is not None:
        hdu.header.extend(wcs.cards(shape, on_sky, kind.pixel_scale_arcsec))
    return Header.of(hdu)
