"""Stars and galaxies of a simulated field: counts, colours, sizes and shapes near the survey's at high latitude.

The numbers were set against photoObj of field 94-1-12 and against detections on eight fields in g, r and i;
`benchmarks/simulation.py` holds them against these fields.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skygen.sky.frame import SHAPE
from skygen.sky.units import PIXEL_SCALE_ARCSEC, ZERO_POINT_MAG

MARGIN_PX = 48  # sources are placed so far outside the frame: they reach in, and bands see a little more sky
BRIGHT_MAG, BRIGHT_MARGIN_PX = 13.5, 400  # stars so bright reach in from farther
# Magnitude in r and the logarithm of sources a magnitude in a frame; straight between these, and nothing beyond them.
STAR_COUNTS = ((8.5, -0.95), (14.0, 0.56), (20.0, 1.46), (23.0, 1.95))
GALAXY_COUNTS = ((14.0, -0.95), (19.9, 1.74), (24.5, 3.35))
STAR_SCATTER, GALAXY_SCATTER = 0.3, 0.12  # of a field's number, lognormal
SIZES = ((14.0, 1.40), (17.5, 0.92), (19.5, 0.47), (20.5, 0.08), (24.5, -0.95))  # magnitude, logarithm of arcsec
SIZE_SCATTER = ((17.0, 0.35), (19.5, 0.5))  # of that logarithm
CLUSTERED, COMPANIONS, CLUSTER_PX = 0.3, 8.0, 50.0  # share of galaxies in groups, their number, a group's radius


@dataclass(frozen=True)
class Catalogue:
    """Sources [n]: 0-based positions in the frame in r, flux by band, and shape.

    Radii hold half the light along the major axis, and both are 0 for a star. The bulge (de Vaucouleurs) has
    `bulge_share` of the flux, the disc (exponential) the rest; `angle_deg` is their major axis, from x towards y.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    flux_nmgy: dict[str, NDArray[np.float64]]
    disc_radius_px: NDArray[np.float64]
    disc_axis_ratio: NDArray[np.float64]
    bulge_radius_px: NDArray[np.float64]
    bulge_axis_ratio: NDArray[np.float64]
    bulge_share: NDArray[np.float64]
    angle_deg: NDArray[np.float64]


def draw_catalogue(rng: np.random.Generator, shape: tuple[int, int] = SHAPE) -> Catalogue:
    """Random sources over a frame of `shape` (H, W) and its margin, as dense as in a field of the survey."""
    density = np.exp(STAR_SCATTER * rng.standard_normal())
    far, far_x, far_y = _stars(rng, shape, density, BRIGHT_MARGIN_PX, (0.0, BRIGHT_MAG))
    near, near_x, near_y = _stars(rng, shape, density, MARGIN_PX, (BRIGHT_MAG, 99.0))
    star_mag = np.concatenate([far, near])
    density = np.exp(GALAXY_SCATTER * rng.standard_normal())
    galaxy_mag = _magnitudes(rng, GALAXY_COUNTS, density * _area(shape, MARGIN_PX))
    galaxy_x, galaxy_y = _clustered(rng, galaxy_mag.size, shape)
    early = rng.random(galaxy_mag.size) < np.clip(0.6 - 0.08 * (galaxy_mag - 18), 0.25, 0.6)
    stars, galaxies = _star_fluxes(rng, star_mag), _galaxy_fluxes(rng, galaxy_mag, early)
    none = np.zeros(star_mag.size)
    shapes = {name: np.concatenate([none, of]) for name, of in _shapes(rng, galaxy_mag, early).items()}
    return Catalogue(
        x=np.concatenate([far_x, near_x, galaxy_x]),
        y=np.concatenate([far_y, near_y, galaxy_y]),
        flux_nmgy={band: np.concatenate([stars[band], galaxies[band]]) for band in stars},
        **shapes,
    )


def _area(shape: tuple[int, int], margin: int) -> float:
    return (shape[0] + 2 * margin) * (shape[1] + 2 * margin) / (SHAPE[0] * SHAPE[1])


def _magnitudes(
    rng: np.random.Generator,
    counts: tuple[tuple[float, float], ...],
    times: float,
    limits: tuple[float, float] = (0.0, 99.0),
) -> NDArray[np.float64]:
    """Magnitudes in r, within `limits`, of `times` the `counts`."""
    knots, logarithms = np.array(counts).T
    edges = np.linspace(max(knots[0], limits[0]), min(knots[-1], limits[1]), 1001)
    middles = (edges[1:] + edges[:-1]) / 2
    cumulative = np.concatenate([[0.0], np.cumsum(10 ** np.interp(middles, knots, logarithms))])
    cumulative *= times * (edges[1] - edges[0])
    places = rng.uniform(0, cumulative[-1], rng.poisson(cumulative[-1]))
    return np.asarray(np.interp(places, cumulative, edges))


