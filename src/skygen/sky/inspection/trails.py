"""Trails of satellites and aeroplanes: straight lines of light that one band shows and the others do not.

The bands look at the same sky 70 seconds and more after each other, so that what several of them show is sky. The image
is binned, stripped of its smooth background and of what other bands show, and searched by a Hough transform (Duda &
Hart 1972, doi:10.1145/361237.361242); the lines that stand out are then measured on the image itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, uniform_filter, uniform_filter1d
from skimage.transform import hough_line

from skygen.sky.inspection.binned import BIN_PX
from skygen.sky.inspection.defects import Capsule

SNR = 6.5  # at least, of a trail along its length: frames without any reach 5 (docs/log.md)
MIN_LENGTH_PX = 160
_MORE_PX = 64.0  # by which a trail is thought longer at each end
_ON = 1.5  # noise of a binned pixel, above which it counts for the transform
_CLIP = 3.0  # noise, beyond which a pixel says no more: a source is no line
_SHARED = 1.2  # noise of a binned pixel, above which the mean of 3 x 3 in another band is sky
_ANGLES = np.linspace(-np.pi / 2, np.pi / 2, 540, endpoint=False)
_TURNS = np.deg2rad(np.arange(-0.2, 0.25, 0.1))  # tried around an angle of the transform
_COARSE = 6  # angles in one: the length of a line inside the image changes slowly with them
_CANDIDATE_SNR = 5.0  # of the transform
_CANDIDATES = 6
_ACROSS = np.arange(-8.0, 8.5, 0.5)  # binned px, where a line is measured
_CORE = np.abs(_ACROSS) <= 3
_DIM = 0.25  # noise of a binned pixel: where a line is dimmer it has ended
_MIN_PIXELS = 20
_WIDEST = 6.0  # binned px of half-width: wider, it is a stripe that flattening left beside a very bright star
_SLIM = 16  # half-widths: shorter, it is a patch of light
_IN_OTHERS = 0.2  # share of the brightness that another band may show


@dataclass(frozen=True)
class Trail:
    """A trail: ends and half-width in px of its frame, S/N, and brightness in units of the noise of a binned pixel."""

    x0: float
    y0: float
    x1: float
    y1: float
    radius_px: float
    snr: float
    brightness: float

    def capsule(self) -> Capsule:
        """The trail as a defect, a little longer than it was seen: its ends may fade."""
        along = np.array([self.x1 - self.x0, self.y1 - self.y0])
        more_x, more_y = _MORE_PX * along / np.hypot(*along)
        start, end = (
            (self.x0 - float(more_x), self.y0 - float(more_y)),
            (self.x1 + float(more_x), self.y1 + float(more_y)),
        )
        return Capsule("trail", *start, *end, self.radius_px)


@dataclass(frozen=True)
class _Line:
    """A stretch of a line: the angle of its normal, and its places [length], a binned pixel apart."""

    angle: float
    x: NDArray[np.float64]
    y: NDArray[np.float64]

    @classmethod
    def across(cls, shape: tuple[int, ...], angle: float, distance: float) -> "_Line":
        """The line through an image of `shape` whose normal from the origin has this angle and length."""
        reach = float(np.hypot(shape[0], shape[1]))
        along = np.arange(-reach, reach)
        x, y = distance * np.cos(angle) - along * np.sin(angle), distance * np.sin(angle) + along * np.cos(angle)
        inside = (x > -0.5) & (y > -0.5) & (x < shape[1] - 0.5) & (y < shape[0] - 0.5)
        return cls(angle, x[inside], y[inside])

    def part(self, start: int, stop: int, offset: float) -> "_Line":
        """The places from `start` to `stop`, moved by `offset` along the normal."""
        x, y = self.x + offset * np.cos(self.angle), self.y + offset * np.sin(self.angle)
        return _Line(self.angle, x[start:stop], y[start:stop])

    def sample(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """`image` along and across the line [length, across]; NaN outside."""
        column = np.rint(self.x[:, None] + _ACROSS * np.cos(self.angle)).astype(int)
        row = np.rint(self.y[:, None] + _ACROSS * np.sin(self.angle)).astype(int)
        inside = (column >= 0) & (row >= 0) & (column < image.shape[1]) & (row < image.shape[0])
        return np.where(inside, image[row * inside, column * inside], np.float32(np.nan))


def find_trails(
    flat: NDArray[np.float32], others: Sequence[NDArray[np.float32]], sources: NDArray[np.bool_] | None = None
) -> list[Trail]:
    """The trails in `flat`, which `flatten` made of one band; `others` are other bands, brought onto it by `align`.

    `sources` marks binned pixels that hold sources: what is known where there are no other bands.
    """
    shared = np.zeros(flat.shape, bool) if sources is None else sources.copy()
    for other in others:
        shared |= uniform_filter(other, 3) > _SHARED
    light = np.where(maximum_filter(shared, 5), np.nan, np.clip(flat, -_CLIP, _CLIP)).astype(np.float32)
    trails: list[Trail] = []
    for angle, distance in _candidates(light):
        line, snr = _best_stretch(light, angle, distance)
        trail = _trail(line, snr, light)
        if trail is None or any(_shows(line, np.clip(other, -_CLIP, _CLIP), trail) for other in others):
            continue
        if not any(_same(trail, known) for known in trails):
            trails.append(trail)
    return trails


def _candidates(light: NDArray[np.float32]) -> list[tuple[float, float]]:
    """Angle and distance from the origin of the lines with most bright pixels for their length, best first."""
    seen = np.isfinite(light)
    bright = seen & (light > _ON)
    counts, _, distances = hough_line(bright, theta=_ANGLES)  # type: ignore[no-untyped-call] # skimage lacks types
    # How many pixels of a line can be seen: counted on one in nine, drawn at random so as to favour no direction.
    drawn = np.random.default_rng(0).random(seen.shape) < 1 / 9
    coarse, _, _ = hough_line(seen & drawn, theta=_ANGLES[::_COARSE])  # type: ignore[no-untyped-call]
    lengths = 9 * coarse.astype(np.float32)
    lengths = np.repeat(uniform_filter1d(lengths, 9, axis=0), _COARSE, axis=1)
    expected = bright.sum() / max(1, seen.sum()) * lengths
    wide = uniform_filter1d(counts.astype(np.float32), 3, axis=0)  # a trail is wider than a pixel
    excess = (wide - expected) / np.sqrt(np.maximum(expected, 4) / 3)
    found = []
    for _ in range(_CANDIDATES):
        row, column = np.unravel_index(int(excess.argmax()), excess.shape)
        if excess[row, column] < _CANDIDATE_SNR:
            break
        found.append((float(_ANGLES[column]), float(distances[row])))
        excess[max(0, row - 12) : row + 13, max(0, column - 12) : column + 13] = 0
    return found


def _best_stretch(light: NDArray[np.float32], angle: float, distance: float) -> tuple[_Line, float]:
    """The stretch of a line near the one given with the highest S/N, and that S/N."""
    best, best_snr = _Line.across(light.shape, angle, distance), 0.0
    for turned in angle + _TURNS:
        line = _Line.across(light.shape, turned, distance)
        values = line.sample(light)
        seen = np.isfinite(values)
        share = uniform_filter1d(seen.astype(np.float32), 3, axis=1)
        mean = uniform_filter1d(np.where(seen, values, 0), 3, axis=1) / np.maximum(share, 0.3)
        for column in np.flatnonzero(_CORE):
            usable = share[:, column] > 0.3
            start, stop = _brightest_stretch(np.where(usable, mean[:, column] - _DIM, 0))
            pixels = int(usable[start:stop].sum())
            snr = float(mean[start:stop, column][usable[start:stop]].sum() / np.sqrt(max(pixels, 1)))
            if pixels >= _MIN_PIXELS and snr > best_snr:
                best, best_snr = line.part(start, stop, float(_ACROSS[column])), snr
    return best, best_snr


def _brightest_stretch(values: NDArray[np.floating]) -> tuple[int, int]:
    """The start and stop of the stretch of `values` with the largest sum (Bentley 1984, doi:10.1145/358234.381162)."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    stop = int(np.argmax(total - np.minimum.accumulate(total)))
    return int(np.argmin(total[: stop + 1])), stop


