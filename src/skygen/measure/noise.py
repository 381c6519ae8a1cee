"""`sky_noise`: the background noise of generated tiles over that of real ones; 1 is right."""

import numpy as np
from numpy.typing import NDArray

from skygen.measure.medians import ratio, weighted_median
from skygen.sky.noise import sky_noise


def describe(tiles: NDArray[np.floating]) -> NDArray[np.float64]:
    """The robust background noise of each tile and band in nmgy, [N, bands]."""
    return np.stack([sky_noise(tile) for tile in tiles])


def summarise(noise: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """The median tile's noise in each band, [bands]; `weights` [N] says how often each tile counts."""
    return np.array([weighted_median(band, weights) for band in noise.T])


compare = ratio
