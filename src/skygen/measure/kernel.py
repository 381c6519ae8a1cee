"""`kernel`: the squared maximum mean discrepancy of two sets of features, without bias and under a bounded kernel.

Gretton et al. 2012 (JMLR 13, 723, lemma 6). The kernel is the mean of Laplace kernels exp(-|x - y| / (s m)) at several
scales s of the median distance m between two real tiles. It is characteristic (Sriperumbudur et al. 2010, JMLR 11,
1517): only equal distributions are at 0, whatever their shape. And as no pair of tiles counts more than 1, a few
extremes do not lead, as they do `frechet` and the cubic kernel of Bińkowski et al. 2018 (arXiv:1801.01401).
"""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist, pdist

from skygen.measure.metric import Given, Meaning, Measure, Metric, Statistic, Values, Weights

SCALES = (0.5, 1.0, 2.0)  # of the median distance
_LEAST_SCALE = 1e-6  # where all real tiles are one
_ROWS = 500  # of a kernel matrix at once: it is made anew for each call, which is cheaper than keeping it


def relate(fake: NDArray[np.floating], real: NDArray[np.floating]) -> Statistic:
    """The statistic of two sets of features, [N, D] and [M, D].

    Its value is at most 2, 0 on average for equal distributions at any number of tiles, and so at times a little below.
    """
    x, y, scale = fake.astype(np.float64), real.astype(np.float64), scale_of(real)

    def statistic(fake_weights: Weights, real_weights: Weights) -> dict[str, Values]:
        between = _sum(x, y, fake_weights, real_weights, scale)
        between /= fake_weights.sum(axis=1) * real_weights.sum(axis=1)
        within = _within(x, fake_weights, scale) + _within(y, real_weights, scale)
        return {"kernel": within - 2 * between}

    return statistic


def scale_of(real: NDArray[np.floating]) -> float:
    """The median distance of two real tiles, whatever their weights: one scale for all that is compared with them."""
    return max(float(np.median(pdist(real))), _LEAST_SCALE)


def _within(x: NDArray[np.float64], weights: Weights, scale: float) -> Values:
    """The mean kernel of two different tiles of a set: a tile that counts twice is not paired with itself."""
    squares = (weights**2).sum(axis=1)  # the kernel of a tile and itself is 1
    return np.asarray((_sum(x, x, weights, weights, scale) - squares) / (weights.sum(axis=1) ** 2 - squares))


def _sum(x: NDArray[np.float64], y: NDArray[np.float64], left: Weights, right: Weights, scale: float) -> Values:
    """The weighted sum of the kernel over all pairs of `x` [N, D] and `y` [M, D], for each row of the weights."""
    total = np.zeros(len(left))
    for start in range(0, len(x), _ROWS):
        rows = slice(start, start + _ROWS)
        total += np.vecdot(left[:, rows] @ _kernel(x[rows], y, scale), right)
    return total


def _kernel(x: NDArray[np.float64], y: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
    apart = cdist(x, y) / -scale
    return np.asarray(sum(np.exp(apart / times) for times in SCALES) / len(SCALES))


def _measures(given: Given) -> list[Measure]:
    return [Measure(("kernel",), given.encode, relate)] if given.encode else []


METRIC = Metric(
    "perceptual",
    {
        "kernel": Meaning(
            0,
            "kernel distance of features (squared maximum mean discrepancy)",
            "The distance by which the champion is chosen: how far the encoder's features differ in any way, at most "
            "2, and no pair of tiles leads; 0 on average, at times a little below, where nothing differs.",
            "Gretton et al. 2012, JMLR 13, 723",
            "itself",
        ),
    },
    _measures,
)
