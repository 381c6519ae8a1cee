"""`accuracy`: how good generated tiles are, as one share, 1 for tiles as good as real ones.

The paper's table 4 gives an accuracy without saying of what. Here it is the harmonic mean of how many generated tiles
look real (`precision`) and how much of the real sky is met (`coverage`), each over what real tiles get.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def accuracy(
    precision: ArrayLike, coverage: ArrayLike, real_precision: ArrayLike, real_coverage: ArrayLike
) -> NDArray[np.float64]:
    """2 p c / (p + c), where p and c are precision and coverage over the real tiles' own, at most 1: elementwise.

    0 where either is 0, and where the real tiles' own is 0, of which nothing can be said.
    """
    real_looking, met = _share(precision, real_precision), _share(coverage, real_coverage)
    return _ratio(2 * real_looking * met, real_looking + met)


def _share(value: ArrayLike, real: ArrayLike) -> NDArray[np.float64]:
    return np.minimum(1, _ratio(np.asarray(value, np.float64), np.asarray(real, np.float64)))


def _ratio(value: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """`value` / `whole`, 0 where the whole is 0."""
    empty = np.zeros(np.broadcast_shapes(value.shape, whole.shape))
    return np.asarray(np.divide(value, whole, out=empty, where=whole > 0))
