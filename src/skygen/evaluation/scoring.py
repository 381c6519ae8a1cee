"""Measuring sets of tiles against real ones: every metric, halving by halving."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

from skygen.measure.accuracy import accuracy
from skygen.measure.metric import Measure, Tiles, Values, Weights

CONTROLS = ("real_real", "between_fields", "matched", "collapsed")  # beside a metric's value
SAID = ("margin", "matched_margin", "excess", "excess_interval", "exceeds")  # of a value beside its controls
Described = dict[Callable[[Tiles], Any], Any]  # what each measure's `describe` made of a set of tiles
Found = dict[str, Values]  # the values [R] of each metric by its key, one a row of weights
DIGITS = 6  # significant ones that are written: the last bits of a sum depend on how many threads made it
_SIDE_BY_SIDE = 2  # measures at work at once
ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


def describe(tiles: Tiles, measures: Sequence[Measure]) -> Described:
    """What each of `measures` needs of `tiles` [N, bands, H, W] in nmgy, which may be forgotten then.

    Raises `ValueError` where a tile holds NaN or infinity.
    """
    if not all(np.isfinite(tile).all() for tile in tiles):
        raise ValueError("generated tiles hold NaN or infinity; the bundle is of a training that diverged: train again")
    wanted = list({measure.describe: None for measure in measures})
    return dict(zip(wanted, _side_by_side(lambda describe: describe(tiles), wanted), strict=True))


def relate(fake: Described, real: Described, measures: Sequence[Measure], weights: tuple[Weights, Weights]) -> Found:
    """Every metric of two sets, of which at least `measures` are described, for each row of the `weights` of both."""

    def values(measure: Measure) -> Found:
        return measure.relate(fake[measure.describe], real[measure.describe])(*weights)

    return {key: found for part in _side_by_side(values, measures) for key, found in part.items()}


def _side_by_side(work: Callable[[ItemT], ResultT], items: Sequence[ItemT]) -> list[ResultT]:
    """The results of `work` on each item, two at a time, with linear algebra on one thread each.

    Tiles are small: with threads of its own for each, the algebra took six to nine times the processor time, waiting
    (128 px, two cores), and a sum's last bits would depend on the machine.
    """
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
        return list(pool.map(work, items))


def with_accuracy(found: Found, real_real: Mapping[str, Values]) -> Found:
    """`found` and `accuracy`, which sets its parts beside those of real tiles in the same halvings.

    No share ends at 1 here: with that limit even a perfect generator would stay below it in nearly every halving.
    """
    return found | {"accuracy": accuracy(found, real_real, most=np.inf)}


def value_of(key: str, rows: Values) -> float:
    """A metric's value, as it is written: the mean over halvings to six digits; an accuracy of 1 at most."""
    value = float(rows.mean())
    return rounded(min(value, 1.0) if key == "accuracy" else value)


def rounded(value: float) -> float:
    """`value` to six significant digits."""
    return float(f"{value:.{DIGITS}g}")


def entries(section: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every metric of a section of metrics.json with its full key, groups joined by a dot."""
    for name, content in section.items():
        if "value" in content:
            yield prefix + name, content
        else:
            yield from entries(content, f"{prefix}{name}.")
