"""`kernel`: the squared maximum mean discrepancy of two sets of features, without bias.

Gretton et al. 2012 (JMLR 13, 723, lemma 6), with the cubic kernel (x y / D + 1)³ of Bińkowski et al. 2018
(arXiv:1801.01401). Unlike `frechet` its mean is 0 for equal distributions at any number of tiles, so that it may fall
a little below 0.
"""

import numpy as np
from numpy.typing import NDArray

from skygen.measure.metric import Given, Meaning, Measure, Metric, Statistic, Values, Weights

_ROWS = 500  # of a kernel matrix at once: it is made anew for each call, which is cheaper than keeping it


def relate(fake: NDArray[np.floating], real: NDArray[np.floating]) -> Statistic:
    """The statistic of two sets of features, [N, D] and [M, D]."""
    x, y = fake.astype(np.float64), real.astype(np.float64)

    def statistic(fake_weights: Weights, real_weights: Weights) -> dict[str, Values]:
        between = _sum(x, y, fake_weights, real_weights) / (fake_weights.sum(axis=1) * real_weights.sum(axis=1))
        return {"kernel": _within(x, fake_weights) + _within(y, real_weights) - 2 * between}

    return statistic


def _within(x: NDArray[np.float64], weights: Weights) -> Values:
    """The mean kernel of two different tiles of a set: a tile drawn twice is not paired with itself."""
    itself = ((x**2).sum(axis=1) / x.shape[1] + 1) ** 3
    squares = weights**2
    pairs = weights.sum(axis=1) ** 2 - squares.sum(axis=1)
    return np.asarray((_sum(x, x, weights, weights) - squares @ itself) / pairs)


def _sum(x: NDArray[np.float64], y: NDArray[np.float64], left: Weights, right: Weights) -> Values:
    """The weighted sum of the kernel over all pairs of `x` [N, D] and `y` [M, D], for each row of the weights."""
    total = np.zeros(len(left))
    for start in range(0, len(x), _ROWS):
        rows = slice(start, start + _ROWS)
        kernel = (x[rows] @ y.T / x.shape[1] + 1) ** 3
        total += np.vecdot(left[:, rows] @ kernel, right)
    return total


def _measures(given: Given) -> list[Measure]:
    return [Measure(("kernel",), given.encode, relate)] if given.encode else []


METRIC = Metric(
    "perceptual",
    {
        "kernel": Meaning(
            0,
            "kernel distance of features (squared maximum mean discrepancy)",
            "Like frechet without its assumption of normal features, and 0 on average, at times a little below, where "
            "nothing differs.",
            "Bińkowski et al. 2018, arXiv:1801.01401",
        ),
    },
    _measures,
)
