import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

from skygen.gan.losses import clip_weights, discriminator_loss, generator_loss
from skygen.gan.networks import Discriminator, initialise

REAL = torch.tensor([-3.0, -0.5, 0.0, 2.0, 40.0])
FAKE = torch.tensor([1.0, -2.0, 0.25, -30.0, 5.0])


def saturating(recipes):
    return recipes["gan"].model_copy(update={"saturating": True})


def gradient(recipe, logits):
    logits = logits.clone().requires_grad_()
    generator_loss(recipe, logits).backward()
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
    for recipe in (recipes["gan"], saturating(recipes), recipes["improved"]):
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


@pytest.mark.parametrize("clip_norm", [False, True])
def test_clipping_bounds_what_it_is_told_to(clip_norm):
    network = Discriminator(64, 1, 4, 0.2)
    initialise(network, "normal", 0.02, torch.Generator().manual_seed(0))
    before = {name: weight.clone() for name, weight in network.named_parameters()}
    clip_weights(network, 0.01, clip_norm)

    for name, weight in network.named_parameters():
        clipped = clip_norm or not name.startswith("norms")
        assert torch.equal(weight, before[name].clamp(-0.01, 0.01) if clipped else before[name])
    assert before["last.weight"].abs().max() > 0.01
    assert network.norms[0].weight.detach()[0] == pytest.approx(0.01 if clip_norm else 1.0)
