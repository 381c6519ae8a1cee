"""Counts of stars and galaxies by magnitude."""

import pytest
import torch

from skygen.process.law import GALAXY, STAR, CountsLaw
from skygen.process.objects import BRIGHT_MAG, FAINT_MAG
from skygen.sky.conditions import DENSITY_MAG


@pytest.fixture
def law():
    return CountsLaw().double()


def test_one_of_each_class_is_brighter_than_20_5(law):
    assert law.number(DENSITY_MAG).tolist() == pytest.approx([1, 1], abs=1e-12)
    assert law.number(BRIGHT_MAG).tolist() == [0, 0]


@pytest.mark.parametrize("kind", [STAR, GALAXY])
def test_magnitudes_are_the_quantiles_of_the_counts(law, kind):
    share = torch.linspace(0, 1, 1001, dtype=torch.float64)
    magnitudes = law.magnitudes(share, kind, 17.0, 24.0)
    least, most = law.number(17.0)[kind], law.number(24.0)[kind]
    counted = torch.stack([law.number(magnitude)[kind] for magnitude in magnitudes.tolist()])
    torch.testing.assert_close((counted - least) / (most - least), share, atol=1e-9, rtol=0)


def test_counts_follow_a_power_law_between_knots(law):
    """log10 of the counts a magnitude is a straight line from one knot to the next."""
    steps = [20.5 + 0.1 * step for step in range(16)]
    number = torch.stack([law.number(step) for step in steps]).diff(dim=0).log10()
    torch.testing.assert_close(number.diff(dim=0), number.diff(dim=0)[:1].expand(14, 2), atol=1e-6, rtol=0)


def test_a_law_without_slope_has_uniform_magnitudes(law):
    law.log_counts.data[:] = 1.0
    share = torch.tensor([0.0, 0.25, 1.0], dtype=torch.float64)
    wanted = BRIGHT_MAG + share * (FAINT_MAG - BRIGHT_MAG)
    torch.testing.assert_close(law.magnitudes(share, STAR), wanted, atol=1e-4, rtol=0)


def test_magnitudes_move_with_the_counts(law):
    law.magnitudes(torch.tensor([0.3, 0.6], dtype=torch.float64), GALAXY).sum().backward()
    assert law.log_counts.grad[GALAXY].abs().sum() > 0
    assert law.log_counts.grad[STAR].abs().sum() == 0
