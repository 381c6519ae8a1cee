"""Peaks: a quick stand-in for sources, by which a training chooses its checkpoint where no detection is installed.

Needs numpy and torch alone.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import avg_pool2d, max_pool2d

from skygen.sky.noise import sky_noise

SMOOTHING_PX = 3  # side of the box over which tiles are averaged first: about a seeing disc
NEIGHBOURHOOD_PX = 9  # a peak is the brightest pixel of a square of this side
LEAST_SIGMA = 10.0  # height of a peak over the sky, in units of the smoothed tile's own noise
_FEW = 0.01  # peaks a tile, added on both sides of a ratio


def describe(tiles: NDArray[np.floating]) -> NDArray[np.float64]:
    """The number of peaks in each of `tiles` [N, bands, H, W], in the mean of the bands; edges count as others do."""
    grey = torch.from_numpy(tiles.mean(axis=1, keepdims=True).astype(np.float32))
    smooth = avg_pool2d(grey, SMOOTHING_PX, 1, SMOOTHING_PX // 2, count_include_pad=False)
    sky = smooth.flatten(1).median(dim=1).values[:, None, None, None]
    noise = torch.from_numpy(sky_noise(smooth.numpy()).astype(np.float32))[:, :, None, None]
    highest = max_pool2d(smooth, NEIGHBOURHOOD_PX, 1, NEIGHBOURHOOD_PX // 2)
    is_peak = (smooth == highest) & (smooth - sky > LEAST_SIGMA * noise)
    return np.asarray(is_peak.flatten(1).sum(dim=1).numpy(), dtype=np.float64)


def summarise(peaks: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """The mean number of peaks a tile; `weights` [N] says how often each tile counts."""
    return float(np.average(peaks, weights=weights))


def compare(fake: float, real: float) -> float:
    """Peaks a tile, generated over real; 1 where neither has any."""
    return (fake + _FEW) / (real + _FEW)
