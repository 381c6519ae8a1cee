"""`noise_correlation`: how the noise of neighbouring pixels hangs together, in generated tiles and in real ones.

The survey's noise is all but white. Smoothed noise, a texture that a network repeats and the lattice of its strides are
not, and each leaves its own pattern of correlations.
"""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, uniform_filter

from skygen.measure.metric import Given, Meaning, Measure, Metric, Statistic, Values, Weights, average
from skygen.sky.noise import sky_noise

Scalar = TypeVar("Scalar", bound=np.generic)

# rows and columns from a pixel to its neighbour: half of those within 2 px (the other half says the same), and a
# stride of 4
LAGS = (
    *((0, column) for column in (1, 2, 4)),
    *((row, column) for row in (1, 2) for column in (-2, -1, 0, 1, 2)),
    (4, 0),
)
SMOOTHING_PX = 3  # side of the box over which a tile is averaged before sources are masked
LEAST_SIGMA = 5.0  # of a masked pixel of the smoothed tile, in units of its own noise
GROWTH_PX = 9  # side of the square that is masked around it


def describe(tiles: NDArray[np.floating]) -> NDArray[np.float64]:
    """The correlation of background pixels at each lag, of each tile and band: [N, bands, lags], from -1 to 1.

    0 for white noise. 1 for a flat tile, the limit of ever smoother ones, and where no background is left.
    """
    return np.array([[_correlations(image) for image in tile] for tile in tiles])


def relate(fake: NDArray[np.float64], real: NDArray[np.float64]) -> Statistic:
    """The statistic of two sets' correlations: the root mean square difference of their means over bands and lags."""

    def statistic(fake_weights: Weights, real_weights: Weights) -> dict[str, Values]:
        apart = average(fake, fake_weights) - average(real, real_weights)
        return {"noise_correlation": np.sqrt((apart**2).mean(axis=(1, 2)))}

    return statistic


def _correlations(image: NDArray[np.floating]) -> NDArray[np.float64]:
    sky = _background(image)
    residual = np.where(sky, image - image.mean(where=sky), 0.0) if sky.any() else np.zeros(image.shape)
    variance = (residual**2).sum() / max(np.count_nonzero(sky), 1)
    return np.array([_covariance(residual, sky, lag) / variance if variance > 0 else 1.0 for lag in LAGS])


def _covariance(residual: NDArray[np.float64], sky: NDArray[np.bool_], lag: tuple[int, int]) -> float:
    """The mean product of each background pixel and its neighbour; `residual` is 0 elsewhere."""
    pairs = np.count_nonzero(np.logical_and(*_neighbours(sky, lag)))
    return float(np.einsum("ij,ij", *_neighbours(residual, lag)) / max(pairs, 1))


def _background(image: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Where `image` [H, W] holds no source: nothing stands out of the smoothed image there or nearby."""
    smooth = uniform_filter(image.astype(np.float64), SMOOTHING_PX)
    high = np.abs(smooth - np.median(smooth)) > LEAST_SIGMA * sky_noise(smooth)
    return ~np.asarray(maximum_filter(high, GROWTH_PX), dtype=np.bool_)


def _neighbours(image: NDArray[Scalar], lag: tuple[int, int]) -> tuple[NDArray[Scalar], NDArray[Scalar]]:
    """The pixels of `image` that have a neighbour at the lag, and those neighbours."""
    (rows, columns), (height, width) = lag, image.shape
    left, right = max(0, -columns), width - max(0, columns)
    return image[: height - rows, left:right], image[rows:, left + columns : right + columns]


def _measures(given: Given) -> list[Measure]:
    return [Measure(("noise_correlation",), describe, relate)] if given.bands else []


METRIC = Metric(
    "physics",
    {
        "noise_correlation": Meaning(
            0,
            "correlation of neighbouring background pixels, root mean square difference",
            "Real noise is all but white; noise that is smoothed, copied or lies on a lattice shows here at any level.",
            excess="square",
        ),
    },
    _measures,
)
