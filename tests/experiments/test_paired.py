"""Paired tests against worked examples and tables."""

import pytest
from scipy import stats

from skygen.experiments.paired import Compared, compare_means, compare_shares, holm, power_of_means


def test_five_differences_by_hand():
    """Mean 3, standard deviation √2.5; t of 4 degrees of freedom is 2.776 in every table."""
    found = compare_means([1.0, 2.0, 3.0, 4.0, 5.0])
    half = 2.776 * 2.5**0.5 / 5**0.5
    assert found.difference == 3.0
    assert found.interval == pytest.approx((3 - half, 3 + half), abs=1e-3)
    assert found.effect == pytest.approx(3 / 2.5**0.5)
    assert found.p == pytest.approx(0.0132, abs=5e-5)
    assert found.seeds_needed is None  # decided


def test_the_p_value_is_that_of_scipys_paired_test():
    first, second = [0.31, 0.28, 0.4, 0.33], [0.3, 0.31, 0.31, 0.3]
    found = compare_means([a - b for a, b in zip(first, second, strict=True)])
    assert found.p == pytest.approx(stats.ttest_rel(first, second).pvalue)


@pytest.mark.parametrize(("effect", "seeds"), [(0.2, 199), (0.5, 34), (0.8, 15), (1.0, 10)])
def test_seeds_for_power_80_are_those_of_the_tables(effect, seeds):
    """Of G*Power for a two-sided paired t test at 0.05 (Faul 2007, doi:10.3758/BF03193146)."""
    assert power_of_means(effect, seeds - 1) < 0.8 <= power_of_means(effect, seeds)
    assert power_of_means(-effect, seeds) == pytest.approx(power_of_means(effect, seeds))


def test_what_is_undecided_says_how_many_seeds_it_needs():
    """Four differences of mean 0.5 and standard deviation 1: d = 0.5."""
    found = compare_means([0.5 - 0.75**0.5, 0.5 - 0.75**0.5, 0.5 + 0.75**0.5, 0.5 + 0.75**0.5])
    assert found.effect == pytest.approx(0.5)
    assert found.seeds_needed == 34
    assert compare_means([1.0, -1.001]).seeds_needed is None  # more than are looked for


def test_too_few_or_equal_differences():
    assert compare_means([]) == Compared()
    assert compare_means([0.3]) == Compared(0.3)
    assert compare_means([0.0, 0.0]) == Compared(0.0, (0.0, 0.0), p=1.0)
    assert compare_means([-0.5, -0.5]) == Compared(-0.5, (-0.5, -0.5), p=0.0)


def test_shares_by_the_binomial_table():
    """They differ in ten seeds, nine to one: p is 2 (1 + 10) / 2^10."""
    found = compare_shares([True] * 9 + [False] + [True] * 5, [False] * 9 + [True] * 6)
    assert found.difference == pytest.approx(8 / 15)
    assert found.p == pytest.approx(22 / 1024)
    assert found.interval[0] > 0


def test_five_seeds_never_decide_on_shares_and_six_may():
    five, six = (compare_shares([False] * seeds, [True] * seeds) for seeds in (5, 6))
    assert (five.p, six.p) == (pytest.approx(2 / 32), pytest.approx(2 / 64))
    assert five.interval[0] == -1.0
    assert five.interval[1] > 0 > six.interval[1]
    assert (five.seeds_needed, six.seeds_needed) == (6, None)


def test_seeds_for_shares_wait_for_six_that_differ():
    """One in five differs, always to the same side: the test finds it once six do."""
    needed = compare_shares([True, False, False, False, False], [False] * 5).seeds_needed
    assert stats.binom.sf(5, needed - 1, 0.2) < 0.8 <= stats.binom.sf(5, needed, 0.2)


def test_shares_without_a_difference():
    assert compare_shares([True, False], [True, False]) == Compared(0.0, p=1.0)
    assert compare_shares([True], [False]) == Compared(1.0)
    assert compare_shares([], []) == Compared()
    assert compare_shares([True, False], [False, True]).seeds_needed is None


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []
