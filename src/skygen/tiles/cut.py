"""Cutting tiles from the frames of one field, registered on r."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skygen.params import TileSetParams
from skygen.sky.detection import detect
from skygen.sky.frame import Frame
from skygen.sky.noise import sky_noise
from skygen.sky.registration import band_shift, sky_position

REFERENCE = "r"
_MARGIN_PX = 4  # a source nearer to a tile's edge than this does not count as inside it


@dataclass(frozen=True)
class FieldTiles:
    """Tiles of one field: flux [N, bands, H, W] in nmgy, the lower left corner and the centre of each on the sky."""

    flux_nmgy: NDArray[np.float32]
    x: NDArray[np.int64]
    y: NDArray[np.int64]
    ra_deg: NDArray[np.float64]
    dec_deg: NDArray[np.float64]
    survival: float  # share of the tried places that were kept


def random_places(
    shape: tuple[int, int], size: int, count: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """`count` corners (x, y) of tiles of `size` px, anywhere inside an image of `shape` (rows, columns)."""
    rows, columns = shape
    return rng.integers(0, columns - size + 1, count), rng.integers(0, rows - size + 1, count)


def grid_places(
    shape: tuple[int, int], size: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The corners (x, y) of all tiles of a grid over an image of `shape`, in random order: tiles share no pixel."""
    rows, columns = shape
    y, x = np.mgrid[0 : rows - size + 1 : size, 0 : columns - size + 1 : size].reshape(2, -1)
    order = rng.permutation(len(x))
    return x[order], y[order]


def cut_field(
    frames: Mapping[str, Frame],
    tile_set: TileSetParams,
    places: tuple[NDArray[np.int64], NDArray[np.int64]],
    limit: int,
) -> FieldTiles:
    """At most `limit` tiles of one field at `places`, those kept by the tile set's rules, in the order of `places`.

    `frames` maps a band to its frame. A place is dropped where a registered band would leave its frame, or, if the
    tile set requires a source, where none is detected in r inside the tile. Where a band's shift differs over the
    field, each tile takes that of its own centre.
    """
    size, reference = tile_set.size, frames[REFERENCE]
    x, y = places
    middle = (size - 1) / 2
    shifts = {band: band_shift(reference.wcs, frames[band].wcs, x + middle, y + middle) for band in tile_set.bands}
    kept = np.logical_and.reduce([_inside(x + dx, y + dy, size, reference) for dx, dy in shifts.values()])
    if tile_set.require_source:
        kept &= _holds_source(reference, tile_set, x, y)
    chosen = np.flatnonzero(kept)[:limit]
    flux = np.empty((len(chosen), len(tile_set.bands), size, size), dtype=np.float32)
    for band_index, band in enumerate(tile_set.bands):
        dx, dy = shifts[band]
        windows = np.lib.stride_tricks.sliding_window_view(frames[band].flux_nmgy, (size, size))
        flux[:, band_index] = windows[(y + dy)[chosen], (x + dx)[chosen]]
    ra, dec = sky_position(reference.wcs, x[chosen] + middle, y[chosen] + middle)
    return FieldTiles(flux, x[chosen], y[chosen], ra, dec, float(kept.mean()))


def _inside(x: NDArray[np.int64], y: NDArray[np.int64], size: int, frame: Frame) -> NDArray[np.bool_]:
    rows, columns = frame.flux_nmgy.shape
    return np.asarray((x >= 0) & (y >= 0) & (x + size <= columns) & (y + size <= rows))


def _holds_source(
    frame: Frame, tile_set: TileSetParams, x: NDArray[np.int64], y: NDArray[np.int64]
) -> NDArray[np.bool_]:
    sources = detect(frame.flux_nmgy, float(sky_noise(frame.flux_nmgy)), tile_set.source_snr)
    is_there = np.zeros(frame.flux_nmgy.shape, dtype=np.int64)
    is_there[np.rint(sources["y"]).astype(int), np.rint(sources["x"]).astype(int)] = 1
    total = np.pad(is_there.cumsum(0).cumsum(1), ((1, 0), (1, 0)))  # sources below and left of each corner
    low_x, low_y = x + _MARGIN_PX, y + _MARGIN_PX
    high_x, high_y = x + tile_set.size - _MARGIN_PX, y + tile_set.size - _MARGIN_PX
    inside = total[high_y, high_x] - total[low_y, high_x] - total[high_y, low_x] + total[low_y, low_x]
    return np.asarray(inside > 0)
