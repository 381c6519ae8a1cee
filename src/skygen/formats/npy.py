"""Tiles as an npy file: the array itself, in nanomaggies."""

import io
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


def to_npy(tiles: NDArray[np.float32]) -> bytes:
    """The bytes of an npy file of tiles `[N, bands, H, W]` in nmgy: little-endian float32, in C order.

    They are what `np.save` writes, which takes forty times as long about it, copying the array piece by piece.
    """
    array = np.ascontiguousarray(tiles, dtype="<f4")
    return b"".join([npy_header(array.shape), array.data])


@lru_cache(maxsize=256)
def npy_header(shape: tuple[int, ...]) -> bytes:
    """What comes before the numbers of an array of float32 of a shape."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return stream.getvalue()
