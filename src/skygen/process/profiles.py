"""The shapes of light as sums of Gaussians: the survey's PSF, and galaxies seen through it.

The PSF is that of `skygen.sky.spread`: its power-law wing is a ladder of Gaussians, each twice as wide as the one
before, within 4 % of it from the centre to 50 of its widths (220 px at 1.4 arcsec); the 0.1 % of the flux beyond lies
within them. Galaxies are sums in the manner of Hogg & Lang
(2013, doi:10.1086/671228), but exponential and de Vaucouleurs profiles share their variances, so that bulge and disc
cost no more than one of them, and a table serves a range of sizes against the PSF: details much finer than the PSF
need no Gaussians. Shares add up to 1, so that the light beyond about 8 half-light radii, 6 % of a de Vaucouleurs
profile, lies within them, as it does in the survey's own models, which end there.
"""

from functools import cache
from typing import NamedTuple

import torch

from skygen.sky.spread import CORE_SHARE, SHOULDER_SHARE, SHOULDER_WIDTH, WING_SHARE, WING_WIDTH

PIXEL_VARIANCE = 1 / 12
# FWHM² = 5.768 core² + 0.475 px²: what a Moffat profile fitted to pixels gives, within 0.2 % from 0.75 arcsec.
_FWHM2_A_CORE2, _FWHM2_OF_PIXELS = 6.00150, 0.47769
_LEAST_CORE_PX = 0.3
# The Moffat profile of power 1.5 and scale 1: widths, each twice the one before, and shares.
_WING_WIDTHS = tuple(0.335 * 2.0**step for step in range(8))
_WING_SHARES = (0.02269, 0.26671, 0.31405, 0.19177, 0.10189, 0.05077, 0.02627, 0.0149)
# The wing's narrowest Gaussians, which a galaxy's light counts to the shoulder.
_IN_SHOULDER = 2


class Gaussians(NamedTuple):
    """Round Gaussians that make up the PSF: shares [g] of the flux, widths [g] in those of the core."""

    shares: tuple[float, ...]
    widths: tuple[float, ...]


class GalaxyGaussians(NamedTuple):
    """Gaussians [g] that make up a galaxy as seen: variance = `radial` · radius² + `blur` · core² + a pixel's."""

    radial: tuple[float, ...]
    blur: tuple[float, ...]
    exponential: tuple[float, ...]  # shares of the flux of a disc
    de_vaucouleurs: tuple[float, ...]  # and of a bulge


class _Table(NamedTuple):
    variances: tuple[float, ...]  # in squares of the half-light radius
    exponential: tuple[float, ...]
    de_vaucouleurs: tuple[float, ...]


def _psf() -> Gaussians:
    whole = sum(_WING_SHARES)
    shares = (CORE_SHARE, SHOULDER_SHARE, *(WING_SHARE * share / whole for share in _WING_SHARES))
    return Gaussians(shares, (1.0, SHOULDER_WIDTH, *(WING_WIDTH * width for width in _WING_WIDTHS)))


PSF = _psf()
# For galaxies of up to so many half-light radii a width of what blurs them; the first serve wide wings alone.
TABLES = (
    _Table((1.5097,), (1.0,), (1.0,)),  # 0.3
    _Table((24.058, 0.80298), (0.027085, 0.97292), (0.19629, 0.80371)),  # 0.6
    _Table((25.8579, 2.41609, 0.6885, 0.05249), (0.0, 0.2575, 0.62543, 0.11707), (0.18104, 0.30369, 0.16134, 0.35392)),
    _Table(
        (29.45, 4.3183, 1.3037, 0.35325, 0.032675),
        (0.0, 0.063265, 0.51547, 0.37785, 0.043415),
        (0.14894, 0.20583, 0.16439, 0.2358, 0.24504),
    ),
    _Table(
        (25.377, 3.7274, 1.4254, 0.51298, 0.11192, 0.01038),
        (0.0, 0.07722, 0.3948, 0.40937, 0.11246, 0.0061502),
        (0.16754, 0.20169, 0.11271, 0.19692, 0.18801, 0.13312),
    ),
    _Table(
        (17.7, 2.3661, 0.74172, 0.18388, 0.055469, 0.0169, 0.0017445),
        (0.0, 0.26336, 0.54215, 0.16671, 0.020514, 0.0068329, 0.00043217),
        (0.22418, 0.21086, 0.18857, 0.17494, 0.079459, 0.079292, 0.042701),
    ),
    _Table(
        (16.39, 2.3346, 0.72972, 0.17606, 0.042165, 0.01209, 0.0026054, 0.0002644),
        (0.0, 0.27034, 0.54082, 0.16594, 0.018922, 0.0035463, 0.00039956, 2.9716e-05),
        (0.23264, 0.20038, 0.19502, 0.17997, 0.098102, 0.052859, 0.030479, 0.010559),
    ),
)
SIZES = (1.0, 2.5, 6.0, 15.0)  # radii in widths of the core between which galaxies are drawn by other tables
# By size of the galaxy, the tables for the PSF's core, shoulder and wings, from the narrowest wing on.
_LADDERS = ((2, 1, 0), (3, 2, 1, 0), (4, 3, 2, 1, 0), (5, 4, 3, 2, 1, 0), (6, 5, 4, 3, 2, 1, 0))


@cache
def galaxy_psf() -> Gaussians:
    """The PSF with its wing's narrowest Gaussians in the shoulder, whose variance they keep."""
    last = 2 + _IN_SHOULDER
    share = sum(PSF.shares[1:last])
    variance = sum(part * width**2 for part, width in zip(PSF.shares[1:last], PSF.widths[1:last], strict=True)) / share
    return Gaussians((PSF.shares[0], share, *PSF.shares[last:]), (1.0, variance**0.5, *PSF.widths[last:]))


@cache
def galaxy_gaussians(size: int, most_width: float) -> GalaxyGaussians:
    """What galaxies of `size`, an interval of SIZES, are drawn with, without wings wider than `most_width` cores."""
    rows = []
    for step, (share, width) in enumerate(zip(*galaxy_psf(), strict=True)):
        if width <= most_width:
            ladder = _LADDERS[size]
            table = TABLES[ladder[min(step, len(ladder) - 1)]]
            of_disc, of_bulge = (sum(part) for part in table[1:])
            for variance, disc, bulge in zip(*table, strict=True):
                rows.append((variance, width**2, share * disc / of_disc, share * bulge / of_bulge))
    return GalaxyGaussians(*zip(*rows, strict=True))


@cache
def psf_gaussians(most_width: float) -> Gaussians:
    """What stars are drawn with: the PSF without wings wider than `most_width` cores."""
    kept = [(share, width) for share, width in zip(*PSF, strict=True) if width <= most_width]
    return Gaussians(*zip(*kept, strict=True))


def core_px(psf_fwhm_px: torch.Tensor) -> torch.Tensor:
    """The width of the PSF's core where a Moffat profile fitted to the pixels of stars has the FWHM `psf_fwhm_px`."""
    return ((psf_fwhm_px**2 - _FWHM2_OF_PIXELS) / _FWHM2_A_CORE2).clamp(min=_LEAST_CORE_PX**2).sqrt()
