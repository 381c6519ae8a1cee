"""`frechet`: the Fréchet distance of two sets of features, each taken as a normal distribution.

Dowson & Landau 1982 (doi:10.1016/0047-259X(82)90077-X); on a network's features, Heusel et al. 2017
(arXiv:1706.08500). Even where nothing differs it grows with the number of features over the number of tiles, so that
only values of equal numbers of tiles compare.
"""

import numpy as np
from numpy.typing import NDArray

from skygen.measure.metric import Given, Meaning, Measure, Metric, Statistic, Values, Weights, average


def relate(fake: NDArray[np.floating], real: NDArray[np.floating]) -> Statistic:
    """The statistic of two sets of features, [N, D] and [M, D]."""
    origin = real.mean(axis=0, dtype=np.float64)  # near both means, so that no digits cancel
    moments = [_moments(features - origin) for features in (fake, real)]

    def statistic(fake_weights: Weights, real_weights: Weights) -> dict[str, Values]:
        fake_normal, real_normal = (
            _normal(*of_set, weights) for of_set, weights in zip(moments, (fake_weights, real_weights), strict=True)
        )
        return {"frechet": distance(*fake_normal, *real_normal)}

    return statistic


def distance(
    mean_a: NDArray[np.float64],
    covariance_a: NDArray[np.float64],
    mean_b: NDArray[np.float64],
    covariance_b: NDArray[np.float64],
) -> Values:
    """|a - b|² + tr(A + B - 2 (A B)^½) of normal distributions with means [R, D] and covariances [R, D, D]: [R].

    The squared distance, as others print it; 0 if equal, and never below.
    """
    levels, axes = np.linalg.eigh(covariance_a)
    root = (axes * np.sqrt(np.maximum(levels, 0))[:, None, :]) @ axes.swapaxes(-1, -2)
    shared = np.linalg.eigvalsh(root @ covariance_b @ root)  # those of A B, of a symmetric matrix
    traces = np.trace(covariance_a + covariance_b, axis1=-2, axis2=-1)
    squares = ((mean_a - mean_b) ** 2).sum(axis=-1)
    return np.asarray(np.maximum(squares + traces - 2 * np.sqrt(np.maximum(shared, 0)).sum(axis=-1), 0))


def _moments(features: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The features [N, D] and the products of each two of a tile's [N, D (D + 1) / 2]."""
    first, second = np.triu_indices(features.shape[1])
    return features, features[:, first] * features[:, second]


def _normal(
    features: NDArray[np.float64], products: NDArray[np.float64], weights: Weights
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The means [R, D] and the unbiased covariances [R, D, D] under weights [R, N]."""
    size, total = features.shape[1], weights.sum(axis=1)
    mean = average(features, weights)
    square = np.empty((len(weights), size, size))
    first, second = np.triu_indices(size)
    square[:, first, second] = square[:, second, first] = average(products, weights)
    unbiased = total / (total - 1)
    return mean, (square - mean[:, :, None] * mean[:, None, :]) * unbiased[:, None, None]


def _measures(given: Given) -> list[Measure]:
    return [Measure(("frechet",), given.encode, relate)] if given.encode else []


METRIC = Metric(
    "perceptual",
    {
        "frechet": Meaning(
            0,
            "Fréchet distance of features",
            "How far mean and spread of the encoder's features differ, a few extremes before all; it is above 0 even "
            "between real tiles.",
            "Heusel et al. 2017, arXiv:1706.08500",
            "itself",
        ),
    },
    _measures,
)
