"""Images of 4 x 4 pixels in one, in which faint extended light shows: flattened, brought onto each other, masked."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import zoom

from skygen.sky.inspection.defects import Capsule
from skygen.sky.noise import MAD_TO_SIGMA

BIN_PX = 4
_AMPLIFIER = 256  # binned columns that one amplifier reads: each half of a row has its own level
_BLOCK = (12, 32)  # binned rows and columns, over which the background is smooth
_LONG = 0.6  # ellipticity of a source that may be a piece of a trail
_SOURCE_RADII = 3.0  # half-light radii that hide a source
_SPIKE_LENGTHS = 2.0  # that hide a spike, which goes on where it is no more seen by itself


def bin_pixels(image: NDArray[np.floating]) -> NDArray[np.float32]:
    """The means of 4 x 4 pixels of `image` [H, W]; rows and columns left over are dropped."""
    rows, columns = image.shape[0] // BIN_PX, image.shape[1] // BIN_PX
    whole = np.ascontiguousarray(image[: rows * BIN_PX, : columns * BIN_PX], dtype=np.float32)
    return np.asarray(whole.reshape(rows, BIN_PX, columns, BIN_PX).sum(3).sum(1) / BIN_PX**2)


def flatten(binned: NDArray[np.float32]) -> NDArray[np.float32]:
    """What `bin_pixels` made, in units of its noise, without its smooth background and the levels of its rows."""
    flat = binned - _smooth(binned)
    for start in range(0, flat.shape[1], _AMPLIFIER):
        half = flat[:, start : start + _AMPLIFIER]
        half -= np.median(half, axis=1, keepdims=True)
    flat -= np.median(flat, axis=0)
    noise = MAD_TO_SIGMA * float(np.median(np.abs(flat)))
    return np.asarray(flat / noise if noise else flat)


def mark_sources(sources: NDArray[np.void], haloes: Iterable[Capsule], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Which binned pixels (of `shape`) hold `sources`, which `detect` found, or lie in `haloes` and their spikes.

    Sources as long as pieces of a trail are not marked.
    """
    marked = np.zeros(shape, dtype=bool)
    y, x = (BIN_PX * (index + 0.5) - 0.5 for index in np.indices(shape))
    for source in sources[sources["ellipticity"] < _LONG]:
        radius = BIN_PX + _SOURCE_RADII * source["half_light_radius_px"]
        at_x, at_y = float(source["x"]), float(source["y"])
        low_x, low_y = (max(0, int((at - radius) / BIN_PX)) for at in (at_x, at_y))
        near = np.s_[low_y : int((at_y + radius) / BIN_PX) + 2, low_x : int((at_x + radius) / BIN_PX) + 2]
        marked[near] |= np.hypot(x[near] - at_x, y[near] - at_y) < radius
    for halo in haloes:
        along = np.array([halo.x1 - halo.x0, halo.y1 - halo.y0])
        part = ((x - halo.x0) * along[0] + (y - halo.y0) * along[1]) / max(float(along @ along), 1e-9)
        part = np.clip(part, 0, _SPIKE_LENGTHS)
        marked |= np.hypot(x - halo.x0 - part * along[0], y - halo.y0 - part * along[1]) < halo.radius_px + BIN_PX
    return marked


def align(other: NDArray[np.float32], dx_px: float, dy_px: float) -> NDArray[np.float32]:
    """`other` moved so that what lies at (x + dx, y + dy) comes to (x, y), to the nearest binned pixel."""
    return np.asarray(np.roll(other, (-round(dy_px / BIN_PX), -round(dx_px / BIN_PX)), axis=(0, 1)))


def _smooth(binned: NDArray[np.float32]) -> NDArray[np.float32]:
    """The medians of blocks of `binned`, interpolated; the rows and columns left over get those of the last."""
    height, width = (min(size, block) for size, block in zip(binned.shape, _BLOCK, strict=True))
    rows, columns = binned.shape[0] // height, binned.shape[1] // width
    blocks = binned[: rows * height, : columns * width].reshape(rows, height, columns, width).transpose(0, 2, 1, 3)
    medians = np.median(blocks.reshape(rows, columns, -1), axis=-1)
    smooth = zoom(medians, (height, width), order=1, mode="nearest", grid_mode=True)
    left_over = [(0, size - done) for size, done in zip(binned.shape, smooth.shape, strict=True)]
    return np.pad(smooth, left_over, mode="edge")
