"""Photometry of a known sky by sep and photutils: completeness, purity, bias of fluxes; generated beside simulated.

python -m benchmarks.photometry BUNDLE [--fields 12] [--figure docs/pictures/photometry.svg]

BUNDLE is the folder of a process' bundle. Beside it the same is measured on the simulated survey, whose truth is known
too. Expected: bias of isolated stars below 0.5 % with a standard error below 0.2 %.
"""

import argparse
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
import sep
from numpy.typing import NDArray

from benchmarks.known_sky import Floats, KnownSky, generated, simulated
from benchmarks.measured_sky import (
    RADII_PX,
    TOOLS,
    aperture_fluxes,
    find,
    isolated_stars,
    match,
)
from skygen.workers import processes

BIN_MAG = 0.5
EDGES_MAG = np.arange(16.0, 24.1, BIN_MAG)
FAINTEST_MAG = 23.5  # of the truth that detections are matched to: what is fainter cannot be detected
EDGE_PX = 30  # nothing is asked of what lies nearer to an edge of the image
REFERENCE = "r"
SKIES = ("generated", "simulated")


class Field(NamedTuple):
    """What is measured in one field."""

    truth_mag: Floats  # [n] of the objects in r
    is_galaxy: NDArray[np.bool_]  # [n]
    measured: dict[str, Floats]  # flux [n] by each tool, NaN where the object is not found
    found_mag: dict[str, Floats]  # of each tool's detections
    is_real: dict[str, NDArray[np.bool_]]  # whether each of them is an object of the truth
    stars: dict[tuple[str, str], Floats]  # measured over true flux [n, radii] of isolated stars, by band and tool


def main() -> None:
    """Print the tables, and draw the figure where `--figure` says."""
    parser = argparse.ArgumentParser(description="Photometry of a sky whose truth is known, by sep and photutils.")
    parser.add_argument("bundle", type=Path, help="the folder of a process' bundle")
    parser.add_argument("--fields", type=int, default=12, help="fields of 2048 x 1489 px of either sky (12)")
    parser.add_argument("--figure", type=Path, help="where to draw the figure")
    arguments = parser.parse_args()
    with ProcessPoolExecutor(processes(), mp_context=get_context("spawn")) as pool:
        numbers = range(arguments.fields)
        generated_fields = pool.map(partial(measure_generated, arguments.bundle), numbers)
        of_skies = dict(zip(SKIES, (list(generated_fields), list(pool.map(measure_simulated, numbers))), strict=True))
    print_found(of_skies)
    print_stars(of_skies)
    if arguments.figure is not None:
        from benchmarks.photometry_figure import draw

        draw(arguments.figure, of_skies)


def measure_generated(bundle: Path, number: int) -> Field:
    """The field `number` of a bundle's sky."""
    return measure(list(generated(bundle, number)))


def measure_simulated(number: int) -> Field:
    """The field `number` of the simulated survey."""
    return measure(list(simulated(number)))


def measure(bands: Sequence[KnownSky]) -> Field:
    """What the tools find of a known sky in r, and the fluxes of its isolated stars in all bands."""
    reference = next(sky for sky in bands if sky.band == REFERENCE)
    bright = reference.magnitude < FAINTEST_MAG
    x, y, flux = reference.x[bright], reference.y[bright], reference.flux_nmgy[bright]
    known = away_from_edges(x, y, reference.image.shape)
    measured, found_mag, is_real = {}, {}, {}
    for tool in TOOLS:
        found = find(tool, reference.image)
        taken = match(np.column_stack([x, y]), flux, np.column_stack([found.x, found.y]))
        measured[tool] = np.where(taken >= 0, found.flux_nmgy[taken], np.nan)[known]
        good = (found.flux_nmgy > 0) & away_from_edges(found.x, found.y, reference.image.shape)
        found_mag[tool] = 22.5 - 2.5 * np.log10(found.flux_nmgy[good])
        is_real[tool] = np.isin(np.flatnonzero(good), taken)
    stars = {}
    for sky in bands:
        chosen = isolated_stars(sky)
        chosen = chosen[away_from_edges(sky.x[chosen], sky.y[chosen], sky.image.shape)]
        x, y = centres(sky, chosen)
        for tool in TOOLS:
            stars[sky.band, tool] = aperture_fluxes(tool, sky, x, y) / sky.flux_nmgy[chosen][:, None]
    magnitude, is_galaxy = reference.magnitude[bright][known], reference.is_galaxy[bright][known]
    return Field(magnitude, is_galaxy, measured, found_mag, is_real, stars)


