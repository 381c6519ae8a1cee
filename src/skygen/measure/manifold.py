"""`precision`, `recall`, `density` and `coverage`: where one set's features lie inside the other's.

A set's manifold is the union of balls, one around each tile, that reach to its k-th neighbour in the set. Precision and
recall are those of Kynkäänniemi et al. 2019 (arXiv:1904.06991), density and coverage those of Naeem et al. 2020
(arXiv:2002.09797), each with its paper's k.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from skygen.measure.metric import Given, Meaning, Measure, Metric, Statistic, Values, Weights

NEIGHBOURS_OF_PRECISION = 3  # k of precision and recall
NEIGHBOURS_OF_DENSITY = 5  # k of density and coverage
_ROWS = 500  # of a matrix of pairs at once
_Pairs = NDArray[np.bool_]  # [M, N]: whether the ball of each of M tiles holds each of N others


def relate(fake: NDArray[np.floating], real: NDArray[np.floating]) -> Statistic:
    """The statistic of two sets of features, [N, D] and [M, D], of at least 6 tiles each.

    A tile that a resampling leaves out is no centre of a ball either; the radii stay. With all balls held fixed,
    intervals were too narrow by up to half. Raises `ValueError` for fewer tiles.
    """
    (narrow, wide), (fake_narrow, _) = radii(real), radii(fake)
    in_narrow, in_wide, in_fake = _balls(real, narrow, fake), _balls(real, wide, fake), _balls(fake, fake_narrow, real)

    def statistic(fake_weights: Weights, real_weights: Weights) -> dict[str, Values]:
        expected = fake_weights.sum(axis=1) * real_weights.sum(axis=1) * NEIGHBOURS_OF_DENSITY / len(real)
        return {
            "precision": _share(_reached(real_weights, in_narrow), fake_weights),
            "recall": _share(_reached(fake_weights, in_fake), real_weights),
            "density": np.vecdot(_times(real_weights, in_wide, np.float64), fake_weights) / expected,
            "coverage": _share(_reached(fake_weights, in_wide.T), real_weights),
        }

    return statistic


def radii(features: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The distances of each of the features [N, D] to its third and fifth neighbour, [N] each; 0 where tiles repeat."""
    if len(features) <= NEIGHBOURS_OF_DENSITY:
        raise ValueError(f"{len(features)} tiles; a manifold needs at least {NEIGHBOURS_OF_DENSITY + 1}")
    ranks = [NEIGHBOURS_OF_PRECISION, NEIGHBOURS_OF_DENSITY]  # the tile itself has rank 0
    found = [np.partition(apart, ranks, axis=1)[:, ranks] for apart in _apart(features, features)]
    narrow, wide = np.concatenate(found).T
    return narrow, wide


def _balls(centres: NDArray[np.floating], radius: NDArray[np.float64], others: NDArray[np.floating]) -> _Pairs:
    starts = range(0, len(centres), _ROWS)
    pieces = zip(starts, _apart(centres, others), strict=True)
    return np.concatenate([apart < radius[start : start + _ROWS, None] for start, apart in pieces])


def _apart(features: NDArray[np.floating], others: NDArray[np.floating]) -> Iterator[NDArray[np.float64]]:
    """The distances of the features [N, D] to all others [M, D], some rows at a time."""
    for start in range(0, len(features), _ROWS):
        yield cdist(features[start : start + _ROWS], others)


def _reached(centres: Weights, balls: _Pairs) -> NDArray[np.bool_]:
    """Whether each of N tiles lies in a ball whose centre has weight, for each row of the weights: [R, N]."""
    return _times((centres > 0), balls, np.float32) > 0  # counts are exact in float32


def _times(left: NDArray[Any], balls: _Pairs, dtype: type[np.floating]) -> NDArray[np.floating]:
    """The matrix product of `left` [R, M] and the balls [M, N], without a copy of them as numbers."""
    total = np.zeros((len(left), balls.shape[1]), dtype)
    for start in range(0, len(balls), _ROWS):
        rows = slice(start, start + _ROWS)
        total += left[:, rows].astype(dtype) @ balls[rows].astype(dtype)
    return total


def _share(chosen: NDArray[np.bool_], weights: Weights) -> Values:
    return np.asarray(np.vecdot(chosen.astype(np.float64), weights) / weights.sum(axis=1))


def _measures(given: Given) -> list[Measure]:
    return [Measure(tuple(METRIC.meanings), given.encode, relate)] if given.encode else []


METRIC = Metric(
    "perceptual",
    {
        "precision": Meaning(
            1,
            "share of generated tiles inside the manifold of real ones",
            "How many generated tiles look real; a generator that repeats one good tile is perfect here, so read it "
            "with recall, and beside its real-real value, which is below 1.",
            "Kynkäänniemi et al. 2019, arXiv:1904.06991",
        ),
        "recall": Meaning(
            1,
            "share of real tiles inside the manifold of generated ones",
            "How much of the sky the generator can paint; 0 is collapse, and tiles spread too widely reach the whole "
            "sky.",
            "Kynkäänniemi et al. 2019, arXiv:1904.06991",
        ),
        "density": Meaning(
            1,
            "how many real neighbourhoods a generated tile lies in, over what is expected",
            "Like precision, but no single odd real tile can lift it; above 1, generated tiles crowd where real tiles "
            "are most common.",
            "Naeem et al. 2020, arXiv:2002.09797",
        ),
        "coverage": Meaning(
            1,
            "share of real neighbourhoods with a generated tile in them",
            "Like recall, but tiles spread too widely do not lift it; two sets of the same sky reach 0.97.",
            "Naeem et al. 2020, arXiv:2002.09797",
        ),
    },
    _measures,
)
