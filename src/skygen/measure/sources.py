"""`sources`: the stars and galaxies that a detector finds in tiles, as astronomers would measure them.

Sources are found in r, in each tile against its own noise, and every quantity is the Wasserstein-1 distance of its
distributions in two sets. Each quantity has a range, to which measured values are clipped; where one set holds no
source at all, the distance is the width of that range, the largest that it can be (and 0 where neither holds one).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import sep
from numpy.typing import NDArray

from skygen.measure import source_places
from skygen.measure.medians import ratio
from skygen.measure.metric import Given, Meaning, Measure, Metric, Statistic, Values, Weights, average, by_weights
from skygen.sky.inspection.detection import detect
from skygen.sky.noise import sky_noise
from skygen.sky.units import ZERO_POINT_MAG

SNR = 10.0  # a source's least signal-to-noise ratio, as where tiles with a source are chosen
LEAST_NOISE_NMGY = 1e-3  # a smoother tile is searched as if it had this noise, a thirtieth of the survey's
COLOUR_RADIUS_PX = 4.0  # of the fixed aperture for colours, at the position in r: about one seeing disc
FAINTEST_NMGY = 1e-3  # less flux, or negative, counts as this
RANGES = {
    "magnitude": (10.0, 26.0),  # 22.5 - 2.5 log10 of the flux in nmgy
    "half_light_radius": (0.0, 12.0),  # px
    "ellipticity": (0.0, 1.0),  # 1 - b/a
    "g_r": (-2.0, 4.0),  # mag
    "r_i": (-2.0, 4.0),  # mag
}
_COLOURS = {"g_r": ("g", "r"), "r_i": ("r", "i")}


@dataclass(frozen=True)
class SourceTable:
    """The sources of a set of tiles: how many each tile holds [N], and of all of them, tile by tile, the quantities and
    the x and y in px [sources, 2].
    """

    number: NDArray[np.int64]
    quantities: dict[str, NDArray[np.float64]]
    xy_px: NDArray[np.float64]


@dataclass(frozen=True)
class Distribution:
    """Values [n] and how often each counts [n]."""

    values: NDArray[np.float64]
    weights: NDArray[np.float64]


def quantities(bands: Sequence[str]) -> tuple[str, ...]:
    """The quantities that tiles with these bands allow: colours need both of their bands."""
    return tuple(name for name in RANGES if set(_COLOURS.get(name, ())) <= set(bands))


def describe(tiles: NDArray[np.floating], bands: Sequence[str]) -> SourceTable:
    """The catalogue of tiles [N, bands, H, W] in nmgy; `bands` must hold r, in which sources are found."""
    tables = [measure(tile, bands) for tile in tiles]
    number = np.array([len(table["magnitude"]) for table in tables], dtype=np.int64)
    joined = {name: np.concatenate([table[name] for table in tables]) for name in ("x", "y", *quantities(bands))}
    xy_px = np.stack([joined.pop("x"), joined.pop("y")], axis=1)
    return SourceTable(number, joined, xy_px)


def summarise_number(catalogue: SourceTable, weights: NDArray[np.float64]) -> Distribution:
    """The distribution of the number of sources a tile; `weights` [N] says how often each tile counts."""
    return Distribution(catalogue.number.astype(np.float64), weights)


def summarise_mean(catalogue: SourceTable, weights: NDArray[np.float64]) -> float:
    """The mean number of sources a tile."""
    return float(np.average(catalogue.number, weights=weights))


def summarise_quantity(name: str, catalogue: SourceTable, weights: NDArray[np.float64]) -> Distribution:
    """The distribution of one quantity over the sources; a source counts as often as its tile."""
    return Distribution(catalogue.quantities[name], np.repeat(weights, catalogue.number))


def compare_number(fake: Distribution, real: Distribution) -> float:
    """The Wasserstein-1 distance of two distributions, in the unit of their values."""
    from scipy.stats import wasserstein_distance  # the service measures single tiles, and goes without scipy

    return float(wasserstein_distance(fake.values, real.values, fake.weights, real.weights))


def compare_quantity(name: str, fake: Distribution, real: Distribution) -> float:
    """As `compare_number`; the width of the quantity's range where one set has no source, 0 where neither has."""
    is_empty = [sample.weights.sum() == 0 for sample in (fake, real)]
    if any(is_empty):
        lowest, highest = RANGES[name]
        return 0.0 if all(is_empty) else highest - lowest
    return compare_number(fake, real)


