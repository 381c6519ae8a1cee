"""Statistics of two ways to train, paired by seed: how far apart they are, how surely, and how many seeds it needs.

Tests are two-sided at 0.05. A difference is the first way's value less the second's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

import numpy as np
from scipy import stats

from skygen.measure import student

ALPHA, POWER = 0.05, 0.8
MOST_SEEDS = 1000  # a number that is larger is not looked for


@dataclass(frozen=True)
class Compared:
    """What paired values say; None is what they cannot say: without a seed nothing, from one the difference alone."""

    difference: float | None = None
    """The mean of the differences."""

    interval: tuple[float, float] | None = None
    """The 95 % interval of that mean."""

    effect: float | None = None
    """Cohen's d of the differences: their mean in units of their standard deviation."""

    p: float | None = None
    """Two-sided, for no difference."""

    seeds_needed: int | None = None
    """Where p is 0.05 or more: those for power 0.8, were the truth what was measured; None: more than `MOST_SEEDS`."""


def compare_means(differences: Sequence[float]) -> Compared:
    """Differences that are about normal, by Student's paired t test."""
    if not differences:
        return Compared()
    mean = fmean(differences)
    if len(differences) == 1:
        return Compared(mean)
    spread, interval = stdev(differences), student.interval(differences)
    if spread == 0:
        return Compared(mean, interval, p=0.0 if mean else 1.0)
    effect, seeds = mean / spread, len(differences)
    p = 2 * float(stats.t.sf(abs(effect) * seeds**0.5, seeds - 1))
    return Compared(mean, interval, effect, p, _least(lambda seeds: power_of_means(effect, seeds), p))


def compare_shares(first: Sequence[bool], second: Sequence[bool]) -> Compared:
    """Shares of the same seeds, by McNemar's exact test: of the seeds in which both differ, how many are the first's.

    The interval is Clopper and Pearson's of that part, so it leaves 0 out exactly where p is below 0.05.
    """
    pairs, seeds = list(zip(first, second, strict=True)), len(first)
    more, less = pairs.count((True, False)), pairs.count((False, True))
    if not pairs:
        return Compared()
    mean, differing = (more - less) / seeds, more + less
    if seeds == 1:
        return Compared(mean)
    if not differing:
        return Compared(mean, p=1.0)
    test = stats.binomtest(more, differing)
    low, high = ((2 * bound - 1) * differing / seeds for bound in test.proportion_ci(1 - ALPHA, "exact"))
    power, p = _power_of_shares(differing / seeds, more / differing), float(test.pvalue)
    return Compared(mean, (low, high), p=p, seeds_needed=_least(power, p))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for their number by Holm's method (1979, https://www.jstor.org/stable/4615733)."""
    order = np.argsort(p_values)
    times = len(p_values) - np.arange(len(p_values))
    corrected = np.minimum(np.maximum.accumulate(np.asarray(p_values)[order] * times), 1.0)
    return [float(value) for value in corrected[np.argsort(order)]]


def power_of_means(effect: float, seeds: int) -> float:
    """The chance that Student's paired t test finds a true Cohen's d of `effect` from so many seeds, 2 at least."""
    degrees, shift = seeds - 1, abs(effect) * seeds**0.5
    limit = stats.t.isf(ALPHA / 2, degrees)
    return float(stats.nct.sf(limit, degrees, shift) + stats.nct.cdf(-limit, degrees, shift))


def _power_of_shares(differing: float, more: float) -> Callable[[int], float]:
    """The chance by number of seeds that McNemar's exact test finds a difference.

    `differing` is the share of seeds in which the two differ, `more` the part of these that is the first's.
    """
    counts = np.arange(MOST_SEEDS + 1)
    least = stats.binom.ppf(ALPHA / 2, counts, 0.5)
    least -= stats.binom.cdf(least, counts, 0.5) > ALPHA / 2  # the most that still is too few to be chance; -1: none
    found = stats.binom.cdf(least, counts, more) + stats.binom.sf(counts - least - 1, counts, more)
    return lambda seeds: float(stats.binom.pmf(counts, seeds, differing) @ found)


def _least(power: Callable[[int], float], p: float) -> int | None:
    """The least number of seeds that has POWER, where `p` says that those at hand are too few."""
    return next((seeds for seeds in range(2, MOST_SEEDS + 1) if power(seeds) >= POWER), None) if p >= ALPHA else None
