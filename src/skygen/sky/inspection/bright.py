"""What bright stars do to a frame: haloes and diffraction spikes, saturated cores, glow of stars beside it."""

from collections.abc import Sequence

import numpy as np
import sep
from numpy.typing import NDArray
from scipy.ndimage import label, uniform_filter1d

from skygen.sky.inspection.binned import BIN_PX
from skygen.sky.inspection.defects import Capsule
from skygen.sky.inspection.detection import TOTAL_RADIUS_PX

NOTICEABLE = 0.35  # sky noise of a pixel: light that raises the background by more counts
STAR_NMGY = 500.0  # in the band: fainter stars raise nothing beyond MIN_HALO_PX
STAR_PEAK_COUNTS = 3000.0  # a galaxy's centre is dimmer
MIN_HALO_PX = 24.0  # what reaches less far is the image of the star, which belongs to the sky
_MAX_HALO_PX = 400.0
_FLAT = 0.75  # of the peak that an unsaturated star of this flux has: below, the core is cut off
_SATURATED_SHARE = 0.4  # of the peak, above which a pixel of such a star belongs to the core
_CORE_PX = 64
_ANGLES = np.deg2rad(np.arange(0, 360, 3.0))
_RADII = np.arange(1.0, _MAX_HALO_PX / BIN_PX + 1)  # binned px
_ARMS = 4  # of the cross that the secondary mirror's vanes make
_SPIKE_PX = 8.0
_SPIKE_START = 8  # binned px: nearer, a star is no cross
_SPIKE_SHARE = 0.15  # of the halo that an arm must add to it
_CLIP = 1.5  # sky noise
_GLOW_BLOCK = 16  # binned px
_GLOW_BLOCKS = 8  # at least, side by side: a galaxy raises fewer


def find_bright(
    image: NDArray[np.floating],
    binned: NDArray[np.float32],
    noise: float,
    nmgy_per_count: float,
    psf_peak: float,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
) -> list[Capsule]:
    """Haloes, spikes, saturated cores and glow in `image` [H, W], whose sources lie near `x`, `y` (px).

    `binned` is what `bin_pixels` made of it, `noise` that of a pixel in nmgy, `psf_peak` the share of a star's flux
    that its brightest pixel has where nothing saturates.
    """
    inside = (x > 0) & (y > 0) & (x < image.shape[1] - 1) & (y < image.shape[0] - 1)
    x, y = x[inside], y[inside]
    flux, _, _ = sep.sum_circle(np.ascontiguousarray(image), x, y, TOTAL_RADIUS_PX)
    x, y, flux = (values[flux > STAR_NMGY] for values in (x, y, flux))
    peak = np.array([_near(image, *place).max() for place in zip(x, y, strict=True)])
    is_star = peak > STAR_PEAK_COUNTS * nmgy_per_count
    is_cut_off = is_star & (peak < _FLAT * psf_peak * flux)
    haloes = find_haloes(binned, noise, x[is_star], y[is_star])
    cores = [saturated_core(image, *place) for place in zip(x[is_cut_off], y[is_cut_off], strict=True)]
    return [*haloes, *cores, *find_glow(binned, noise, haloes)]


def find_haloes(
    binned: NDArray[np.float32], noise: float, x: NDArray[np.float64], y: NDArray[np.float64]
) -> list[Capsule]:
    """The haloes of the stars at `x`, `y` (px), and the spikes that reach beyond them.

    `binned` is the mean of 4 x 4 pixels, `noise` that of a pixel, in the same unit. A halo's radius is the first at
    which the median around the star is no more than `NOTICEABLE`; small ones are left out.
    """
    found = []
    for star_x, star_y in zip(x, y, strict=True):
        around = _polar(binned, star_x, star_y) / noise
        radius = BIN_PX * _reach(_median(around))
        if radius < MIN_HALO_PX:
            continue
        found.append(Capsule("halo", star_x, star_y, star_x, star_y, radius))
        angle, length = _spikes(around)
        if BIN_PX * length > radius + _SPIKE_PX:
            for arm in angle + np.arange(_ARMS) * (2 * np.pi / _ARMS):
                end = (star_x + BIN_PX * length * np.cos(arm), star_y + BIN_PX * length * np.sin(arm))
                found.append(Capsule("halo", star_x, star_y, *end, _SPIKE_PX))
    return found


