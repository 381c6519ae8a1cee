"""Cutting tiles from the frames of one field, registered on r."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from skygen.params import Flag, TileSetParams
from skygen.sky.frame import Frame
from skygen.sky.inspection.defects import touching
from skygen.sky.readout import Half, in_right_half
from skygen.sky.registration import band_shift, sky_position

REFERENCE = "r"
FLAGS: tuple[Flag, ...] = get_args(Flag)
OUTSIDE, NO_SOURCE = "outside", "no source"  # why a place is spoilt, beside the flags
_BLOCK_PX = 500_000  # cut at once: 2 MB, which stay in the processor's cache
_MARGIN_PX = 4  # a source nearer to a tile's edge than this does not count as inside it

Pixels = NDArray[np.integer]
Places = tuple[Pixels, Pixels]


@dataclass(frozen=True)
class FieldTiles:
    """Tiles of one field, the left half's first, cut as they are asked for, and what became of the places tried.

    `x`, `y` [N] are the lower left pixels in r, `ra_deg`, `dec_deg` [N] the centres, `flags` [N] by name say what
    touches a tile in any band. Of `tried` places, `good` were fit to keep, and `spoilt` counts those that each cause
    spoils, of which a place may have several. `frames` and `corners` [N] by band are what the tiles are cut from.
    """

    size: int
    frames: Mapping[str, Frame]
    corners: Mapping[str, Places]
    x: Pixels
    y: Pixels
    ra_deg: NDArray[np.float64]
    dec_deg: NDArray[np.float64]
    flags: dict[Flag, NDArray[np.bool_]]
    tried: int
    good: int
    spoilt: dict[str, int]

    @property
    def flux_nmgy(self) -> NDArray[np.float32]:
        """All tiles [N, bands, H, W]."""
        flux = np.empty((len(self.x), len(self.corners), self.size, self.size), dtype=np.float32)
        self._cut(flux, 0)
        return flux

    @property
    def right(self) -> NDArray[np.bool_]:
        """Which tiles [N] have their centre in the right half of r."""
        return _right(self.x, self.size, self.frames[REFERENCE])

    def blocks(self) -> Iterator[tuple[Half, NDArray[np.float32]]]:
        """The tiles in turn, some of one half at a time [n, bands, H, W], in memory that the next ones overwrite."""
        tile = (len(self.corners), self.size, self.size)
        buffer = np.empty((max(1, _BLOCK_PX // math.prod(tile)), *tile), dtype=np.float32)
        middle, count = int((~self.right).sum()), len(self.x)
        parts: list[tuple[Half, int, int]] = [("left", 0, middle), ("right", middle, count)]
        for half, first, last in parts:
            for start in range(first, last, len(buffer)):
                block = buffer[: last - start]
                self._cut(block, start)
                yield half, block

    def _cut(self, tiles: NDArray[np.float32], start: int) -> None:
        """Fill `tiles` with those from number `start` on."""
        for number, (band, (x, y)) in enumerate(self.corners.items()):
            flux, end = self.frames[band].flux_nmgy, start + len(tiles)
            # Slices copy at the memory's speed; gathering through a view of all windows takes 1.7 times as long.
            for tile, left, bottom in zip(tiles[:, number], x[start:end].tolist(), y[start:end].tolist(), strict=True):
                tile[:] = flux[bottom : bottom + self.size, left : left + self.size]


def random_places(shape: tuple[int, int], size: int, count: int, rng: np.random.Generator) -> Places:
    """`count` corners (x, y) of tiles of `size` px, anywhere inside an image of `shape` (rows, columns)."""
    rows, columns = shape
    return rng.integers(0, columns - size + 1, count), rng.integers(0, rows - size + 1, count)


def grid_places(shape: tuple[int, int], size: int, rng: np.random.Generator) -> Places:
    """The corners (x, y) of all tiles of a grid over an image of `shape`, in random order: tiles share no pixel."""
    rows, columns = shape
    y, x = np.mgrid[0 : rows - size + 1 : size, 0 : columns - size + 1 : size].reshape(2, -1)
    order = rng.permutation(len(x))
    return x[order], y[order]


def grid_count(shape: tuple[int, int], size: int) -> int:
    """How many places the grid over an image of `shape` has: 736 of 64 px in a frame, 176 of 128 px."""
    return math.prod(length // size for length in shape)


def cut_field(
    frames: Mapping[str, Frame],
    sources: NDArray[np.void],
    defects: NDArray[np.void],
    tile_set: TileSetParams,
    places: Places,
    limit: int,
) -> FieldTiles:
    """At most `limit` tiles of one field: the first of `places` that are fit for the tile set, the left half's first.

    `frames` maps a band to its frame; `sources` and `defects` are those of `skygen.sky.inspection`. A place is dropped
    where a registered band would leave its frame, where a flag of `tile_set.drop` touches it in any band, or, if the
    tile set requires a source, where none of its signal-to-noise ratio lies inside. Where a band's shift differs over
    the field, each tile takes that of its own centre.
    """
    x, y = places
    size, middle = tile_set.size, (tile_set.size - 1) / 2
    wcs = frames[REFERENCE].wcs
    corners: dict[str, Places] = {}
    for band in tile_set.bands:
        dx, dy = band_shift(wcs, frames[band].wcs, x + middle, y + middle)
        corners[band] = x + dx, y + dy
    flags = _flags(corners, defects, size)
    spoilt = {OUTSIDE: ~np.logical_and.reduce([_inside(*corners[band], size, frames[band]) for band in corners])}
    spoilt |= {flag: flags[flag] for flag in tile_set.drop}
    if tile_set.require_source:
        spoilt[NO_SOURCE] = ~_holds_one(sources[sources["snr"] >= tile_set.source_snr], x, y, size)
    good = np.flatnonzero(~np.logical_or.reduce(list(spoilt.values())))
    kept = good[:limit]
    kept = kept[np.argsort(_right(x[kept], size, frames[REFERENCE]), kind="stable")]
    ra, dec = sky_position(wcs, x[kept] + middle, y[kept] + middle)
    return FieldTiles(
        size=size,
        frames=frames,
        corners={band: (at_x[kept], at_y[kept]) for band, (at_x, at_y) in corners.items()},
        x=x[kept],
        y=y[kept],
        ra_deg=ra,
        dec_deg=dec,
        flags={flag: touched[kept] for flag, touched in flags.items()},
        tried=len(x),
        good=len(good),
        spoilt={cause: int(found.sum()) for cause, found in spoilt.items()},
    )


def _right(x: Pixels, size: int, frame: Frame) -> NDArray[np.bool_]:
    return in_right_half(x + size // 2, frame.flux_nmgy.shape[1])


def _inside(x: Pixels, y: Pixels, size: int, frame: Frame) -> NDArray[np.bool_]:
    rows, columns = frame.flux_nmgy.shape
    return np.asarray((x >= 0) & (y >= 0) & (x + size <= columns) & (y + size <= rows))


def _flags(corners: Mapping[str, Places], defects: NDArray[np.void], size: int) -> dict[Flag, NDArray[np.bool_]]:
    """What touches each tile [N] in any band."""
    of_bands = [touching(defects[defects["band"] == band], x, y, size) for band, (x, y) in corners.items()]
    return {flag: np.logical_or.reduce([of_band[flag] for of_band in of_bands]) for flag in FLAGS}


def _holds_one(sources: NDArray[np.void], x: Pixels, y: Pixels, size: int) -> NDArray[np.bool_]:
    """Whether each tile [N] holds one of `sources` (in pixels of r), off its edges by the margin."""
    held = np.zeros(len(x), dtype=bool)
    for source in sources:
        from_left, from_bottom = np.rint(source["x"]) - x, np.rint(source["y"]) - y
        within = (from_left >= _MARGIN_PX) & (from_left < size - _MARGIN_PX)
        held |= within & (from_bottom >= _MARGIN_PX) & (from_bottom < size - _MARGIN_PX)
    return held
