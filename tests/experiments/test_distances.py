"""Section 3.3 of the paper, as numbers and by the losses of the project."""

import math

import pytest
import torch
from torch.distributions import Normal

from skygen.experiments.distances import SHAPES, distances, draw_distances
from skygen.gan.losses import discriminator_loss, generator_loss

UNIFORM, NORMAL = SHAPES
SPREAD = 12**-0.5


@pytest.mark.parametrize("apart", [0.0, 0.25, 0.6, 1.0, 1.5, 3.0, 10.0])
def test_without_overlap_the_divergence_is_log_2_and_the_other_distance_is_the_distance(apart):
    divergence, moved = distances(UNIFORM, apart)

    assert divergence == pytest.approx(math.log(2) * min(apart, 1), abs=1e-3)
    assert moved == pytest.approx(apart, abs=1e-3)


def test_normal_distributions_never_part_and_are_as_far():
    found = [distances(NORMAL, apart) for apart in (0.5, 1.0, 2.0, 4.0)]
    divergences = [divergence for divergence, _ in found]

    assert divergences == sorted(divergences)
    assert divergences[-1] == pytest.approx(math.log(2), abs=1e-6)
    assert [moved for _, moved in found] == pytest.approx([0.5, 1.0, 2.0, 4.0], abs=1e-3)


def test_the_chart_has_a_line_a_shape_and_distance():
    left, right = draw_distances().axes
    for axes in (left, right):
        assert {line.get_label() for line in axes.lines} >= set(SHAPES)
    assert max(left.lines[0].get_ydata()) == pytest.approx(math.log(2), abs=1e-3)
    assert right.lines[0].get_ydata()[-1] == pytest.approx(3.0, abs=1e-3)


def game(recipe, apart, critic):
    """The losses of both players for normal samples around 0 and `apart`, and the slope of the generator's.

    The slope is by where its samples are, the discriminator held: what a generator learns from.
    """
    draws = Normal(0.0, SPREAD).icdf((torch.arange(20000, dtype=torch.float64) + 0.5) / 20000)
    place = torch.tensor(apart, dtype=torch.float64, requires_grad=True)
    fake = critic(draws + place)
    loss = generator_loss(recipe, fake)
    (slope,) = torch.autograd.grad(loss, place)
    return float(discriminator_loss(recipe, critic(draws), fake.detach())), float(loss.detach()), float(slope)


def best_discriminator(apart):
    """The logit of the best discriminator between normal distributions: log real - log fake."""
    return lambda x: Normal(0.0, SPREAD).log_prob(x) - Normal(apart, SPREAD).log_prob(x)


def best_critic(x):
    """The best one of slope 1 at most, real on the left."""
    return -x


def saturating(recipes):
    return recipes["gan"].model_copy(update={"saturating": True})


@pytest.mark.parametrize("apart", [0.1, 0.5, 1.0, 2.0])
def test_at_the_best_discriminator_the_games_measure_their_distances(recipes, apart):
    """Eq. 8, with what eq. 7 leaves out: log D over real tiles; and eq. 9 by eq. 12."""
    divergence, moved = distances(NORMAL, apart)
    lost, *_ = game(saturating(recipes), apart, best_discriminator(apart))
    assert lost == pytest.approx(2 * math.log(2) - 2 * divergence, abs=2e-3)
    lost, *_ = game(recipes["improved"], apart, best_critic)
    assert -lost == pytest.approx(moved, abs=2e-3)


def test_the_saturating_generator_learns_nothing_from_afar(recipes):
    slopes = [game(saturating(recipes), apart, best_discriminator(apart))[2] for apart in (0.5, 1.0, 2.0, 4.0)]
    assert slopes[0] > 0.5  # where they overlap it is drawn to the real ones
    assert slopes == sorted(slopes, reverse=True)
    assert slopes[-1] < 1e-12


def test_the_wasserstein_generator_learns_as_much_from_any_distance(recipes):
    slopes = [game(recipes["improved"], apart, best_critic)[2] for apart in (0.5, 4.0, 400.0)]
    assert slopes == pytest.approx([1.0, 1.0, 1.0])


def test_the_non_saturating_generator_is_drawn_the_more_the_farther_it_is(recipes):
    slopes = [game(recipes["gan"], apart, best_discriminator(apart))[2] for apart in (0.5, 1.0, 2.0, 4.0)]
    assert slopes == sorted(slopes)
    assert slopes[0] > 0
