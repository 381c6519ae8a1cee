import math

import numpy as np
import pytest
import torch
from torch import nn

from tests.gan.small import LATENTS, convolutions, discriminator, generator, random


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
@pytest.mark.parametrize("std", [0.02, 0.1])
def test_initial_weights_have_the_recipe_s_spread(distribution, std):
    for network in (
        generator(width=8, distribution=distribution, std=std),
        discriminator(width=8, distribution=distribution, std=std),
    ):
        for layer in convolutions(network):
            weights = layer.weight.detach()
            assert weights.std() == pytest.approx(std, rel=4 / math.sqrt(weights.numel()))
            assert weights.mean() == pytest.approx(0, abs=4 * std / math.sqrt(weights.numel()))
            assert layer.bias is None or layer.bias.abs().max() == 0


def inner_square(features):
    """The mean square away from the borders, where fewer products meet."""
    return float(features[..., 1:-1, 1:-1].square().mean() if features.shape[-1] > 2 else features.square().mean())


def growth(layers, features):
    """By how much every convolution multiplies the mean square of what it is given."""
    found = []
    for layer in layers:
        before, features = inner_square(features), layer(features).detach()
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            found.append(inner_square(features) / before)
    return found


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
@pytest.mark.parametrize("canvas", [64, 80])
def test_without_a_spread_convolutions_make_up_for_what_relu_takes(distribution, canvas):
    """He's rule: a mean square twice the input's, of which ReLU halves it; over 40 draws of the weights."""
    drawn = {"distribution": distribution, "std": None, "norm": "none"}
    of_generator, of_discriminator = [], []
    for seed in range(40):
        of_generator.append(growth(generator(canvas, 3, seed=seed, **drawn).layers, random(8, LATENTS, 1, 1)))
        judges = discriminator(64, 3, seed=seed, **drawn).convolutions
        of_discriminator.append(growth([part for layer in judges for part in (layer, nn.ReLU())], random(8, 3, 64, 64)))

    assert np.mean(of_generator, 0) == pytest.approx([2.0] * 5, rel=0.15)
    assert np.mean(of_discriminator, 0) == pytest.approx([2.0] * 4, rel=0.15)


def test_the_distributions_differ_in_their_tails():
    normal, uniform = (
        torch.cat([layer.weight.flatten() for layer in convolutions(generator(width=16, distribution=distribution))])
        for distribution in ("normal", "uniform")
    )
    bound = math.sqrt(3) * 0.02

    assert 0.999 * bound < uniform.abs().max() <= bound
    assert normal.abs().max() > 2 * bound
    assert (normal.abs() > bound).float().mean() == pytest.approx(math.erfc(math.sqrt(1.5)), rel=0.05)


def test_batch_norm_starts_as_the_identity():
    norms = [module for module in discriminator().modules() if isinstance(module, nn.BatchNorm2d)]

    assert len(norms) == 4
    assert all((norm.weight == 1).all() and (norm.bias == 0).all() for norm in norms)


def test_weights_depend_on_the_seed_alone():
    first, again, other = (generator(seed=seed).state_dict() for seed in (3, 3, 4))

    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["layers.0.weight"], other["layers.0.weight"])
