"""How many stars and galaxies a field has for an arcmin², whatever noise, seeing and bright stars hide of them."""

from typing import Any

import numpy as np
import sep
from numpy.typing import NDArray

from skygen.sky.conditions import DENSITY_MAG, Density
from skygen.sky.frame import Frame
from skygen.sky.inspection.bright import STAR_NMGY, STAR_PEAK_COUNTS
from skygen.sky.inspection.defects import touching
from skygen.sky.inspection.detection import TOTAL_RADIUS_PX, extract
from skygen.sky.units import PIXEL_SCALE_ARCSEC, ZERO_POINT_MAG

COUNTED = np.dtype([("x", "f8"), ("y", "f8"), ("mag", "f8"), ("is_galaxy", "?"), ("share_seen", "f8")])
_INNER_PX, _OUTER_PX = 2.5, 5.0  # what lies within the one, over what lies within the other, is how compact a source is
_COMPACT = 0.91  # of the stars' ratio: two and a half standard deviations of the faintest ones' noise below it
_SKY_PX = (16.0, 40.0)  # ring in which a source's own sky is taken
# Of all light, within TOTAL_RADIUS_PX and above the sky of the ring: a star's by the wings of the survey's PSF, a
# galaxy's of r = 20.5 by the median of simulated ones.
_STARS_SHARE, _GALAXYS_SHARE = 0.97, 0.90
_STEP_PX = 8  # of the grid on which hidden area is measured


def count_sources(frame: Frame, noise: float, stars: NDArray[np.void], defects: NDArray[np.void]) -> NDArray[np.void]:
    """The stars and galaxies [n] of `frame`, in r, brighter than `DENSITY_MAG`, of type `COUNTED`: 0-based x, y, mag.

    All of them are detected, and stars are told from galaxies but for one in twenty. `noise` is that of a pixel in
    nmgy, `stars` are some that stand alone (`choose_stars`), `defects` the frame's own.
    Sources in the halo of another star, on a trail or where nothing was measured are left out; `share_seen` is the
    share of the frame that remains. Stars too bright to be hidden count wherever they are, with a share of 1.
    """
    pixels = np.ascontiguousarray(frame.flux_nmgy, dtype=np.float64)
    found, segments = extract(pixels, noise)
    alone = {"seg_id": np.arange(1, len(found) + 1), "segmap": segments, "bkgann": _SKY_PX}  # without neighbours' light
    inner, outer, total = (_flux(pixels, found, radius, **alone) for radius in (_INNER_PX, _OUTER_PX, TOTAL_RADIUS_PX))
    compact, enclosed = _of_stars(pixels, stars)
    peaked = (total > STAR_NMGY) & (
        found["peak"] > STAR_PEAK_COUNTS * frame.nmgy_per_count
    )  # if saturated, not compact
    is_galaxy = (inner < _COMPACT * compact * outer) & ~peaked
    # A star's light within 5 px says what lies within 12, with less noise and less of its neighbours.
    whole = np.where(is_galaxy, total / _GALAXYS_SHARE, np.where(peaked, total, outer / enclosed) / _STARS_SHARE)
    y, x = np.mgrid[0 : pixels.shape[0] : _STEP_PX, 0 : pixels.shape[1] : _STEP_PX].reshape(2, -1)
    counted = np.zeros(len(found), COUNTED)
    counted["x"], counted["y"], counted["is_galaxy"] = found["x"], found["y"], is_galaxy
    counted["mag"] = ZERO_POINT_MAG - 2.5 * np.log10(np.maximum(whole, 1e-9))
    counted["share_seen"] = np.where(peaked, 1.0, seen(defects, x, y).mean())
    return counted[(counted["mag"] < DENSITY_MAG) & (peaked | seen(defects, found["x"], found["y"]))]


def density(counted: NDArray[np.void], shape: tuple[int, ...]) -> Density:
    """Stars and galaxies for each arcmin² of a frame of `shape`; of a kind that it lacks, half a source in all."""
    area_arcmin2 = shape[0] * shape[1] * (PIXEL_SCALE_ARCSEC / 60) ** 2

    def of(kind: NDArray[np.void]) -> float:
        return max(float(np.sum(1 / kind["share_seen"])), 0.5) / area_arcmin2

    return Density(stars=of(counted[~counted["is_galaxy"]]), galaxies=of(counted[counted["is_galaxy"]]))


def _flux(pixels: NDArray[np.float64], at: NDArray[np.void], radius_px: float, **options: Any) -> NDArray[np.float64]:
    return np.asarray(sep.sum_circle(pixels, at["x"], at["y"], radius_px, **options)[0])


def _of_stars(pixels: NDArray[np.float64], stars: NDArray[np.void]) -> tuple[float, float]:
    """How compact stars are, and the share of their light within 12 px that lies within 5."""
    inner, outer, total = (_flux(pixels, stars, radius) for radius in (_INNER_PX, _OUTER_PX, TOTAL_RADIUS_PX))
    return float(np.median(inner / outer)), float(np.median(outer / total))


def seen(defects: NDArray[np.void], x: NDArray[np.floating], y: NDArray[np.floating]) -> NDArray[np.bool_]:
    """At which places [n] no halo of another star, no trail and no lack of a measurement hides what is there."""
    touched = touching(defects, np.rint(x).astype(int), np.rint(y).astype(int), 1)
    return ~(touched["halo"] | touched["trail"] | touched["masked"])
