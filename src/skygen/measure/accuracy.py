"""`accuracy`: how good generated tiles are, as one share, 1 for tiles as good as real ones.

The paper's table 4 gives an accuracy without saying of what. Here it is the harmonic mean of how many generated tiles
look real (`precision`), how much of the real sky lies among them (`recall`) and how much of it is met (`coverage`),
each over what real tiles get. Without recall, one typical tile repeated would pass for half as good as the sky: it has
a precision of 1, and lies in the neighbourhoods of many real tiles.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skygen.measure.metric import Given, Meaning, Measure, Metric

PARTS = ("precision", "recall", "coverage")


def accuracy(found: Mapping[str, ArrayLike], real: Mapping[str, ArrayLike], most: float = 1.0) -> NDArray[np.float64]:
    """The harmonic mean of the parts in `found` over those in `real`, each share at most `most`: elementwise.

    0 where one of them is 0, and where the real tiles' own is 0, of which nothing can be said.
    """
    shares = np.array(np.broadcast_arrays(*(_share(found[part], real[part]) for part in PARTS)))
    lowest = shares.min(axis=0)
    shares = np.where(lowest > 0, np.minimum(shares, most), 1.0)  # no division by 0
    return np.where(lowest > 0, len(PARTS) / (1 / shares).sum(axis=0), 0.0)


def _share(value: ArrayLike, real: ArrayLike) -> NDArray[np.float64]:
    value, real = np.broadcast_arrays(np.asarray(value, np.float64), np.asarray(real, np.float64))
    return np.asarray(np.divide(value, real, out=np.zeros(value.shape), where=real > 0))


def _measures(given: Given) -> list[Measure]:  # noqa: ARG001
    return []  # it is made of others


METRIC = Metric(
    "perceptual",
    {
        "accuracy": Meaning(
            1,
            "table 4's cell: precision, recall and coverage over the real tiles' own, harmonic mean",
            "1 is as good as real tiles, 0 is unreal or collapsed; it cannot be high where one of its parts is low.",
            more_is_better=True,
        ),
    },
    _measures,
)