def find_glow(binned: NDArray[np.float32], noise: float, haloes: Sequence[Capsule]) -> list[Capsule]:
    """Circles where light raises the background widely and none of `haloes` says why: ghosts, stars outside the frame.

    `binned` and `noise` are as for `find_haloes`.
    """
    rows, columns = binned.shape[0] // _GLOW_BLOCK, binned.shape[1] // _GLOW_BLOCK
    whole = binned[: rows * _GLOW_BLOCK, : columns * _GLOW_BLOCK]
    blocks = whole.reshape(rows, _GLOW_BLOCK, columns, _GLOW_BLOCK).transpose(0, 2, 1, 3).reshape(rows, columns, -1)
    bright = np.median(blocks, axis=-1) > NOTICEABLE * noise
    side = _GLOW_BLOCK * BIN_PX
    y, x = (np.indices(bright.shape) + 0.5) * side - 0.5
    for halo in haloes:
        bright &= np.hypot(x - halo.x0, y - halo.y0) > halo.radius_px + side / 2
    areas, _ = label(bright)
    wide = bright & (np.bincount(areas.ravel())[areas] >= _GLOW_BLOCKS)
    return [Capsule("halo", *place, *place, side / np.sqrt(2)) for place in zip(x[wide], y[wide], strict=True)]


def saturated_core(image: NDArray[np.floating], x: float, y: float) -> Capsule:
    """The core of the saturated star near (x, y), upright along the columns, down which charge bleeds."""
    left, low = (max(0, round(at) - _CORE_PX) for at in (x, y))
    stamp = _near(image, x, y, _CORE_PX)
    areas, _ = label(stamp > _SATURATED_SHARE * _near(image, x, y).max())
    here = _near(areas, x - left, y - low)
    rows, columns = np.nonzero(areas == here[here > 0][0])
    centre, half = left + (columns.min() + columns.max()) / 2, (columns.max() - columns.min()) / 2 + 1
    bottom, top = low + rows.min() + half - 1, low + rows.max() - half + 1
    middle = (bottom + top) / 2
    return Capsule("saturated", centre, min(bottom, middle), centre, max(top, middle), half + 1)


def _near(image: NDArray[np.floating], x: float, y: float, reach: int = 3) -> NDArray[np.floating]:
    row, column = round(y), round(x)
    return image[max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1]


def _polar(binned: NDArray[np.float32], x: float, y: float) -> NDArray[np.float64]:
    """`binned` around a place in px [radii, angles]; NaN outside."""
    at_x, at_y = ((at + 0.5) / BIN_PX - 0.5 for at in (x, y))
    column = np.rint(at_x + _RADII[:, None] * np.cos(_ANGLES)).astype(int)
    row = np.rint(at_y + _RADII[:, None] * np.sin(_ANGLES)).astype(int)
    inside = (column >= 0) & (row >= 0) & (column < binned.shape[1]) & (row < binned.shape[0])
    return np.where(inside, binned[row * inside, column * inside], np.nan)


def _median(around: NDArray[np.float64]) -> NDArray[np.float64]:
    """The median of each ring [radii], which sources hardly move; NaN where less than a fifth of a ring is inside."""
    ordered = np.sort(around, axis=1)  # NaN last
    known = np.isfinite(ordered).sum(1)
    middle = ordered[np.arange(len(ordered)), np.maximum(known - 1, 0) // 2]
    return np.where(known >= around.shape[1] / 5, middle, np.nan)


def _reach(profile: NDArray[np.float64]) -> float:
    """The radius in binned px at which a profile [radii] first falls to `NOTICEABLE`; where it never does, the last."""
    fallen = np.flatnonzero(~(uniform_filter1d(profile, 3) > NOTICEABLE))
    return float(_RADII[fallen[0]] if len(fallen) else _RADII[-1])


def _spikes(around: NDArray[np.float64]) -> tuple[float, float]:
    """The angle of a star's cross (0 to a quarter turn) and the length of its arms in binned px; no arms, no length."""
    rings = _median(around)[:, None]
    # Clipped, so that a source on one arm does not stand for four.
    excess = np.nan_to_num(np.clip(around - rings, -_CLIP, _CLIP))
    arms = excess.reshape(len(_RADII), _ARMS, -1).mean(axis=1)  # [radii, angles of a quarter turn]
    above = uniform_filter1d(arms - _SPIKE_SHARE * np.nan_to_num(rings), 9, axis=0)
    lengths = [_length(above[:, column]) for column in range(above.shape[1])]
    best = int(np.argmax(lengths))
    return float(_ANGLES[best]), float(lengths[best])


def _length(above: NDArray[np.float64]) -> float:
    """Where an arm ends: the last radius of the first stretch beyond `_SPIKE_START` that is bright."""
    bright = above[_SPIKE_START:] > NOTICEABLE
    return float(_SPIKE_START + (len(bright) if bright.all() else int(np.argmin(bright))))
