"""What a frame shows that is no source: saturated cores as the survey fills them in, and satellite trails.

Numpy alone is imported, since the process serves where nothing else is.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLEED_PX = 100  # that a column's charge runs at most, up and down
NARROW_WIDE_PX = (5.0, 11.0)  # gaps that are filled level, and that are filled to half
GROWN_PX = 1  # by which the survey masks more than what is saturated


@dataclass(frozen=True)
class Trail:
    """A satellite's: a straight line through 0-based (x, y), across the whole frame."""

    x_px: float
    y_px: float
    angle_rad: float  # from x towards y
    nmgy_per_px: float  # of its length
    width_px: float  # standard deviation across


def trail_nmgy(trail: Trail, shape: tuple[int, int]) -> NDArray[np.float64]:
    """The light [H, W] of `trail` in nmgy a pixel: Gaussian across the line, the same all along it."""
    rows, columns = np.arange(shape[0])[:, None] - trail.y_px, np.arange(shape[1]) - trail.x_px
    across = rows * np.cos(trail.angle_rad) - columns * np.sin(trail.angle_rad)
    peak = trail.nmgy_per_px / (np.sqrt(2 * np.pi) * trail.width_px)
    return np.asarray(peak * np.exp(-((across / trail.width_px) ** 2) / 2))


def saturated_pixels(expected_counts: NDArray[np.float64], full_well_counts: float) -> NDArray[np.bool_]:
    """Where [H, W] a CCD saturates: what exceeds the full well runs along its column, half up and half down."""
    saturated = expected_counts > full_well_counts
    grown = saturated.copy()
    for column in np.unique(np.nonzero(saturated)[1]):
        for first, last in _runs(saturated[:, column]):
            excess = expected_counts[first:last, column].sum() / full_well_counts - (last - first)
            run = min(BLEED_PX, int(np.ceil(excess / 2)))
            grown[max(first - run, 0) : last + run, column] = True
    for axis in (0, 1):
        for _ in range(GROWN_PX):
            grown = _and_neighbours(grown, axis)
    return grown


def fill_saturated(image: NDArray[np.float64], saturated: NDArray[np.bool_]) -> NDArray[np.float64]:
    """`image` [H, W], sky-subtracted, with its `saturated` pixels filled in along the rows, as the survey does.

    A narrow gap, such as bleeding leaves, gets the mean of its two ends; in a wide one the fill falls within a few
    pixels to half of that: so real cores look, between two bright flanks. They are no measurement of the star.
    """
    filled = image.copy()
    for row in np.flatnonzero(saturated.any(axis=1)):
        for first, last in _runs(saturated[row]):
            left = image[row, first - 1] if first > 0 else image[row, min(last, image.shape[1] - 1)]
            right = image[row, last] if last < image.shape[1] else left
            inner = (left + right) / 2 * np.interp(last - first, NARROW_WIDE_PX, (1.0, 0.5))
            steps = np.arange(1, last - first + 1)
            fill = inner + (left - inner) * 0.5**steps + (right - inner) * 0.5 ** steps[::-1]
            filled[row, first:last] = fill
    return filled


def _and_neighbours(mask: NDArray[np.bool_], axis: int) -> NDArray[np.bool_]:
    grown = mask.copy()
    out, along = (np.moveaxis(image, axis, 0) for image in (grown, mask))
    out[1:] |= along[:-1]
    out[:-1] |= along[1:]
    return grown


def _runs(line: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and one past the last of each stretch of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], line, [False]]).astype(np.int8)))
    return [(int(first), int(last)) for first, last in edges.reshape(-1, 2)]