def _stars(
    rng: np.random.Generator, shape: tuple[int, int], density: float, margin: int, limits: tuple[float, float]
) -> tuple[NDArray[np.float64], ...]:
    """Magnitudes and places of stars, uniform over the frame and its margin."""
    mag = _magnitudes(rng, STAR_COUNTS, density * _area(shape, margin), limits)
    x = rng.uniform(-margin, shape[1] + margin, mag.size)
    return mag, x, rng.uniform(-margin, shape[0] + margin, mag.size)


def _clustered(
    rng: np.random.Generator, number: int, shape: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Places of galaxies: most uniform, a share in round groups (a Neyman-Scott process), wrapped at the margin."""
    extent = np.array([shape[1], shape[0]]) + 2 * MARGIN_PX
    places = rng.uniform(0, extent, (number, 2))
    members = rng.random(number) < CLUSTERED
    groups = rng.uniform(0, extent, (max(1, round(number * CLUSTERED / COMPANIONS)), 2))
    chosen = groups[rng.integers(len(groups), size=number)] + CLUSTER_PX * rng.standard_normal((number, 2))
    x, y = (np.where(members[:, None], chosen % extent, places) - MARGIN_PX).T
    return x, y


def _star_fluxes(rng: np.random.Generator, mag: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Along the stellar locus: turn-off stars to K dwarfs, and M dwarfs, more of them at faint magnitudes."""
    number = mag.size
    m_dwarf = rng.random(number) < np.clip(0.08 + 0.13 * (mag - 16), 0.05, 0.55)
    bluest = 0.36 - 0.05 * np.clip(mag - 17.5, 0, 3)
    warm = np.clip(bluest + rng.gamma(1.5, 0.23, number), 0.15, 1.3)
    g_r = np.where(m_dwarf, 1.42 + 0.07 * rng.standard_normal(number), warm + 0.03 * rng.standard_normal(number))
    cold = np.clip(rng.normal(0.97, 0.28, number), 0.55, 1.7)
    r_i = np.where(m_dwarf, cold, np.interp(warm, (0.2, 0.6, 1.0, 1.3), (0.04, 0.21, 0.37, 0.55)))
    return _fluxes(mag, g_r, r_i + 0.03 * rng.standard_normal(number))


def _galaxy_fluxes(
    rng: np.random.Generator, mag: NDArray[np.float64], early: NDArray[np.bool_]
) -> dict[str, NDArray[np.float64]]:
    """A red and a blue cloud, both redder with redshift and so with magnitude, to a limit."""
    farther = np.clip(mag - 17, -1, 4)
    middle = np.where(early, 1.06 + 0.12 * farther, 0.63 + 0.06 * farther)
    g_r = middle + np.where(early, 0.2, 0.24) * rng.standard_normal(mag.size)
    r_i = 0.2 + 0.25 * g_r + 0.1 * rng.standard_normal(mag.size)
    return _fluxes(mag, g_r, r_i)


def _shapes(
    rng: np.random.Generator, mag: NDArray[np.float64], early: NDArray[np.bool_]
) -> dict[str, NDArray[np.float64]]:
    """Sizes lognormal, smaller at faint magnitudes; spheroids with a faint disc, discs with a small bulge.

    A disc is a fifth as thick as wide and inclined at random.
    """
    number = mag.size
    typical_arcsec = np.exp(np.interp(mag, *np.array(SIZES).T)) * np.where(early, 0.9, 1.1)
    scatter = np.interp(mag, *np.array(SIZE_SCATTER).T)
    radius_px = np.clip(typical_arcsec * np.exp(scatter * rng.standard_normal(number)), 0.12, 12.0) / PIXEL_SCALE_ARCSEC
    inclined = np.sqrt(rng.uniform(0, 1, number) ** 2 * (1 - 0.2**2) + 0.2**2)
    spheroid = rng.uniform(0.5, 1.0, number)
    return {
        "disc_radius_px": radius_px,
        "disc_axis_ratio": np.where(early, spheroid, inclined),
        "bulge_radius_px": np.where(early, radius_px, 0.3 * radius_px),
        "bulge_axis_ratio": np.where(early, spheroid, np.maximum(inclined, 0.6)),
        "bulge_share": np.where(early, rng.uniform(0.6, 1.0, number), rng.beta(1.0, 4.0, number)),
        "angle_deg": rng.uniform(0, 180, number),
    }


def _fluxes(
    r_mag: NDArray[np.float64], g_r: NDArray[np.float64], r_i: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    mags = {"g": r_mag + g_r, "r": r_mag, "i": r_mag - r_i}
    return {band: 10 ** (-0.4 * (mag - ZERO_POINT_MAG)) for band, mag in mags.items()}
