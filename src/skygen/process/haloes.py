"""Which places the halo of a star outside spoils, as the survey's inspection would say it, from the catalogue alone."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from skygen.process.bright import Halo
from skygen.process.cells import Catalogue
from skygen.process.profiles import PSF
from skygen.sky.spread import SPIKE_SCALE_PX, SPIKE_SHARE

# These six as skygen.sky.inspection.bright has them, which no bare machine imports.
NOTICEABLE = 0.35  # sky noise of a pixel: light of a halo that raises the background by more counts
STAR_NMGY = 500.0  # in the band: fainter stars raise nothing beyond MIN_HALO_PX
MIN_HALO_PX = 24.0
SPIKE_PX = 8.0  # half the width of an arm of the cross
RING_SHARE = 0.15  # of the halo that an arm must add to it
BIN_PX = 4  # side of what is taken together to see faint light
MARGIN_PX = 256  # no halo reaches farther
FAINTEST_MAG = 17.0  # in r, of a star with a halo in some band


class Sight(NamedTuple):
    """Under what n boxes are seen, and how far bright stars shine."""

    noise_nmgy: NDArray[np.float64]  # [n, bands]
    core_px: NDArray[np.float64]  # [n, bands] of the PSF
    halo: Halo

    def take(self, rows: NDArray[np.int64]) -> "Sight":
        """The rows of some boxes."""
        return self._replace(noise_nmgy=self.noise_nmgy[rows], core_px=self.core_px[rows])


def spoilt(
    stars: Catalogue, x: NDArray[np.integer], y: NDArray[np.integer], size: int, sight: Sight
) -> NDArray[np.bool_]:
    """Which places [n, k] of `size` px, whose first pixels are `x` and `y` [n, k] in the frames of n boxes, are spoilt.

    `stars` are those of the boxes and around them; `sight` has a row for each box.
    """
    objects, found = stars.objects, np.zeros(x.shape, bool)
    bright = np.flatnonzero((objects.flux_nmgy > STAR_NMGY).any(1).numpy() & ~objects.is_galaxy.numpy())
    box = stars.box[bright]
    dx, dy = (_beside(part.numpy()[bright, None], first[box], size) for part, first in ((objects.x, x), (objects.y, y)))
    farther = np.maximum(dx, dy)
    star, place = np.nonzero((farther > 0.5) & (farther < MARGIN_PX))  # of a star nearer the centre is inside
    flux = objects.flux_nmgy.numpy()[bright[star]]
    shows = (flux > STAR_NMGY) & _shows(dx[star, place], dy[star, place], flux, sight.take(box[star]))
    some = shows.any(1)
    found[box[star[some]], place[some]] = True
    return found


def _beside(at: NDArray[np.float64], first: NDArray[np.integer], size: int) -> NDArray[np.float64]:
    """How far in one direction a star lies beside the centres of the pixels from `first` on; 0 among them."""
    return np.maximum(np.maximum(first - at, at - first - size + 1), 0.0)


def _shows(
    dx: NDArray[np.float64], dy: NDArray[np.float64], flux: NDArray[np.float64], sight: Sight
) -> NDArray[np.bool_]:
    """Whether stars dx and dy px [n] away raise the background [n, bands], by haloes or by an arm of their crosses."""
    limit, core, halo = NOTICEABLE * sight.noise_nmgy, sight.core_px, sight.halo
    near = flux * _ring(np.maximum(np.hypot(dx, dy), MIN_HALO_PX), core, halo) > limit
    along, across = np.maximum(dx, dy), np.minimum(dx, dy)
    along = np.maximum(along, MIN_HALO_PX)
    in_bins = SPIKE_SHARE * np.minimum((2 * np.pi) ** 0.5 * core / BIN_PX, 1)
    arm = in_bins * np.exp(-along / SPIKE_SCALE_PX)[:, None] - RING_SHARE * _ring(along, core, halo)
    return np.asarray(near | (flux * arm > limit) & (across <= SPIKE_PX)[:, None])


def _ring(distance: NDArray[np.float64], core: NDArray[np.float64], halo: Halo) -> NDArray[np.float64]:
    """Light a pixel [n, bands] of stars of flux 1 at distances [n], off the arms of their crosses."""
    far = distance[:, None]
    share, scale = (part.double().numpy() for part in halo[:2])
    light = share / (2 * np.pi * scale**2) * np.exp(-far / scale)
    for part, width in zip(*PSF, strict=True):
        square = (width * core) ** 2
        light = light + part / (2 * np.pi * square) * np.exp(-(far**2) / (2 * square))
    return np.asarray(light)
