"""How a frame's light is spread: the PSF, the glow and the spikes of bright stars."""

from dataclasses import dataclass
from functools import cached_property

import galsim
import numpy as np
from numpy.typing import NDArray

from skygen.sky.spread import (
    CORE_SHARE,
    SHOULDER_SHARE,
    SHOULDER_WIDTH,
    SPIKE_SCALE_PX,
    SPIKE_SHARE,
    WING_BETA,
    WING_SHARE,
    WING_WIDTH,
)

# The wing may wrap around a stamp, where it is under a percent of a galaxy's light; 1,800 px would hold it all.
_COARSE, _VERY_COARSE = galsim.GSParams(folding_threshold=0.02), galsim.GSParams(folding_threshold=0.25)


@dataclass(frozen=True)
class Optics:
    """What spreads a frame's light: full width at half maximum of the PSF, its shear, and the angle of the spikes."""

    fwhm_px: float
    shear: galsim.Shear
    glow: tuple[float, float]  # share and scale, as in GLOW
    spike_angle_rad: float

    @cached_property
    def core_px(self) -> float:
        """The standard deviation of the core."""
        return self.fwhm_px / _FWHM_OF_UNIT_CORE

    @cached_property
    def psf(self) -> galsim.GSObject:
        """The PSF in pixels, of flux 1, without what only bright stars show."""
        parts = [_gaussians(self.core_px), _wing(self.core_px)]
        return galsim.Sum(parts, propagate_gsparams=False).shear(self.shear)

    @cached_property
    def gaussians(self) -> galsim.GSObject:
        """The PSF without its wing."""
        return _gaussians(self.core_px).shear(self.shear)

    def enclosed(self, radius_px: float) -> float:
        """The share of a star's flux within a circle, for a round PSF and without glow and spikes."""
        square = (radius_px / self.core_px) ** 2
        shoulder = 1 - np.exp(-square / (2 * SHOULDER_WIDTH**2))
        wing = 1 - 1 / np.sqrt(1 + square / WING_WIDTH**2)
        return float(CORE_SHARE * (1 - np.exp(-square / 2)) + SHOULDER_SHARE * shoulder + WING_SHARE * wing)

    def reach_px(self, flux: float, faint: float) -> int:
        """The distance from a star of `flux` beyond which wing, glow and spikes add less than `faint` a pixel."""
        share, scale = self.glow
        wing = (WING_SHARE * WING_WIDTH * self.core_px * flux / (2 * np.pi * faint)) ** (1 / 3)
        glow = scale * np.log(max(share * flux / (2 * np.pi * scale**2 * faint), 1.0))
        spikes = SPIKE_SCALE_PX * np.log(max(SPIKE_SHARE * flux / faint, 1.0))
        return int(np.ceil(max(wing, glow, spikes, 8 * self.core_px)))

    def halo(self, dx: NDArray[np.float64], dy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Wing, glow and spikes of a star of flux 1 [len(dy), len(dx)] at distances in px; smooth over a pixel."""
        square = dx**2 + dy[:, None] ** 2
        width = WING_WIDTH * self.core_px
        image = WING_SHARE / (2 * np.pi * width**2) * (1 + square / width**2) ** -WING_BETA
        share, scale = self.glow
        image += share / (2 * np.pi * scale**2) * np.exp(-np.sqrt(square) / scale)
        for angle in (self.spike_angle_rad, self.spike_angle_rad + np.pi / 2):
            along = dx * np.cos(angle) + dy[:, None] * np.sin(angle)
            across = dy[:, None] * np.cos(angle) - dx * np.sin(angle)
            arm = np.exp(-np.abs(along) / SPIKE_SCALE_PX - (across / self.core_px) ** 2 / 2)
            image += SPIKE_SHARE * arm
        return np.asarray(image)


def _gaussians(core_px: float) -> galsim.GSObject:
    core = galsim.Gaussian(sigma=core_px, flux=CORE_SHARE, gsparams=_COARSE)
    return core + galsim.Gaussian(sigma=SHOULDER_WIDTH * core_px, flux=SHOULDER_SHARE, gsparams=_COARSE)


def _wing(core_px: float) -> galsim.GSObject:
    width = WING_WIDTH * core_px
    return galsim.Moffat(beta=WING_BETA, scale_radius=width, flux=WING_SHARE, gsparams=_VERY_COARSE)


_FWHM_OF_UNIT_CORE = float((_gaussians(1.0) + _wing(1.0)).calculateFWHM())
