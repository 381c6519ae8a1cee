"""Every format by its name."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from skygen.formats.fits import to_fits
from skygen.formats.json import to_json
from skygen.formats.npy import to_npy
from skygen.formats.origin import Origin
from skygen.formats.png import contact_levels, encode_png

Format = Literal["png", "npy", "fits", "json"]
MEDIA_TYPES: dict[Format, str] = {
    "png": "image/png",
    "npy": "application/x-npy",
    "fits": "application/fits",
    "json": "application/json",
}


def encode(tiles: NDArray[np.float32], name: Format, origin: Origin) -> bytes:
    """The bytes of tiles `[N, bands, H, W]` in nmgy in the format `name`; raises `ValueError` where a format cannot."""
    match name:
        case "png":
            return encode_png(contact_levels(tiles, origin.bands))
        case "npy":
            return to_npy(tiles)
        case "fits":
            return to_fits(tiles, origin)
        case "json":
            return to_json(tiles, origin)