def measure(tile: NDArray[np.floating], bands: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """The sources of one tile [bands, H, W] in nmgy: 0-based x and y in px, and each quantity, clipped to its range."""
    r = tile[list(bands).index("r")]
    found = detect(r, max(float(sky_noise(r)), LEAST_NOISE_NMGY), SNR)
    measured = {
        "magnitude": ZERO_POINT_MAG + _magnitude(found["flux_nmgy"]),
        "half_light_radius": found["half_light_radius_px"],
        "ellipticity": found["ellipticity"],
    }
    for name in quantities(bands):
        if name in _COLOURS:
            blue, red = (_aperture_flux(tile[list(bands).index(band)], found) for band in _COLOURS[name])
            measured[name] = _magnitude(blue) - _magnitude(red)
    clipped = {name: np.clip(np.nan_to_num(values), *RANGES[name]) for name, values in measured.items()}
    return {"x": found["x"], "y": found["y"], **clipped}


def relate_empty(fake: SourceTable, real: SourceTable) -> Statistic:
    """The statistic of two catalogues: by how much their shares of tiles without a source differ."""

    def statistic(fake_weights: Weights, real_weights: Weights) -> dict[str, Values]:
        ours, theirs = (
            average((of_set.number == 0).astype(np.float64), weights)
            for of_set, weights in ((fake, fake_weights), (real, real_weights))
        )
        return {"sources.empty": np.abs(ours - theirs)}

    return statistic


def relate_places(fake: SourceTable, real: SourceTable) -> Statistic:
    """The statistic of where two catalogues' sources stand in their tiles."""
    return source_places.relate(*(source_places.places_of(of_set.number, of_set.xy_px) for of_set in (fake, real)))


def _magnitude(flux_nmgy: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(-2.5 * np.log10(np.maximum(flux_nmgy, FAINTEST_NMGY)))


def _aperture_flux(image: NDArray[np.floating], found: NDArray[np.void]) -> NDArray[np.float64]:
    flux, _, _ = sep.sum_circle(np.ascontiguousarray(image, np.float64), found["x"], found["y"], COLOUR_RADIUS_PX)
    return np.asarray(flux)


def _measures(given: Given) -> list[Measure]:
    if given.bands is None:
        return []
    search = partial(describe, bands=given.bands)  # once for all of them
    rows: dict[str, Callable[[SourceTable, SourceTable], Statistic]] = {
        "sources.per_tile": by_weights("sources.per_tile", summarise_mean, ratio),
        "sources.number": by_weights("sources.number", summarise_number, compare_number),
        "sources.empty": relate_empty,
        source_places.KEY: relate_places,
    }
    for name in quantities(given.bands):
        summarise, compare = partial(summarise_quantity, name), partial(compare_quantity, name)
        rows[f"sources.{name}"] = by_weights(f"sources.{name}", summarise, compare)
    return [Measure((key,), search, relate) for key, relate in rows.items()]


METRIC = Metric(
    "physics",
    {
        "sources.per_tile": Meaning(
            1,
            "mean number of sources a tile, generated / real",
            "Below 1 the sky is too empty, above 1 too full.",
            excess="square",
        ),
        "sources.number": Meaning(
            0,
            "number of sources a tile, distance",
            "In sources: by how many the number in a tile has to change on average to match the real tiles.",
            excess="square",
        ),
        "sources.empty": Meaning(
            0,
            "share of tiles without a source, generated less real, absolute",
            "How many tiles too many, or too few, show nothing but sky.",
            excess="square",
        ),
        "sources.places": Meaning(
            1,
            "share of pairs of sources of different tiles at the same place within 2 px, generated / real",
            "Above 1 sources stand at preferred places, as on a lattice or wherever one tile is repeated; 0 where "
            "hardly any generated tile holds a source.",
            "after Ripley 1976, doi:10.2307/3212829",
            "square",
        ),
        "sources.magnitude": Meaning(
            0,
            "r magnitudes of sources, distance in mag",
            "By how much brightnesses of sources are off on average.",
            excess="square",
        ),
        "sources.half_light_radius": Meaning(
            0,
            "half-light radii of sources, distance in px",
            "By how much sizes of sources are off on average.",
            excess="square",
        ),
        "sources.ellipticity": Meaning(
            0,
            "ellipticities of sources, distance",
            "By how much shapes of sources are off on average, from 0, round, to 1.",
            excess="square",
        ),
        "sources.g_r": Meaning(
            0,
            "g - r colours of sources, distance in mag",
            "By how much g - r colours of sources are off on average.",
            excess="square",
        ),
        "sources.r_i": Meaning(
            0,
            "r - i colours of sources, distance in mag",
            "By how much r - i colours of sources are off on average.",
            excess="square",
        ),
    },
    _measures,
)