def centres(sky: KnownSky, chosen: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Where stars are found: centroids in a Gaussian window, begun at their true places."""
    x, y, _ = sep.winpos(sky.image, sky.x[chosen], sky.y[chosen], 1.3)
    return x, y


def away_from_edges(x: Floats, y: Floats, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Which places lie so far from the edges of an image that all that is measured of them lies in it."""
    height, width = shape
    within = (x > EDGE_PX) & (x < width - 1 - EDGE_PX) & (y > EDGE_PX) & (y < height - 1 - EDGE_PX)
    return np.asarray(within)


def completeness(fields: Sequence[Field], tool: str) -> tuple[Floats, Floats]:
    """The share of objects of each magnitude that a tool finds, and how many there are [bins]."""
    mag = np.concatenate([field.truth_mag for field in fields])
    found = np.isfinite(np.concatenate([field.measured[tool] for field in fields]))
    return _share(mag, found)


def purity(fields: Sequence[Field], tool: str) -> tuple[Floats, Floats]:
    """The share of a tool's detections of each measured magnitude that are objects, and how many there are [bins]."""
    mag = np.concatenate([field.found_mag[tool] for field in fields])
    return _share(mag, np.concatenate([field.is_real[tool] for field in fields]))


def residuals(fields: Sequence[Field], tool: str, galaxies: bool) -> list[Floats]:
    """Measured total flux over the true one of the objects found, for each bin of true magnitude."""
    mag = np.concatenate([field.truth_mag for field in fields])
    of_class = np.concatenate([field.is_galaxy for field in fields]) == galaxies
    ratio = np.concatenate([field.measured[tool] for field in fields]) * 10 ** (0.4 * (mag - 22.5))
    good = of_class & np.isfinite(ratio)
    return [ratio[good & (mag >= low) & (mag < high)] for low, high in pairwise(EDGES_MAG)]


def mean(values: Floats) -> tuple[float, float]:
    """The mean and its standard error; nothing is clipped, since neighbours' light is one-sided."""
    return float(values.mean()), float(values.std(ddof=1) / len(values) ** 0.5)


def print_found(of_skies: dict[str, list[Field]]) -> None:
    """Completeness and purity by magnitude in r."""
    kinds = [(sky, tool) for sky in SKIES for tool in TOOLS]
    heads = [f"{sky}, {tool}: complete | pure" for sky, tool in kinds]
    print("| r (mag) | " + " | ".join(heads) + " |\n|---" * 1 + "|---|---" * len(kinds) + "|")
    parts = [(completeness(of_skies[sky], tool), purity(of_skies[sky], tool)) for sky, tool in kinds]
    for place, (low, high) in enumerate(pairwise(EDGES_MAG)):
        cells = [f"{share[place]:.1%}" if number[place] >= 10 else "" for both in parts for share, number in both]
        print(f"| {low:g}-{high:g} | " + " | ".join(cells) + " |")
    print()


def print_stars(of_skies: dict[str, list[Field]]) -> None:
    """Bias of the fluxes of isolated stars by band, tool and radius of the aperture."""
    heads = " | ".join(f"within {radius:g} px" for radius in RADII_PX)
    print(f"| sky | band | tool | stars | {heads} |\n|---|---|---|---|" + "---|" * len(RADII_PX))
    for sky in SKIES:
        for band, tool in of_skies[sky][0].stars:
            ratios = np.concatenate([field.stars[band, tool] for field in of_skies[sky]])
            cells = [f"{middle - 1:+.2%} ± {error:.2%}" for middle, error in map(mean, ratios.T)]
            print(f"| {sky} | {band} | {tool} | {len(ratios)} | " + " | ".join(cells) + " |")
    print()


def _share(mag: Floats, true: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    number, _ = np.histogram(mag, EDGES_MAG)
    hits, _ = np.histogram(mag[true], EDGES_MAG)
    return hits / np.maximum(number, 1), number.astype(np.float64)


if __name__ == "__main__":
    main()
