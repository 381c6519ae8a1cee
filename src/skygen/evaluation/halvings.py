"""Random halvings: what two sets of tiles get by a metric, and how far that would move with other tiles of their kind.

Both sets are halved many times. A row of weights counts one half of the generated tiles, and of the real tiles the
other half, so that a set compared with itself is compared with tiles that it does not hold. A value is the mean over
the rows, so that the luck of no single halving is in it. And the rows scatter as values of all tiles would over new
draws: the mean of half of a set, drawn without replacement, has the variance of the whole set's mean (half-samples,
McCarthy 1969, Rev. Int. Stat. Inst. 37, 239). For distances near 0 they scatter more, so that intervals are wide rather
than narrow.
"""

from collections.abc import Hashable, Sequence

import numpy as np

from skygen.measure.metric import Values, Weights
from skygen.measure.score import halves

CONFIDENCE = 0.95
SEEN = (1 + CONFIDENCE) / 2  # share of the rows in which a difference has one sign, from which on it is one


def halvings(groups: Sequence[Hashable], count: int, seed: Sequence[int]) -> tuple[Weights, Weights]:
    """Which of N tiles count in either half of `count` random halvings: 1 or 0, two arrays [count, N].

    Halves have the same mix of `groups`, such as each tile's readout; an odd tile is in neither. The same `seed` gives
    the same rows, so that sets that are compared with the same real tiles meet the same halves of them.
    """
    first, second = np.zeros((2, count, len(groups)))
    for row, word in enumerate(np.random.SeedSequence(seed).generate_state(count).tolist()):
        ours, theirs = halves(groups, word)
        first[row, ours], second[row, theirs] = 1, 1
    return first, second


def interval(rows: Values) -> tuple[float, float]:
    """The middle 95 % of the `rows` of a value, which always holds their mean, the value."""
    tail, value = (1 - CONFIDENCE) / 2, float(rows.mean())
    low, high = np.quantile(rows, [tail, 1 - tail])
    return min(float(low), value), max(float(high), value)
