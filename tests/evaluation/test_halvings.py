import math

import numpy as np
import pytest

from skygen.evaluation.halvings import halvings, interval


def test_the_interval_of_a_mean_is_the_textbooks():
    values = np.random.default_rng(1).normal(10, 2, 400)
    first, _ = halvings([0] * 400, 2000, (2,))
    low, high = interval(first @ values / 200)

    reach = 1.96 * values.std() / math.sqrt(400)
    assert low == pytest.approx(values.mean() - reach, abs=0.1 * reach)
    assert high == pytest.approx(values.mean() + reach, abs=0.1 * reach)


def test_an_interval_covers_the_truth_about_nineteen_times_in_twenty():
    rng, hits = np.random.default_rng(3), 0
    for number in range(300):
        values = rng.exponential(1, 100)
        first, _ = halvings([0] * 100, 300, (number,))
        low, high = interval(first @ values / 50)
        hits += low <= 1 <= high

    assert hits / 300 == pytest.approx(0.94, abs=0.03)


def test_the_interval_of_a_difference_of_two_sets_is_the_textbooks_too():
    rng = np.random.default_rng(4)
    ours, theirs = rng.normal(1, 2, 300), rng.normal(0, 1, 300)
    first, second = halvings([0] * 300, 2000, (5,))
    low, high = interval((first @ ours - second @ theirs) / 150)

    reach = 1.96 * math.sqrt((ours.var() + theirs.var()) / 300)
    assert (high - low) / 2 == pytest.approx(reach, rel=0.1)


def test_an_interval_holds_its_mean_however_skewed_the_rows_are():
    low, high = interval(np.array([0.0] * 99 + [100.0]))

    assert (low, high) == (0, 1)


def test_a_constant_has_no_width():
    assert interval(np.full(100, 0.3)) == pytest.approx((0.3, 0.3))
