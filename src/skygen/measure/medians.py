"""The middle of values that count with weights, and the ratio of two sets' statistics."""

import numpy as np
from numpy.typing import NDArray

_TINY = 1e-6  # a real statistic below it counts as it, so that a ratio is always a number


def weighted_median(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """The smallest of `values` [n] at which the weights [n] up to it reach half of all weight."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    return float(values[order[np.searchsorted(reached, reached[-1] / 2)]])


def middle_mean(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """The mean of the middle half of `values` [n], between their quartiles by the weights [n].

    No outlier moves it; and where values come in two heaps, of which a median takes either, it lies between them.
    """
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order]) / weights.sum()
    middle = np.diff(np.clip(reached, 0.25, 0.75), prepend=0.25)
    return float(2 * (values[order] * middle).sum())


def ratio(fake: NDArray[np.float64] | float, real: NDArray[np.float64] | float) -> float:
    """Generated over real, averaged where the statistics are arrays; 1 is as in real tiles."""
    return float(np.mean(fake / np.maximum(real, _TINY)))
