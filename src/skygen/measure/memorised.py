"""`memorised`: whether generated tiles lie nearer to the training tiles than the sky does.

After the data-copying test of Meehan, Chaudhuri & Dasgupta 2020 (arXiv:2004.05675): the share of pairs of a generated
and a real held-out tile, in which the generated one is nearer to its own nearest training tile. 0.5 is right, 1 copies;
below 0.5 the generated tiles lie farther from the training tiles than the sky does.
"""

from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import pairwise_distances_argmin

from skygen.measure.metric import Encode, Given, Meaning, Measure, Metric, Statistic, Values, Weights


class Nearest(NamedTuple):
    """The nearest training tile of each of N tiles: its place among them [N] and its distance in feature space [N]."""

    tile: NDArray[np.int64]
    distance: NDArray[np.float64]


def nearest(features: NDArray[np.floating], train: NDArray[np.floating]) -> Nearest:
    """The nearest of the training features [M, D] to each of the features [N, D]; memory stays small for any M."""
    index = pairwise_distances_argmin(features, train)
    apart = features.astype(np.float64) - train[index]  # exact, where the search rounds: a copy is at 0
    return Nearest(np.asarray(index, np.int64), np.sqrt((apart**2).sum(axis=1)))


def relate(fake: NDArray[np.floating], real: NDArray[np.floating], train: NDArray[np.floating]) -> Statistic:
    """The statistic of two sets of features, [N, D] and [M, D], given those of the training tiles."""
    return compare(nearest(fake, train).distance, nearest(real, train).distance)


def compare(fake: NDArray[np.float64], real: NDArray[np.float64]) -> Statistic:
    """The statistic of the distances to the nearest training tile, [N] and [M]; equal distances count half."""
    order = np.argsort(real, kind="stable")
    below, upto = (np.searchsorted(real[order], fake, side=side) for side in ("left", "right"))

    def statistic(fake_weights: Weights, real_weights: Weights) -> dict[str, Values]:
        shares = np.zeros(len(fake_weights))
        for row, (ours, theirs) in enumerate(zip(fake_weights, real_weights, strict=True)):
            reached = np.concatenate([[0.0], np.cumsum(theirs[order])])
            farther = reached[-1] - (reached[below] + reached[upto]) / 2
            shares[row] = ours @ farther / (ours.sum() * reached[-1])
        return {"memorised": shares}

    return statistic


def measure(encode: Encode, train_features: NDArray[np.float32]) -> Measure:
    """The share among tiles by their features and the training tiles', [M, D]."""
    return Measure(("memorised",), encode, partial(relate, train=train_features))


def _measures(given: Given) -> list[Measure]:
    if given.encode is None or given.train_features is None:
        return []
    return [measure(given.encode, given.train_features)]


METRIC = Metric(
    "perceptual",
    {
        "memorised": Meaning(
            0.5,
            "share of pairs in which the generated tile is nearer to a training tile than the real one is",
            "0.5 is right and 1 copies the training tiles; below 0.5 the tiles are stranger than the sky, which is "
            "another fault.",
            "after Meehan, Chaudhuri & Dasgupta 2020, arXiv:2004.05675",
        ),
    },
    _measures,
)
