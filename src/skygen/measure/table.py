"""THE table of metrics: how each is measured, and what it means. Whatever measures or reports metrics reads it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skygen.measure import (
    discriminator,
    diversity,
    frechet,
    kernel,
    manifold,
    noise,
    noise_correlation,
    pixels,
    sources,
    spectrum,
    two_sample_features,
    two_sample_pixels,
)
from skygen.measure import memorised as copies
from skygen.measure.meanings import MEANINGS, Meaning
from skygen.measure.medians import ratio
from skygen.measure.weights import Statistic, Values, Weights, average

__all__ = [
    "MEANINGS",
    "Meaning",
    "Measure",
    "Statistic",
    "Tiles",
    "Values",
    "Weights",
    "discriminator_accuracy",
    "memorised",
    "perceptual",
    "physics",
    "pixel_classifier",
]

Tiles = NDArray[np.floating]  # [N, bands, H, W] in nmgy
Encode = Callable[[Tiles], NDArray[np.float32]]  # tiles to features [N, D], standardised over training tiles


@dataclass(frozen=True)
class Measure:
    """How one or several metrics are measured, in steps, so that a bootstrap over tiles repeats only the cheap last.

    `describe` measures each tile of a set once; measures that share the same `describe` object share its work. `relate`
    takes the generated set's description and the real one's, does what is heavy once, and returns the statistic: a
    function of both sets' weights [R, N] to the values [R] of each of `keys`.
    """

    keys: tuple[str, ...]
    describe: Callable[[Tiles], Any]
    relate: Callable[[Any, Any], Statistic]


def physics(bands: Sequence[str]) -> list[Measure]:
    """What tiles with these bands are like as images of the sky."""
    catalogue = partial(sources.describe, bands=bands)
    rows: list[tuple[str, Callable[..., Any], Callable[..., float]]] = [
        ("sources.per_tile", sources.summarise_mean, ratio),
        ("sources.number", sources.summarise_number, sources.compare_number),
        *(_of_quantity(name) for name in sources.quantities(bands)),
    ]
    return [
        Measure(("pixel_w1",), pixels.describe, partial(_of_means, "pixel_w1", pixels)),
        Measure(("power_spectrum",), spectrum.describe, partial(_of_means, "power_spectrum", spectrum)),
        _by_rows("sky_noise", noise.describe, noise.summarise, noise.compare),
        Measure(("noise_correlation",), noise_correlation.describe, noise_correlation.relate),
        *(_by_rows(key, catalogue, summarise, compare) for key, summarise, compare in rows),
        _by_rows("diversity", diversity.describe, diversity.summarise, diversity.compare),
    ]


def perceptual(encode: Encode, seed: int = 0) -> list[Measure]:
    """What tiles are like to a network that knows the sky; `seed` deals the tiles out to the classifier's folds."""
    return [
        Measure(("frechet",), encode, frechet.relate),
        Measure(("kernel",), encode, kernel.relate),
        Measure(("precision", "recall", "density", "coverage"), encode, manifold.relate),
        Measure(("c2st.features",), encode, partial(two_sample_features.relate, seed=seed)),
    ]


def pixel_classifier(seed: int) -> Measure:
    """Whether a network trained to do so tells generated tiles from real ones by their pixels."""
    return Measure(("c2st.pixels",), two_sample_pixels.describe, partial(two_sample_pixels.relate, seed=seed))


def memorised(encode: Encode, train_features: NDArray[np.float32]) -> Measure:
    """Whether generated tiles are nearer to the training tiles, of features [M, D], than held-out real ones are."""
    return Measure(("memorised",), encode, partial(copies.relate, train=train_features))


def discriminator_accuracy(logits: Callable[[Tiles], NDArray[np.floating]]) -> Measure:
    """The training's own discriminator; `logits` takes tiles in nmgy to its logits [N]."""
    return _by_rows("discriminator_accuracy", logits, discriminator.summarise, discriminator.compare)


def _by_rows(
    key: str,
    describe: Callable[[Tiles], Any],
    summarise: Callable[[Any, NDArray[np.float64]], Any],
    compare: Callable[..., float],
) -> Measure:
    """A metric that sums a set up under weights [N], and compares two sums; resampling by resampling."""

    def relate(fake: Any, real: Any) -> Statistic:
        def statistic(fake_weights: Weights, real_weights: Weights) -> dict[str, Values]:
            rows = zip(fake_weights, real_weights, strict=True)
            return {key: np.array([compare(summarise(fake, ours), summarise(real, theirs)) for ours, theirs in rows])}

        return statistic

    return Measure((key,), describe, relate)


def _of_means(key: str, module: Any, fake: NDArray[np.floating], real: NDArray[np.floating]) -> Statistic:
    """The statistic of a module that sums up the mean of its descriptions: taken for all resamplings at once."""

    def statistic(fake_weights: Weights, real_weights: Weights) -> dict[str, Values]:
        once = np.ones(1)
        means = zip(average(fake, fake_weights), average(real, real_weights), strict=True)
        sums = ([module.summarise(mean[None], once) for mean in pair] for pair in means)
        return {key: np.array([module.compare(*pair) for pair in sums])}

    return statistic


def _of_quantity(name: str) -> tuple[str, Callable[..., Any], Callable[..., float]]:
    return f"sources.{name}", partial(sources.summarise_quantity, name), partial(sources.compare_quantity, name)
