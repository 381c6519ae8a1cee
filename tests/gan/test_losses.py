import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

from skygen.gan.losses import (
    clip_weights,
    discriminator_loss,
    generator_loss,
    gradient_penalty,
    mean_square_slope,
)
from skygen.gan.networks import Discriminator, initialise

REAL = torch.tensor([-3.0, -0.5, 0.0, 2.0, 40.0])
FAKE = torch.tensor([1.0, -2.0, 0.25, -30.0, 5.0])


def saturating(recipes):
    return recipes["gan"].model_copy(update={"saturating": True})


def gradient(recipe, logits):
    logits = logits.clone().requires_grad_()
    generator_loss(recipe, logits, torch.zeros_like(logits)).backward()
    return logits.grad


def test_jensen_shannon_is_the_binary_cross_entropy(recipes):
    expected = binary_cross_entropy_with_logits(REAL, torch.ones(5)) + binary_cross_entropy_with_logits(
        FAKE, torch.zeros(5)
    )

    assert torch.allclose(discriminator_loss(recipes["gan"], REAL, FAKE), expected)


def test_an_undecided_discriminator_loses_log_4(recipes):
    zero = torch.zeros(3)

    assert float(discriminator_loss(recipes["gan"], zero, zero)) == pytest.approx(2 * 0.693147, abs=1e-5)


def test_the_generator_maximises_log_d_or_minimises_log_1_minus_d(recipes):
    assert torch.allclose(generator_loss(recipes["gan"], FAKE), binary_cross_entropy_with_logits(FAKE, torch.ones(5)))
    assert torch.allclose(generator_loss(saturating(recipes), FAKE), logsigmoid(-FAKE).mean())


def test_every_loss_pushes_the_logits_of_fakes_up(recipes):
    for recipe in (recipes["gan"], saturating(recipes), recipes["improved"], recipes["scene"]):
        assert (gradient(recipe, torch.tensor([-2.0, 0.0, 2.0])) < 0).all()


def test_the_saturating_gradient_vanishes_where_the_discriminator_is_sure(recipes):
    sure = torch.tensor([-15.0])

    assert float(gradient(saturating(recipes), sure)) == pytest.approx(0, abs=1e-6)
    assert float(gradient(recipes["gan"], sure)) == pytest.approx(-1, abs=1e-6)


def test_wasserstein_losses_are_means(recipes):
    real, fake = torch.tensor([1.0, 2.0, 6.0]), torch.tensor([-1.0, 3.0])

    assert float(discriminator_loss(recipes["improved"], real, fake)) == 1.0 - 3.0
    assert float(generator_loss(recipes["improved"], fake)) == -1.0


def test_the_wasserstein_loss_knows_differences_alone(recipes):
    losses = [discriminator_loss(recipes["improved"], REAL + shift, FAKE + shift) for shift in (0.0, 100.0)]

    assert torch.allclose(*losses, atol=1e-4)


def test_the_relativistic_loss_compares_pairs(recipes):
    pairs = zip(REAL.double(), FAKE.double(), strict=True)
    expected = -sum(logsigmoid(real - fake) for real, fake in pairs) / 5

    assert float(discriminator_loss(recipes["scene"], REAL, FAKE)) == pytest.approx(float(expected))
    assert float(discriminator_loss(recipes["scene"], REAL, REAL)) == pytest.approx(0.693147, abs=1e-6)
    assert discriminator_loss(recipes["scene"], REAL, FAKE.flip(0)) != discriminator_loss(recipes["scene"], REAL, FAKE)


def test_the_relativistic_losses_know_differences_alone(recipes):
    losses = [discriminator_loss(recipes["scene"], REAL + shift, FAKE + shift) for shift in (0.0, 100.0)]
    of_generator = [generator_loss(recipes["scene"], FAKE + shift, REAL + shift) for shift in (0.0, 100.0)]

    assert torch.allclose(*losses, atol=1e-5)
    assert torch.allclose(*of_generator, atol=1e-5)


