"""How much worse than real tiles a value is, in units of what tiles of the training fields get.

The excess is (distance² - real-real²)₊ over the same of the matched control: 0 is as good as the other half of the same
field, 1 as good as tiles of all training fields together are under the same conditions (a single one of six lies 1.7
times as far in squared distance: fields scatter around what they have in common). Squares, since what the luck of few
tiles adds to a distance adds up in squares.
"""

from typing import NamedTuple

import numpy as np

from skygen.evaluation.halvings import SEEN, interval
from skygen.measure.metric import Meaning, Values, squared


class Excess(NamedTuple):
    """`exceeds`: whether it is worse than real-real. None where the metric has no excess, or nothing to divide by."""

    exceeds: bool
    value: float | None
    interval: tuple[float, float] | None


def margin(meaning: Meaning, values: Values, real_real: Values) -> Values:
    """How much worse than real tiles `values` are, halving by halving: above 0 where they are worse, [R]."""
    if meaning.excess:
        return squared(meaning, values) - squared(meaning, real_real)
    if meaning.more_is_better:
        return real_real - values
    return np.abs(values - meaning.ideal) - np.abs(real_real - meaning.ideal)


def is_seen(margins: Values) -> bool:
    """Whether what differs by `margins` [R] is worse in all but the 2.5 % of the halvings that chance has."""
    return bool((margins > 0).mean() >= SEEN)


def excess(meaning: Meaning, margins: Values, matched: Values) -> Excess:
    """The excess by the margins [R] of a set of tiles and of the matched control.

    None where the matched control is not seen to be worse than real tiles. The interval is of `margins`; the control is
    taken as it is.
    """
    if not meaning.excess or not is_seen(matched):
        return Excess(is_seen(margins), None, None)
    ratios = margins / matched.mean()
    low, high = interval(ratios)
    return Excess(is_seen(margins), max(0.0, float(ratios.mean())), (max(0.0, low), max(0.0, high)))
