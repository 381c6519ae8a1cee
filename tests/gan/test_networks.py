import math

import pytest
import torch
from torch import nn

from skygen.gan.networks import Discriminator, Generator, initialise

SHAPES = [(64, 1, 4), (128, 3, 2), (64, 3, 3)]  # size, bands, width
LATENTS = 10


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def generator(size=64, bands=1, width=4, distribution="normal", std=0.02, seed=0):
    network = Generator(size, bands, width, LATENTS)
    initialise(network, distribution, std, torch.Generator().manual_seed(seed))
    return network


def discriminator(size=64, bands=1, width=4, slope=0.2, distribution="normal", std=0.02, seed=0):
    network = Discriminator(size, bands, width, slope)
    initialise(network, distribution, std, torch.Generator().manual_seed(seed))
    return network


def convolutions(network):
    return [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)]


@pytest.mark.parametrize(("size", "bands", "width"), SHAPES)
def test_latents_become_tiles_within_the_stretch(size, bands, width):
    tiles = generator(size, bands, width)(random(5, LATENTS))

    assert tiles.shape == (5, bands, size, size)
    assert tiles.abs().max() < 1
    assert tiles.min() < 0 < tiles.max()


@pytest.mark.parametrize(("size", "bands", "width"), SHAPES)
def test_tiles_become_logits(size, bands, width):
    assert discriminator(size, bands, width)(random(5, bands, size, size), 0.5).shape == (5,)


def test_channels_halve_as_the_side_doubles():
    widths = [layer.out_channels for layer in convolutions(generator(128, 3, 2))]

    assert widths == [32, 16, 8, 4, 2, 3]
    assert [layer.in_channels for layer in convolutions(discriminator(128, 3, 2))] == [3, 2, 4, 8, 16, 32]


@pytest.mark.parametrize(("size", "bands", "width"), SHAPES)
def test_only_the_last_convolution_has_offsets(size, bands, width):
    for network in (generator(size, bands, width), discriminator(size, bands, width)):
        offsets = [layer.bias is not None for layer in convolutions(network)]
        assert offsets == [False] * (len(offsets) - 1) + [True]


def logit(discriminator, tiles):
    return discriminator(tiles, 0.0).detach()


def before_tanh(generator, latents):
    return torch.atanh(generator(latents).double()).detach()


def test_no_batch_norm_follows_the_last_convolution():
    tiles, latents = random(6, 1, 64, 64), random(6, LATENTS)
    networks = discriminator(slope=1.0), generator()
    before = logit(networks[0], tiles), before_tanh(networks[1], latents)
    with torch.no_grad():
        for network in networks:
            convolutions(network)[-1].weight *= 2

    assert torch.allclose(logit(networks[0], tiles), 2 * before[0], rtol=1e-4)
    assert torch.allclose(before_tanh(networks[1], latents), 2 * before[1], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("layer", range(4))
def test_batch_norm_follows_every_other_convolution(layer):
    tiles, latents = random(6, 1, 64, 64), random(6, LATENTS)
    networks = discriminator(std=0.2), generator(std=0.2)
    before = logit(networks[0], tiles), networks[1](latents).detach()
    with torch.no_grad():
        for network in networks:
            convolutions(network)[layer].weight *= 2

    assert torch.allclose(logit(networks[0], tiles), before[0], rtol=1e-2)
    assert torch.allclose(networks[1](latents), before[1], atol=1e-2)


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


def test_the_slope_bends_negative_logits_alone():
    network, tiles = discriminator(slope=1.0, std=0.1), random(8, 1, 64, 64)
    nn.init.constant_(network.last.bias, 2.0)  # so that some logits are positive
    raw = logit(network, tiles)
    network.logit_slope = 0.2
    bent = logit(network, tiles)

    assert raw.min() < 0 < raw.max()
    assert torch.allclose(bent, torch.where(raw > 0, raw, 0.2 * raw))


def test_dropout_0_is_what_evaluation_does():
    network, tiles = discriminator(), random(6, 1, 64, 64)
    network.norms.eval()
    training, dropped = network(tiles, 0.0), network(tiles, 0.5)
    network.eval()

    assert torch.equal(training, network(tiles, 0.5))
    assert not torch.equal(training, dropped)


def test_dropout_follows_every_convolution_but_the_last(monkeypatch):
    seen = []

    def record(features, rate):
        seen.append((features.shape[-1], rate))
        return 0 * features

    monkeypatch.setattr("skygen.gan.networks.discard", record)
    logits = discriminator()(random(2, 1, 64, 64), 0.25)

    assert seen == [(32, 0.25), (16, 0.25), (8, 0.25), (4, 0.25)]
    assert logits.tolist() == [0.0] * 2  # all is discarded before the last convolution: what is left is its offset
