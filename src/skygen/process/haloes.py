"""Which places the halo of a bright object outside spoils, as the survey's inspection would say, from the catalogue."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from skygen.process.bright import Halo, halo_of
from skygen.process.cells import Catalogue
from skygen.process.objects import Objects
from skygen.process.profiles import PIXEL_VARIANCE, SIZES, core_px, galaxy_gaussians
from skygen.sky.spread import CALIBRATION_NMGY_PER_COUNT, SPIKE_SCALE_PX, SPIKE_SHARE

# These seven as skygen.sky.inspection.bright has them, which no bare machine imports.
NOTICEABLE = 0.35  # sky noise of a pixel: light of a halo that raises the background by more counts
STAR_NMGY = 500.0  # in the band: what is fainter raises nothing beyond MIN_HALO_PX
STAR_PEAK_COUNTS = 3000.0
MIN_HALO_PX = 24.0
SPIKE_PX = 8.0  # half the width of an arm of the cross
RING_SHARE = 0.15  # of the halo that an arm must add to it
BIN_PX = 4  # side of what is taken together to see faint light: the inspection's haloes are so much larger
ON_ARM = 0.7  # of an arm's light lies in the bins along it, on average: some crosses run along an edge of theirs
MARGIN_PX = 256  # no halo reaches farther
FAINTEST_MAG = 17.0  # in r, of what has a halo in some band


class Sight(NamedTuple):
    """Under what n boxes are seen, and how far bright stars shine."""

    noise_nmgy: NDArray[np.float64]  # [n, bands]
    core_px: NDArray[np.float64]  # [n, bands] of the PSF
    halo: Halo
    nmgy_per_count: tuple[float, ...]  # [bands]

    @classmethod
    def of(cls, bands: Sequence[str], noise_nmgy: NDArray[np.floating], psf_fwhm_px: NDArray[np.floating]) -> "Sight":
        """What is seen under sky noise and PSF [n, bands]."""
        core = core_px(torch.from_numpy(psf_fwhm_px.astype(np.float64))).numpy()
        calibration = tuple(float(np.mean(CALIBRATION_NMGY_PER_COUNT[band])) for band in bands)
        return cls(noise_nmgy.astype(np.float64), core, halo_of(bands), calibration)

    def take(self, rows: NDArray[np.int64]) -> "Sight":
        """The rows of some boxes."""
        return self._replace(noise_nmgy=self.noise_nmgy[rows], core_px=self.core_px[rows])


class _Bright(NamedTuple):
    """n bright objects, and under what each is seen."""

    flux_nmgy: NDArray[np.float64]  # [n, bands]
    is_galaxy: NDArray[np.bool_]
    square_px2: NDArray[np.float64]  # [n] of the half-light radius of a circle of the same area
    bulge_share: NDArray[np.float64]
    sight: Sight

    @classmethod
    def of(cls, objects: Objects, sight: Sight) -> "_Bright":
        """Objects, and the sight of each."""
        square = (objects.radius_px**2 * objects.axis_ratio).numpy()
        flux, galaxy, bulge = (part.numpy() for part in (objects.flux_nmgy, objects.is_galaxy, objects.bulge_share))
        return cls(flux, galaxy, square, bulge, sight)

    def ring(self, distance: NDArray[np.float64]) -> NDArray[np.float64]:
        """Light a pixel [n, bands] at distances [n], off the arms of crosses."""
        far, star = distance[:, None], ~self.is_galaxy[:, None]
        share, scale = (part.double().numpy() for part in self.sight.halo)
        glow = star * share / (2 * np.pi * scale**2) * np.exp(-far / scale)
        radial, blur, in_disc, in_bulge = (np.array(part) for part in galaxy_gaussians(len(SIZES), np.inf))
        blurred = self.sight.core_px[..., None] ** 2 * blur + PIXEL_VARIANCE  # [n, bands, g]
        square = (self.square_px2[:, None] * radial)[:, None] + blurred
        part = in_disc + self.bulge_share[:, None] * (in_bulge - in_disc)
        light = part[:, None] / (2 * np.pi * square) * np.exp(-(far[..., None] ** 2) / (2 * square))
        return np.asarray(self.flux_nmgy * (glow + light.sum(-1)))

    def shows(self, dx: NDArray[np.float64], dy: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether they raise the background [n, bands] dx and dy px [n] away, by haloes or by an arm of a cross.

        The inspection says the first bin at which the light has fallen, smoothed over its neighbours: a bin too far.
        """
        limit = NOTICEABLE * self.sight.noise_nmgy
        around = self.ring(np.maximum(np.hypot(dx, dy), MIN_HALO_PX) - BIN_PX) > limit
        along, across = np.maximum(np.maximum(dx, dy), MIN_HALO_PX), np.minimum(dx, dy)
        in_bins = np.minimum(ON_ARM * (2 * np.pi) ** 0.5 * self.sight.core_px / BIN_PX, 1)
        arm = self.flux_nmgy * SPIKE_SHARE * in_bins * np.exp(-along / SPIKE_SCALE_PX)[:, None]
        arms = arm - RING_SHARE * self.ring(along) > limit
        return np.asarray(around | (arms & (~self.is_galaxy & (across <= SPIKE_PX))[:, None]))


def spoilt(
    stars: Catalogue, x: NDArray[np.integer], y: NDArray[np.integer], size: int, sight: Sight
) -> NDArray[np.bool_]:
    """Which places [n, k] of `size` px, whose first pixels are `x` and `y` [n, k] in the frames of n boxes, are spoilt.

    `stars` are what is bright in the boxes and around them; `sight` has a row for each box.
    """
    found = np.zeros(x.shape, bool)
    stars = stars.take((stars.objects.flux_nmgy > STAR_NMGY).any(1).numpy())
    shine = _Bright.of(stars.objects, sight.take(stars.box))
    peak = STAR_PEAK_COUNTS * np.array(sight.nmgy_per_count)
    dim = (shine.flux_nmgy <= STAR_NMGY) | (shine.ring(np.zeros(len(stars.box))) <= peak)  # [n, bands]
    dx, dy = (
        _beside(part.numpy()[:, None], first[stars.box], size)
        for part, first in ((stars.objects.x, x), (stars.objects.y, y))
    )
    farther = np.maximum(dx, dy)
    star, place = np.nonzero((farther > 0.5) & (farther < MARGIN_PX))  # of a star nearer the centre is inside
    near = stars.take(star)
    shows = _Bright.of(near.objects, sight.take(near.box)).shows(dx[star, place], dy[star, place])
    some = (shows & ~dim[star]).any(1)
    found[near.box[some], place[some]] = True
    return found


def _beside(at: NDArray[np.float64], first: NDArray[np.integer], size: int) -> NDArray[np.float64]:
    """How far in one direction a star lies beside the centres of the pixels from `first` on; 0 among them."""
    return np.asarray(np.maximum(np.maximum(first - at, at - first - size + 1), 0.0))
