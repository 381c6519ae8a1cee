import math

import numpy as np
import pytest

from skygen.measure import student


@pytest.mark.parametrize(("values", "times"), [([0, 2], 12.7062), ([0, 1, 2], 4.30265), ([0, 1, 2, 3, 4], 2.77645)])
def test_the_interval_is_that_of_the_printed_tables(values: list[float], times: float) -> None:
    low, high = student.interval(values)

    assert (low + high) / 2 == pytest.approx(np.mean(values))
    assert (high - low) / 2 == pytest.approx(times * np.std(values, ddof=1) / math.sqrt(len(values)), rel=1e-5)


def test_nineteen_of_twenty_intervals_hold_the_mean() -> None:
    found = [student.interval(list(values)) for values in np.random.default_rng(0).normal(3, 2, (2000, 3))]

    assert np.mean([low <= 3 <= high for low, high in found]) == pytest.approx(0.95, abs=0.015)


def test_one_value_has_no_interval() -> None:
    with pytest.raises(ValueError, match="1 values have no spread"):
        student.interval([1.0])
