"""Student's interval of a mean (Student 1908, doi:10.2307/2331554): what a few trainings say of those not run."""

import math
from collections.abc import Sequence
from statistics import fmean, stdev

from scipy.special import stdtrit

CONFIDENCE = 0.95


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of the mean of independent, about normal `values`; raises `ValueError` for fewer than two.

    Mean ± t · s / √n with t of n - 1 degrees of freedom: wide for two values (t is 12.7), 4.3 for three, 2.8 for five.
    """
    if len(values) < 2:
        raise ValueError(f"{len(values)} values have no spread; give 2 or more")
    times = float(stdtrit(len(values) - 1, (1 + CONFIDENCE) / 2))
    half = times * stdev(values) / math.sqrt(len(values))
    return fmean(values) - half, fmean(values) + half
