"""`precision`, `recall`, `density` and `coverage`: where one set's features lie inside the other's.

A set's manifold is the union of balls, one around each tile, that reach to its k-th neighbour in the set. Precision and
recall are those of Kynkäänniemi et al. 2019 (arXiv:1904.06991), density and coverage those of Naeem et al. 2020
(arXiv:2002.09797), each with its paper's k.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from skygen.measure.metric import Given, Meaning, Measure, Metric, Statistic, Values, Weights

NEIGHBOURS_OF_PRECISION = 3  # k of precision and recall
NEIGHBOURS_OF_DENSITY = 5  # k of density and coverage
_RANKS = (NEIGHBOURS_OF_PRECISION, NEIGHBOURS_OF_DENSITY)
_KEPT = 64  # neighbours of a tile, among which a half-sample all but surely has five
_ROWS = 500  # of a matrix of pairs at once


class Neighbours(NamedTuple):
    """The features [N, D] of a set, and for each tile its nearest others [N, K], by their places and by distance."""

    features: NDArray[np.floating]
    tile: NDArray[np.int64]
    distance: NDArray[np.float64]


def relate(fake: NDArray[np.floating], real: NDArray[np.floating]) -> Statistic:
    """The statistic of two sets of features, [N, D] and [M, D].

    Of the tiles that count alone: others are no centre of a ball, and no neighbour to which one reaches. Raises
    `ValueError` where a row counts fewer than 6 of a set.
    """
    between, near_fake, near_real = np.concatenate([*_apart(fake, real)]), neighbours(fake), neighbours(real)

    def of_row(ours: Values, theirs: Values) -> tuple[float, ...]:
        is_ours, is_theirs = ours > 0, theirs > 0
        (narrow, wide), (our_narrow, _) = radii(near_real, is_theirs), radii(near_fake, is_ours)
        apart = between[is_ours][:, is_theirs]
        in_wide, ours, theirs = apart < wide, ours[is_ours], theirs[is_theirs]
        expected = ours.sum() * theirs.sum() * NEIGHBOURS_OF_DENSITY / len(theirs)
        return (
            np.average((apart < narrow).any(axis=1), weights=ours),
            np.average((apart < our_narrow[:, None]).any(axis=0), weights=theirs),
            ours @ (in_wide @ theirs) / expected,
            np.average(in_wide.any(axis=0), weights=theirs),
        )

    def statistic(fake_weights: Weights, real_weights: Weights) -> dict[str, Values]:
        rows = [of_row(ours, theirs) for ours, theirs in zip(fake_weights, real_weights, strict=True)]
        return dict(zip(METRIC.meanings, np.array(rows).T, strict=True))

    return statistic


def neighbours(features: NDArray[np.floating]) -> Neighbours:
    """The 64 nearest others of each of the features [N, D]: not itself, but what repeats it."""
    indices, distances = [], []
    for start, apart in zip(range(0, len(features), _ROWS), _apart(features, features), strict=True):
        apart[np.arange(len(apart)), start + np.arange(len(apart))] = -1  # the tile itself comes first
        index = np.argsort(apart, axis=1, kind="stable")[:, 1 : _KEPT + 1]
        indices.append(index)
        distances.append(np.take_along_axis(apart, index, axis=1))
    return Neighbours(features, np.concatenate(indices), np.concatenate(distances))


def radii(near: Neighbours, counted: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The distances of each of n `counted` tiles [N] to its third and fifth neighbour among them, [n] each.

    0 where tiles repeat. Raises `ValueError` for fewer than 6 tiles.
    """
    count = np.count_nonzero(counted)
    if count <= NEIGHBOURS_OF_DENSITY:
        raise ValueError(f"{count} tiles count; a manifold needs at least {NEIGHBOURS_OF_DENSITY + 1}")
    reached = np.cumsum(counted[near.tile[counted]], axis=1, dtype=np.int16)
    if (reached[:, -1] < NEIGHBOURS_OF_DENSITY).any():
        return radii(neighbours(near.features[counted]), np.ones(count, np.bool_))
    ranks = ((reached < rank).sum(axis=1) for rank in _RANKS)
    narrow, wide = (near.distance[counted, rank] for rank in ranks)
    return narrow, wide


def _apart(features: NDArray[np.floating], others: NDArray[np.floating]) -> Iterator[NDArray[np.float64]]:
    """The distances of the features [N, D] to all others [M, D], some rows at a time."""
    for start in range(0, len(features), _ROWS):
        yield cdist(features[start : start + _ROWS], others)


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
            more_is_better=True,
        ),
        "recall": Meaning(
            1,
            "share of real tiles inside the manifold of generated ones",
            "How much of the sky the generator can paint; 0 is collapse, and tiles spread too widely reach the whole "
            "sky.",
            "Kynkäänniemi et al. 2019, arXiv:1904.06991",
            more_is_better=True,
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
            more_is_better=True,
        ),
    },
    _measures,
)
