"""Sets of tiles that count with weights, many weightings at once: a row is a resampling of a bootstrap."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Weights = NDArray[np.float64]  # [R, N]: how often each tile counts; rows of ones give the value itself
Values = NDArray[np.float64]  # [R]: of one metric, a row of the weights each
Statistic = Callable[[Weights, Weights], dict[str, Values]]  # of the generated and the real set's weights, by key

_COLUMNS = 4096  # averaged at once, so that a large description is not copied whole


def average(values: NDArray[np.floating], weights: Weights) -> NDArray[np.float64]:
    """The weighted mean over tiles of `values` [N, ...] for each row of `weights` [R, N]: [R, ...]."""
    flat = values.reshape(len(values), -1)
    starts = range(0, flat.shape[1], _COLUMNS)
    sums = [weights @ flat[:, start : start + _COLUMNS].astype(np.float64) for start in starts]
    means = np.concatenate(sums, axis=1) / weights.sum(axis=1, keepdims=True)
    return np.asarray(means.reshape(len(weights), *values.shape[1:]))
