"""The noise of a plane: standard normal numbers, drawn in fixed blocks of 64 px, each from an address of its own."""

import numpy as np
from numpy.typing import NDArray

BLOCK_PX = 64  # side of a block
_NOISE = 0x6E6F697365  # the second half of the key of noise: its numbers are no others'


def noise(key: np.uint64, x: int, y: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Standard normal numbers [bands, H, W] of the plane of `key` at (x, y)."""
    bands, height, width = shape
    found = np.empty((bands, height, width), np.float32)
    for row in range(y // BLOCK_PX, (y + height - 1) // BLOCK_PX + 1):
        for column in range(x // BLOCK_PX, (x + width - 1) // BLOCK_PX + 1):
            block = _block(key, row, column, bands)
            top, left = row * BLOCK_PX - y, column * BLOCK_PX - x
            rows, columns = slice(max(top, 0), top + BLOCK_PX), slice(max(left, 0), left + BLOCK_PX)
            part = found[:, rows, columns]
            up, across = rows.start - top, columns.start - left
            part[:] = block[:, up : up + part.shape[1], across : across + part.shape[2]]
    return found


def _block(key: np.uint64, row: int, column: int, bands: int) -> NDArray[np.float32]:
    """The noise of one block [bands, 64, 64], by numpy's own Philox with the block as its counter.

    Pairs of normal numbers of two words each, as in `philox.normals`: a third of the time of numpy's own.
    """
    counter = np.array([0, 0, row & (2**64 - 1), column & (2**64 - 1)], np.uint64)
    words = np.random.Philox(key=np.array([key, _NOISE], np.uint64), counter=counter).random_raw(
        bands * BLOCK_PX**2 // 2
    )
    even, turn = words.view(np.uint32).reshape(2, -1).astype(np.float32) * np.float32(2.0**-32)
    radius = np.sqrt(np.log(even + np.float32(2.0**-33)) * np.float32(-2))
    turn *= np.float32(2 * np.pi)
    return np.concatenate([radius * np.cos(turn), radius * np.sin(turn)]).reshape(bands, BLOCK_PX, BLOCK_PX)