def test_the_relativistic_game_is_symmetric_and_never_saturates(recipes):
    assert generator_loss(recipes["scene"], FAKE, REAL) == discriminator_loss(recipes["scene"], FAKE, REAL)
    assert float(gradient(recipes["scene"], torch.tensor([-15.0]))) == pytest.approx(-1, abs=1e-6)
    with pytest.raises(ValueError, match="the relativistic loss compares pairs; give the logits on real tiles"):
        generator_loss(recipes["scene"], FAKE)


WEIGHTS = torch.linspace(-1, 2, 2 * 3 * 4, dtype=torch.float64).reshape(2, 3, 4)


def tiles(count=5, seed=0):
    return torch.randn(count, *WEIGHTS.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def linear(images, weights=WEIGHTS):
    return (images * weights).sum((1, 2, 3)) + 3


def bowl(images):
    """Half the square of a tile, whose gradient is the tile itself."""
    return images.square().sum((1, 2, 3)) / 2


def test_the_slope_of_a_linear_discriminator_is_its_weight():
    for count in (1, 5):  # a mean over tiles: their number does not count
        images = tiles(count).requires_grad_()
        slope = mean_square_slope(linear(images), images)
        assert slope.item() == pytest.approx(WEIGHTS.square().sum().item(), rel=1e-12)


def test_the_slope_is_each_tile_s_own():
    images = tiles().requires_grad_()

    assert mean_square_slope(bowl(images), images).item() == pytest.approx(2 * bowl(images).mean().item(), rel=1e-12)


def test_the_slope_has_a_gradient_by_the_weights():
    weights, images = WEIGHTS.clone().requires_grad_(), tiles().requires_grad_()
    mean_square_slope(linear(images, weights), images).backward()

    assert torch.allclose(weights.grad, 2 * WEIGHTS)


def test_the_penalty_of_a_linear_discriminator_is_of_its_norm_alone():
    for mix in (torch.zeros(5), torch.rand(5)):
        penalty = gradient_penalty(linear, tiles(), tiles(seed=1), mix.double())
        assert penalty.item() == pytest.approx((WEIGHTS.norm().item() - 1) ** 2, rel=1e-12)
    unit = WEIGHTS / WEIGHTS.norm()
    assert gradient_penalty(
        lambda x: linear(x, unit), tiles(), tiles(), torch.zeros(5).double()
    ).item() == pytest.approx(0)


@pytest.mark.parametrize(("share", "at"), [(0.0, "fake"), (1.0, "real"), (0.25, "between")])
def test_the_penalty_is_taken_between_each_pair(share, at):
    real, fake = tiles(), tiles(seed=1)
    places = {"fake": fake, "real": real, "between": 0.75 * fake + 0.25 * real}
    expected = (places[at].flatten(1).norm(dim=1) - 1).square().mean()

    assert gradient_penalty(bowl, real, fake, torch.full((5,), share).double()).item() == pytest.approx(expected.item())


def test_the_penalty_has_a_gradient_by_the_weights():
    weights = WEIGHTS.clone().requires_grad_()
    gradient_penalty(lambda images: linear(images, weights), tiles(), tiles(seed=1), torch.zeros(5).double()).backward()
    norm = WEIGHTS.norm()

    assert torch.allclose(weights.grad, 2 * (norm - 1) * WEIGHTS / norm)


@pytest.mark.parametrize("clip_norm", [False, True])
def test_clipping_bounds_what_it_is_told_to(clip_norm):
    network = Discriminator(64, 1, 4, "batch", 0.2)
    initialise(network, "normal", 0.02, torch.Generator().manual_seed(0))
    before = {name: weight.clone() for name, weight in network.named_parameters()}
    clip_weights(network, 0.01, clip_norm)

    for name, weight in network.named_parameters():
        clipped = clip_norm or not name.startswith("norms")
        assert torch.equal(weight, before[name].clamp(-0.01, 0.01) if clipped else before[name])
    assert before["last.weight"].abs().max() > 0.01
    assert network.norms[0].weight.detach()[0] == pytest.approx(0.01 if clip_norm else 1.0)
