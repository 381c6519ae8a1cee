"""`sky_noise`: the background noise of generated tiles over that of real ones; 1 is right.

Read out by two amplifiers, the halves of a frame may differ: in i by 10 to 17 % on most of the survey's fields. So a
set's noise is a mean, of the middle half of its tiles: a median would take either heap.
"""

import numpy as np
from numpy.typing import NDArray

from skygen.measure.medians import middle_mean, ratio
from skygen.measure.metric import Given, Meaning, Measure, Metric, by_weights
from skygen.sky.noise import sky_noise


def describe(tiles: NDArray[np.floating]) -> NDArray[np.float64]:
    """The background noise of each tile and band in nmgy, [N, bands]."""
    return np.stack([sky_noise(tile) for tile in tiles])


def summarise(noise: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """The middle tiles' mean noise in each band, [bands]; `weights` [N] says how often each tile counts."""
    return np.array([middle_mean(band, weights) for band in noise.T])


compare = ratio


def _measures(given: Given) -> list[Measure]:
    return [Measure(("sky_noise",), describe, by_weights("sky_noise", summarise, compare))] if given.bands else []


METRIC = Metric(
    "physics",
    {
        "sky_noise": Meaning(
            1,
            "background noise, generated / real",
            "The paper's fewer noise points as a number: below 1 the tiles are too smooth, above 1 too noisy.",
            excess="square",
        ),
    },
    _measures,
)