def _contrast(line: _Line, image: NDArray[np.float32]) -> tuple[float, float, NDArray[np.float64]]:
    """How much brighter a line is than its sides, the error of that, and the profile across it less the sides."""
    values = line.sample(image)
    counts = np.isfinite(values).sum(0)
    profile = np.nansum(values, axis=0) / np.maximum(counts, 1)
    sides = (np.abs(_ACROSS) >= 5) & (counts > 0)
    profile = profile - (profile[sides].mean() if sides.any() else 0)
    core = np.abs(_ACROSS) <= 0.5
    return float(profile[core].mean()), float(1 / np.sqrt(max(counts[core].mean(), 1))), profile


def _trail(line: _Line, snr: float, light: NDArray[np.float32]) -> Trail | None:
    """The trail along `line`; None where the line is too faint, too short or no brighter than its sides."""
    length_px = BIN_PX * np.hypot(line.x[-1] - line.x[0], line.y[-1] - line.y[0]) if len(line.x) else 0
    if snr < SNR or length_px < MIN_LENGTH_PX:
        return None
    brightness, error, profile = _contrast(line, light)
    if brightness < max(_DIM, 4 * error):
        return None
    wide = np.abs(_ACROSS[profile > max(0.25 * brightness, 2 * error)])
    half_width = float(wide.max(initial=0.5))
    if half_width > _WIDEST or length_px < _SLIM * half_width * BIN_PX:
        return None
    x, y = (BIN_PX * (line_at[[0, -1]] + 0.5) - 0.5 for line_at in (line.x, line.y))
    ends = float(x[0]), float(y[0]), float(x[1]), float(y[1])
    return Trail(*ends, BIN_PX * (half_width + 1), snr, brightness)


def _shows(line: _Line, other: NDArray[np.float32], trail: Trail) -> bool:
    """Whether another band shows the line too: then it is a spike of a star, or sky."""
    brightness, error, _ = _contrast(line, other)
    return brightness > max(_IN_OTHERS * trail.brightness, 3 * error)


def _same(trail: Trail, known: Trail) -> bool:
    """Whether the middle of `trail` lies on `known`, prolonged at both ends by half its length."""
    along = np.array([known.x1 - known.x0, known.y1 - known.y0])
    length = float(np.hypot(*along))
    middle = np.array([trail.x0 + trail.x1, trail.y0 + trail.y1]) / 2 - (known.x0, known.y0)
    off = abs(float(along[0] * middle[1] - along[1] * middle[0])) / length
    return off < 2 * known.radius_px + 8 and -0.5 < float(along @ middle) / length**2 < 1.5
