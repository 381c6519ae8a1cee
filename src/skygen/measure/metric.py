"""What a metric is: an object at the end of its module, which the table finds there.

A metric says what each of its keys in metrics.json means, and how it is measured of what is given. Tiles count with
weights, many weightings at once. A row is a half-sample (McCarthy 1969, doi:10.2307/1402116): of a random half of one
set and the disjoint other half of the other, so that a set can be related to itself and no tile meets itself.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

Weights = NDArray[np.float64]  # [R, N]: how often each tile counts; one that counts 0 times is as if it were not there
Values = NDArray[np.float64]  # [R]: of one metric, a row of the weights each
Statistic = Callable[[Weights, Weights], dict[str, Values]]  # of the generated and the real set's weights, by key
Tiles = NDArray[np.floating]  # [N, bands, H, W] in nmgy
Encode = Callable[[Tiles], NDArray[np.float32]]  # tiles to features [N, D], standardised over training tiles
Described = TypeVar("Described")
Summed = TypeVar("Summed")
_COLUMNS = 4096  # averaged at once, so that a large description is not copied whole
GROUPS = ("perceptual", "physics", "game")  # as reports show them


class Meaning(NamedTuple):
    """What a metric says: its value for perfect tiles, what it is in words, how to read it, and who defined it.

    `excess` is how its values become squared distances, of which those of real tiles can be taken off: by the square of
    what they are from the ideal, or as they are, since some are squares already. Those of "" are no distances.
    """

    ideal: float
    caption: str
    reading: str
    source: str = ""
    excess: Literal["", "square", "itself"] = ""
    more_is_better: bool = False  # also above the ideal, where chance takes it


def squared(meaning: Meaning, values: NDArray[np.floating]) -> NDArray[np.float64]:
    """The squared distances from perfect tiles that `values` of a metric say; raises `ValueError` where they are none.

    They may be a little below 0 where the metric is unbiased.
    """
    if not meaning.excess:
        raise ValueError(f"values of {meaning.caption!r} are no distances; take a metric whose meaning has an excess")
    apart = np.asarray(values, np.float64) - meaning.ideal
    return apart**2 if meaning.excess == "square" else apart


@dataclass(frozen=True)
class Given:
    """What metrics may need beside two sets of tiles; a metric is not measured where what it needs is None."""

    bands: Sequence[str] | None = None
    encode: Encode | None = None
    seed: int | None = None  # of classifiers: it deals the tiles out to their folds
    train_features: NDArray[np.float32] | None = None  # of the training tiles, [M, D]
    logits: Callable[[Tiles], NDArray[np.floating]] | None = None  # of the training's discriminator, [N]


@dataclass(frozen=True)
class Measure:
    """How one or several keys are measured, in steps, so that half-samples of the tiles repeat only the cheap last.

    `describe` measures each tile of a set once; measures that share the same `describe` object share its work. `relate`
    takes the generated set's description and the real one's, does what is heavy once, and returns the statistic: a
    function of both sets' weights [R, N] to the values [R] of each of `keys`.
    """

    keys: tuple[str, ...]
    describe: Callable[[Tiles], Any]
    relate: Callable[[Any, Any], Statistic]


@dataclass(frozen=True, eq=False)
class Metric:
    """A row of the table: one of GROUPS, the meaning of each key, and the measures that what is given allows."""

    group: str
    meanings: Mapping[str, Meaning]
    measures: Callable[[Given], Sequence[Measure]]


def by_weights(
    key: str,
    summarise: Callable[[Described, NDArray[np.float64]], Summed],
    compare: Callable[[Summed, Summed], float],
) -> Callable[[Described, Described], Statistic]:
    """What relates two sets of which each is summed up under weights [N], one row after another."""

    def relate(fake: Described, real: Described) -> Statistic:
        def statistic(fake_weights: Weights, real_weights: Weights) -> dict[str, Values]:
            rows = zip(fake_weights, real_weights, strict=True)
            return {key: np.array([compare(summarise(fake, ours), summarise(real, theirs)) for ours, theirs in rows])}

        return statistic

    return relate


def by_means(
    key: str,
    summarise: Callable[[NDArray[Any], NDArray[np.float64]], NDArray[np.float64]],
    compare: Callable[[NDArray[np.float64], NDArray[np.float64]], float],
) -> Callable[[NDArray[Any], NDArray[Any]], Statistic]:
    """As `by_weights`, where a sum depends on the descriptions' mean alone: taken for all rows at once."""

    def relate(fake: NDArray[Any], real: NDArray[Any]) -> Statistic:
        def statistic(fake_weights: Weights, real_weights: Weights) -> dict[str, Values]:
            once = np.ones(1)
            means = zip(average(fake, fake_weights), average(real, real_weights), strict=True)
            sums = ([summarise(mean[None], once) for mean in pair] for pair in means)
            return {key: np.array([compare(*pair) for pair in sums])}

        return statistic

    return relate


def average(values: NDArray[np.floating], weights: Weights) -> NDArray[np.float64]:
    """The weighted mean over tiles of `values` [N, ...] for each row of `weights` [R, N]: [R, ...]."""
    flat = values.reshape(len(values), -1)
    starts = range(0, flat.shape[1], _COLUMNS)
    sums = [weights @ flat[:, start : start + _COLUMNS].astype(np.float64) for start in starts]
    means = np.concatenate(sums, axis=1) / weights.sum(axis=1, keepdims=True)
    return np.asarray(means.reshape(len(weights), *values.shape[1:]))
