"""Which fields show the same sky: the groups that near centres form, and the cells of sky that part a group."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from skygen.sky.frame import SHAPE
from skygen.sky.units import PIXEL_SCALE_ARCSEC

# Frames whose centres lie further apart than a frame's diagonal share no sky, however they are turned; 1 % for the
# distortion that a frame's WCS leaves out.
REACH_DEG = 1.01 * float(np.hypot(*SHAPE)) * PIXEL_SCALE_ARCSEC / 3600
_CELL_DEG = 0.1  # fields this near are one to `groups`: the survey scanned some sky a hundred times

Degrees = NDArray[np.float64]


def groups(ra_deg: Degrees, dec_deg: Degrees, reach_deg: float = REACH_DEG) -> NDArray[np.int64]:
    """The number of the group [N] of each centre: within `reach_deg` of each other, or linked by others that are.

    Centres in one small cell of sky stand for each other, so that repeated scans do not make pairs by the million:
    beside such a cell the reach is longer, by less than half a reach. Centres alone in theirs are linked exactly.
    """
    points = on_sphere(ra_deg, dec_deg)
    cell = np.unique(sky_cells(ra_deg, dec_deg, min(_CELL_DEG, reach_deg / 3)), return_inverse=True)[1]
    middle = np.stack([np.bincount(cell, axis) for axis in points.T], axis=-1) / np.bincount(cell)[:, None]
    radius = np.zeros(len(middle))
    np.maximum.at(radius, cell, np.linalg.norm(points - middle[cell], axis=-1))
    pairs = cKDTree(middle).query_pairs(float(chord(reach_deg)) + 2 * radius.max(initial=0), output_type="ndarray")
    apart = np.linalg.norm(middle[pairs[:, 0]] - middle[pairs[:, 1]], axis=-1)
    pairs = pairs[apart <= chord(reach_deg) + radius[pairs].sum(axis=1) + 1e-12]
    links = coo_array((np.ones(len(pairs), np.int8), pairs.T), shape=(len(middle), len(middle)))
    return np.asarray(connected_components(links, directed=False)[1][cell], dtype=np.int64)


def near_any(
    ra_deg: Degrees, dec_deg: Degrees, other_ra_deg: Degrees, other_dec_deg: Degrees, reach_deg: float = REACH_DEG
) -> NDArray[np.bool_]:
    """Whether each centre [N] lies within `reach_deg` of any of the others [M]."""
    if not (len(ra_deg) and len(other_ra_deg)):
        return np.zeros(len(ra_deg), dtype=bool)
    others = cKDTree(on_sphere(other_ra_deg, other_dec_deg))
    nearest, _ = others.query(on_sphere(ra_deg, dec_deg), distance_upper_bound=float(chord(reach_deg)) + 1e-12)
    return np.asarray(np.isfinite(nearest))


def sky_cells(ra_deg: Degrees, dec_deg: Degrees, width_deg: float) -> NDArray[np.int64]:
    """The number [N] of the cell of sky that holds each place: fixed cells about `width_deg` wide and high.

    Rings of declination, each cut into a whole number of cells of equal width.
    """
    ring = np.floor((dec_deg + 90) / width_deg).astype(np.int64)
    middle = np.radians(np.minimum((ring + 0.5) * width_deg, 180) - 90)
    in_ring = np.maximum(1, np.rint(360 * np.cos(middle) / width_deg)).astype(np.int64)
    return np.asarray(ring * 1_000_000 + np.floor(ra_deg / 360 * in_ring).astype(np.int64))


def on_sphere(ra_deg: Degrees, dec_deg: Degrees) -> Degrees:
    """The unit vectors [N, 3] towards places on the sky [N]."""
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=-1)


def chord(angle_deg: float | Degrees) -> Degrees:
    """The distance through the unit sphere of places `angle_deg` apart."""
    return np.asarray(2 * np.sin(np.radians(angle_deg) / 2))
