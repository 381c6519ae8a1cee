"""Tiles as an npy file: the array itself, in nanomaggies."""

import io

import numpy as np
from numpy.typing import NDArray


def to_npy(tiles: NDArray[np.float32]) -> bytes:
    """The bytes of an npy file of tiles `[N, bands, H, W]` in nmgy: little-endian float32, in C order."""
    stream = io.BytesIO()
    np.save(stream, np.ascontiguousarray(tiles, dtype="<f4"), allow_pickle=False)
    return stream.getvalue()
