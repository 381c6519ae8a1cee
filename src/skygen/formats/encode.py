"""Every format by its name."""

from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from skygen.formats.fits import fits_header, fits_images, to_fits
from skygen.formats.json_file import to_json
from skygen.formats.npy import npy_header, to_npy
from skygen.formats.origin import Origin, Truth
from skygen.formats.png import contact_levels, encode_png

Format = Literal["png", "npy", "fits", "json"]
MEDIA_TYPES: dict[Format, str] = {
    "png": "image/png",
    "npy": "application/x-npy",
    "fits": "application/fits",
    "json": "application/json",
}


def encode(tiles: NDArray[np.float32], name: Format, origin: Origin, truths: Sequence[Truth] | None = None) -> bytes:
    """The bytes of tiles `[N, bands, H, W]` in nmgy in the format `name`; FITS alone has room for `truths` [N].

    Raises `ValueError` where a format cannot hold the tiles.
    """
    match name:
        case "png":
            return encode_png(contact_levels(tiles, origin.bands))
        case "npy":
            return to_npy(tiles)
        case "fits":
            return to_fits(tiles, origin, truths)
        case "json":
            return to_json(tiles, origin)


IN_PARTS: Final[tuple[Format, ...]] = ("npy", "fits")  # files of any size: a head, then tiles after tiles


def head(name: Format, shape: tuple[int, ...]) -> bytes:
    """How a file of tiles of `shape` [N, bands, H, W] begins, in a format that is written in parts."""
    return npy_header(shape) if name == "npy" else fits_header()


def part(
    tiles: NDArray[np.float32], name: Format, origin: Origin, before: int, truths: Sequence[Truth] | None = None
) -> bytes:
    """How it goes on with `tiles`, of which `origin` tells, after so many `before` them; raises as `encode`."""
    if name == "npy":
        return np.ascontiguousarray(tiles, dtype="<f4").tobytes()
    return fits_images(tiles, origin, before, truths)
