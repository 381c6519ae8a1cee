"""THE table of metrics: what each means and how it is measured. Whatever measures or reports metrics reads it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skygen.measure import discriminator, diversity, noise, pixels, sources, spectrum
from skygen.measure.medians import ratio

Tiles = NDArray[np.floating]


class Meaning(NamedTuple):
    """What a metric says: its value for perfect tiles, and what it is in words."""

    ideal: float
    caption: str


MEANINGS = {  # by key in metrics.json, where a dot nests
    "pixel_w1": Meaning(0, "flux histograms under the fixed stretch, distance"),
    "power_spectrum": Meaning(0, "radial power spectra, log distance"),
    "sky_noise": Meaning(1, "background noise, generated / real"),
    "sources.per_tile": Meaning(1, "mean number of sources a tile, generated / real"),
    "sources.number": Meaning(0, "number of sources a tile, distance"),
    "sources.magnitude": Meaning(0, "r magnitudes of sources, distance in mag"),
    "sources.half_light_radius": Meaning(0, "half-light radii of sources, distance in px"),
    "sources.ellipticity": Meaning(0, "ellipticities of sources, distance"),
    "sources.g_r": Meaning(0, "g - r colours of sources, distance in mag"),
    "sources.r_i": Meaning(0, "r - i colours of sources, distance in mag"),
    "diversity": Meaning(1, "difference between tiles, generated (scenes: free of noise) / real; 0 is collapse"),
    "discriminator_accuracy": Meaning(0.5, "the discriminator's own accuracy; 0.5 is equilibrium, higher not better"),
}


@dataclass(frozen=True)
class Metric:
    """How one metric is measured, in three steps, so that a bootstrap over tiles repeats only the cheap ones.

    `describe` measures each tile of a set [N, bands, H, W] once; `summarise` takes that and the tiles' weights [N] to
    the set's statistic; `compare` takes the fake and the real set's statistic to the value.
    """

    key: str
    describe: Callable[[Tiles], Any]
    summarise: Callable[[Any, NDArray[np.float64]], Any]
    compare: Callable[[Any, Any], float]


def metrics(bands: Sequence[str]) -> list[Metric]:
    """The metrics of tiles with these bands that need nothing but the tiles."""
    catalogue = partial(sources.describe, bands=bands)  # one object: rows that share a `describe` share its work
    return [
        _of_module("pixel_w1", pixels),
        _of_module("power_spectrum", spectrum),
        _of_module("sky_noise", noise),
        Metric("sources.per_tile", catalogue, sources.summarise_mean, ratio),
        Metric("sources.number", catalogue, sources.summarise_number, sources.compare_number),
        *(_of_quantity(name, catalogue) for name in sources.quantities(bands)),
        _of_module("diversity", diversity),
    ]


def discriminator_accuracy(logits: Callable[[Tiles], NDArray[np.floating]]) -> Metric:
    """The metric that needs the training's discriminator too: `logits` takes tiles in nmgy to its logits [N]."""
    return Metric("discriminator_accuracy", logits, discriminator.summarise, discriminator.compare)


def _of_module(key: str, module: Any) -> Metric:
    return Metric(key, module.describe, module.summarise, module.compare)


def _of_quantity(name: str, catalogue: Callable[[Tiles], Any]) -> Metric:
    summarise, compare = partial(sources.summarise_quantity, name), partial(sources.compare_quantity, name)
    return Metric(f"sources.{name}", catalogue, summarise, compare)
