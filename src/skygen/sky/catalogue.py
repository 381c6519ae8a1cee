"""Stars and galaxies of a simulated field: counts, colours, sizes and shapes near the survey's at high latitude.

Counts are power laws, 10 to the power of slope times magnitude; the numbers were set against photoObj of field 94-1-12
and against detections on eight frames in r. Sources are placed independently: there is no clustering.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skygen.sky.frame import PIXEL_SCALE_ARCSEC, SHAPE

ZERO_POINT_MAG = 22.5  # of 1 nmgy
MARGIN_PX = 48  # sources are placed so far outside the frame: they reach in, and bands see a little more sky
FAINTEST_MAG = 23.0  # in r, below the survey's detection limit
STARS_PER_MAG, STAR_SLOPE, BRIGHTEST_STAR_MAG = 14.0, 0.12, 12.5  # in a frame at r = 18.5
GALAXIES_PER_MAG, GALAXY_SLOPE, BRIGHTEST_GALAXY_MAG = 105.0, 0.38, 15.0  # in a frame at r = 20.5


@dataclass(frozen=True)
class Catalogue:
    """Sources [n]: 0-based positions in the frame in r, flux by band, and shape; a star's half-light radius is 0."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    flux_nmgy: dict[str, NDArray[np.float64]]
    half_light_radius_px: NDArray[np.float64]
    sersic: NDArray[np.int64]  # 1 exponential disc, 4 de Vaucouleurs
    axis_ratio: NDArray[np.float64]
    angle_deg: NDArray[np.float64]  # of the major axis, from x towards y


def draw_catalogue(rng: np.random.Generator, shape: tuple[int, int] = SHAPE) -> Catalogue:
    """Random sources over a frame of `shape` (H, W) and its margin, as dense as in a field of the survey."""
    star_mag = _magnitudes(rng, shape, STARS_PER_MAG, 18.5, STAR_SLOPE, BRIGHTEST_STAR_MAG, 0.3)
    galaxy_mag = _magnitudes(rng, shape, GALAXIES_PER_MAG, 20.5, GALAXY_SLOPE, BRIGHTEST_GALAXY_MAG, 0.15)
    early = rng.random(galaxy_mag.size) < np.clip(0.7 - 0.08 * (galaxy_mag - 18), 0.3, 0.7)
    stars, galaxies = star_mag.size, galaxy_mag.size
    return Catalogue(
        x=rng.uniform(-MARGIN_PX, shape[1] + MARGIN_PX, stars + galaxies),
        y=rng.uniform(-MARGIN_PX, shape[0] + MARGIN_PX, stars + galaxies),
        flux_nmgy=_join(_fluxes(star_mag, *_star_colours(rng, stars)), _fluxes(galaxy_mag, *_colours(rng, early))),
        half_light_radius_px=np.concatenate([np.zeros(stars), _half_light_radii_px(rng, galaxy_mag, early)]),
        sersic=np.concatenate([np.ones(stars, np.int64), np.where(early, 4, 1)]),
        axis_ratio=np.concatenate([np.ones(stars), _axis_ratios(rng, early)]),
        angle_deg=rng.uniform(0, 180, stars + galaxies),
    )


def _magnitudes(
    rng: np.random.Generator,
    shape: tuple[int, int],
    per_mag: float,
    at_mag: float,
    slope: float,
    brightest: float,
    scatter: float,
) -> NDArray[np.float64]:
    """Magnitudes in r, their number lognormal from field to field by `scatter`."""
    area = (shape[0] + 2 * MARGIN_PX) * (shape[1] + 2 * MARGIN_PX) / (SHAPE[0] * SHAPE[1])
    steepness = slope * np.log(10)
    low, high = np.exp(steepness * (np.array([brightest, FAINTEST_MAG]) - at_mag))
    expected = per_mag * area * (high - low) / steepness
    number = rng.poisson(expected * np.exp(scatter * rng.standard_normal()))
    return np.asarray(at_mag + np.log(rng.uniform(low, high, number)) / steepness)


def _star_colours(rng: np.random.Generator, number: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """g-r and r-i along the stellar locus: turn-off stars to K dwarfs, and M dwarfs, whose g-r is all but constant."""
    m_dwarf = rng.random(number) < 0.5
    warm = np.clip(0.3 + rng.gamma(2.0, 0.2, number), 0.2, 1.3)
    g_r = np.where(m_dwarf, 1.42, warm) + 0.06 * rng.standard_normal(number)
    r_i = np.where(m_dwarf, rng.uniform(0.55, 1.6, number), 0.38 * warm - 0.02) + 0.04 * rng.standard_normal(number)
    return g_r, r_i


def _colours(rng: np.random.Generator, early: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """g-r and r-i of galaxies: a red and a blue cloud, both broadened by redshift."""
    g_r = np.where(early, 1.25, 0.8) + np.where(early, 0.3, 0.27) * rng.standard_normal(early.size)
    r_i = 0.2 + 0.24 * g_r + 0.1 * rng.standard_normal(early.size)
    return g_r, r_i


def _half_light_radii_px(
    rng: np.random.Generator, mag: NDArray[np.float64], early: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Lognormal along the major axis: 1.9 arcsec at r = 17.5, 0.85 at r = 21, a fifth larger for discs."""
    typical = 0.95 * 10 ** (-0.1 * (mag - 20.5)) * np.where(early, 0.9, 1.1)
    radii = typical * np.exp(0.5 * rng.standard_normal(mag.size))
    return np.asarray(np.clip(radii, 0.2, 10.0) / PIXEL_SCALE_ARCSEC)


def _axis_ratios(rng: np.random.Generator, early: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Spheroids of 0.5 to 1; discs a fifth as thick as wide, inclined at random."""
    inclined = np.sqrt(rng.uniform(0, 1, early.size) ** 2 * (1 - 0.2**2) + 0.2**2)
    return np.where(early, rng.uniform(0.5, 1.0, early.size), inclined)


def _fluxes(
    r_mag: NDArray[np.float64], g_r: NDArray[np.float64], r_i: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    mags = {"g": r_mag + g_r, "r": r_mag, "i": r_mag - r_i}
    return {band: 10 ** (-0.4 * (mag - ZERO_POINT_MAG)) for band, mag in mags.items()}


def _join(
    stars: dict[str, NDArray[np.float64]], galaxies: dict[str, NDArray[np.float64]]
) -> dict[str, NDArray[np.float64]]:
    return {band: np.concatenate([stars[band], galaxies[band]]) for band in stars}
