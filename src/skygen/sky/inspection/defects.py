"""What spoils parts of a frame: satellite trails, haloes of bright stars, saturated and masked areas."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects, label

from skygen.params import Flag

# A capsule in one band's frame: all pixels within `radius_px` of the segment from (x0, y0) to (x1, y1), 0-based. A
# circle's ends are the same. A halo's star is at (x0, y0).
DEFECT = np.dtype(
    [("band", "U1"), ("kind", "U9"), ("x0", "f8"), ("y0", "f8"), ("x1", "f8"), ("y1", "f8"), ("radius_px", "f8")]
)
ScalarT = TypeVar("ScalarT", bound=np.generic)
MASKED_RUN = 12  # equal pixels side by side: noise in steps of 0.1 % makes runs of 8 in one frame of ten, 12 in none

_STRIP_PX = 16  # an area is described by strips of so many rows


class Capsule(NamedTuple):
    """A defect of some band."""

    kind: Flag
    x0: float
    y0: float
    x1: float
    y1: float
    radius_px: float


def table(capsules: Mapping[str, Sequence[Capsule]]) -> NDArray[np.void]:
    """The capsules of each band as one structured array [defects] of type `DEFECT`."""
    return np.array([(band, *capsule) for band, found in capsules.items() for capsule in found], dtype=DEFECT)


def find_masked(image: NDArray[np.floating]) -> list[Capsule]:
    """The areas of `image` [H, W] that hold no measurement: 12 equal pixels or more in a row or a column."""
    masked = _runs(image, 0) | _runs(image, 1)
    if not masked.any():
        return []
    areas, _ = label(masked, np.ones((3, 3)))
    return [
        _around(start, min(start + _STRIP_PX, rows.stop), columns.start, columns.stop)
        for rows, columns in find_objects(areas)
        for start in range(rows.start, rows.stop, _STRIP_PX)
    ]


def _around(row0: int, row1: int, column0: int, column1: int) -> Capsule:
    """A capsule around the box of pixels from row0 and column0 up to, but without, row1 and column1."""
    half = min(row1 - row0, column1 - column0) / 2
    x0, x1, y0, y1 = column0 - 0.5 + half, column1 - 0.5 - half, row0 - 0.5 + half, row1 - 0.5 - half
    return Capsule("masked", x0, y0, x1, y1, half * np.sqrt(2))


def _runs(image: NDArray[np.floating], axis: int) -> NDArray[np.bool_]:
    """Which pixels of `image` belong to a run of `MASKED_RUN` equal ones or more along `axis`."""

    def steps(array: NDArray[ScalarT], start: int, stop: int | None) -> NDArray[ScalarT]:
        return array[start:stop] if axis == 0 else array[:, start:stop]

    starts, length = steps(image, 1, None) == steps(image, 0, -1), 1  # whether `length` equal steps start here
    while length < MASKED_RUN - 1:
        step = min(length, MASKED_RUN - 1 - length)
        starts, length = steps(starts, 0, -step) & steps(starts, step, None), length + step
    found = np.zeros(image.shape, dtype=bool)
    if starts.any():
        for offset in range(MASKED_RUN):
            part = steps(found, offset, offset + starts.shape[axis])
            part |= starts
    return found


def touching(
    defects: NDArray[np.void], x: NDArray[np.integer], y: NDArray[np.integer], size: int
) -> dict[Flag, NDArray[np.bool_]]:
    """Which tiles [N] each kind of defect touches; `x`, `y` [N] are the tiles' lower left pixels, `size` their side.

    `defects` are those of one band, in whose own pixels the tiles lie. A halo touches a tile only if its star lies
    outside: a star inside is what the tile shows.
    """
    touched: dict[Flag, NDArray[np.bool_]] = {kind: np.zeros(len(x), dtype=bool) for kind in get_args(Flag)}
    for defect in defects:
        at = np.flatnonzero(_may_touch(defect, x, y, size))
        near = _distance_to_squares(defect, x[at], y[at], size) <= defect["radius_px"]
        if defect["kind"] == "halo":
            near &= ~_holds(x[at], y[at], size, float(defect["x0"]), float(defect["y0"]))
        touched[str(defect["kind"])][at[near]] = True  # type: ignore[index] # what is written is a Flag
    return touched


def _may_touch(defect: np.void, x: NDArray[np.integer], y: NDArray[np.integer], size: int) -> NDArray[np.bool_]:
    """Which tiles [N] overlap the box around a defect: few, and only for these is the distance worth its time."""
    low_x, high_x = sorted((defect["x0"], defect["x1"]))
    low_y, high_y = sorted((defect["y0"], defect["y1"]))
    reach = defect["radius_px"]
    beside_x = (x > high_x + reach) | (x + size - 1 < low_x - reach)
    return np.asarray(~(beside_x | (y > high_y + reach) | (y + size - 1 < low_y - reach)))


def _holds(x: NDArray[np.integer], y: NDArray[np.integer], size: int, at_x: float, at_y: float) -> NDArray[np.bool_]:
    inside_x = (at_x >= x - 0.5) & (at_x < x + size - 0.5)
    return np.asarray(inside_x & (at_y >= y - 0.5) & (at_y < y + size - 0.5))


def _distance_to_squares(
    defect: np.void, x: NDArray[np.integer], y: NDArray[np.integer], size: int
) -> NDArray[np.float64]:
    """The distance [N] in px between the defect's segment and the square of each tile's pixel centres; 0 inside."""
    half = (size - 1) / 2
    start = np.stack([defect["x0"] - x - half, defect["y0"] - y - half], axis=-1)  # [N, 2], from the tile's middle
    along = np.array([defect["x1"] - defect["x0"], defect["y1"] - defect["y0"]])
    # The distance to a convex set is a convex function along the segment: golden section would do, but it is piecewise
    # quadratic, so that its least value lies at an end, or nearest to a corner, or where the segment crosses an edge.
    corners = half * np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]])
    length2 = max(float(along @ along), 1e-12)
    at = [np.zeros(len(start)), np.ones(len(start))]
    at += [(corner - start) @ along / length2 for corner in corners]
    at += [(edge - start[:, axis]) / along[axis] for axis in (0, 1) for edge in (-half, half) if along[axis]]
    points = start[:, None] + np.clip(np.stack(at, axis=1), 0, 1)[..., None] * along
    outside = np.maximum(np.abs(points) - half, 0)
    return np.asarray(np.hypot(outside[..., 0], outside[..., 1]).min(axis=1))
