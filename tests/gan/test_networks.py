import pytest
import torch
from torch import nn

from skygen.gan.networks import sides
from tests.gan.small import LATENTS, SHAPES, convolutions, discriminator, generator, random

RESAMPLINGS = pytest.mark.parametrize("resampling", ["strided", "pooling"])


@RESAMPLINGS
@pytest.mark.parametrize(("size", "bands", "width"), SHAPES)
def test_latents_become_tiles_within_the_stretch(size, bands, width, resampling):
    tiles = generator(size, bands, width, resampling=resampling)(random(5, LATENTS))

    assert tiles.shape == (5, bands, size, size)
    assert tiles.abs().max() < 1
    assert tiles.min() < 0 < tiles.max()


@RESAMPLINGS
@pytest.mark.parametrize(("size", "bands", "width"), SHAPES)
def test_tiles_become_logits(size, bands, width, resampling):
    assert discriminator(size, bands, width, resampling=resampling)(random(5, bands, size, size), 0.5).shape == (5,)


def test_pooling_has_no_strides_and_one_transposed_convolution_that_is_a_dense_layer():
    first, *others = convolutions(generator(resampling="pooling"))
    seen = convolutions(discriminator(resampling="pooling"))

    assert (type(first), first.kernel_size) == (nn.ConvTranspose2d, (4, 4))
    assert {type(layer) for layer in (*others, *seen)} == {nn.Conv2d}
    assert {layer.stride for layer in (*others, *seen)} == {(1, 1)}


def test_pooling_keeps_the_largest_of_four():
    network, tile = discriminator(resampling="pooling", norm="none", slope=1.0), random(1, 1, 64, 64)
    features = []
    network.convolutions[1].register_forward_pre_hook(lambda _, given: features.append(given[0]))
    network.eval()(tile, 0.0)
    of_four = network.convolutions[0](tile).unflatten(2, (32, 2)).unflatten(4, (32, 2)).amax((3, 5))

    assert torch.allclose(features[0], nn.functional.leaky_relu(of_four, 0.2))


def test_channels_halve_as_the_side_doubles():
    widths = [layer.out_channels for layer in convolutions(generator(128, 3, 2))]

    assert widths == [32, 16, 8, 4, 2, 3]
    assert [layer.in_channels for layer in convolutions(discriminator(128, 3, 2))] == [3, 2, 4, 8, 16, 32]


@pytest.mark.parametrize(("size", "bands", "width"), SHAPES)
def test_only_the_last_convolution_has_offsets(size, bands, width):
    for network in (generator(size, bands, width), discriminator(size, bands, width)):
        offsets = [layer.bias is not None for layer in convolutions(network)]
        assert offsets == [False] * (len(offsets) - 1) + [True]


@pytest.mark.parametrize(("size", "bands", "width"), SHAPES)
def test_without_batch_norm_every_convolution_has_offsets(size, bands, width):
    for network in (generator(size, bands, width, norm="none"), discriminator(size, bands, width, norm="none")):
        assert all(layer.bias is not None for layer in convolutions(network))
        assert not [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]


def test_sides_halve_while_they_can():
    assert sides(64) == [4, 8, 16, 32, 64]
    assert sides(128) == [4, 8, 16, 32, 64, 128]
    assert sides(80) == [5, 10, 20, 40, 80]
    assert sides(144) == [9, 18, 36, 72, 144]


def images(last, scale=30.0):
    """Images of a generator whose last layer is so steep that its activation shows all it can."""
    network = generator(bands=2, last=last, std=0.1)
    convolutions(network)[-1].weight.data *= scale
    return network(random(6, LATENTS)).detach()


def test_tanh_paints_between_minus_1_and_1():
    found = images("tanh")

    assert -1 <= found.min() < -0.9
    assert 0.9 < found.max() <= 1


def test_relu_paints_no_negative_flux():
    found = images("relu")

    assert found.min() == 0
    assert found.max() > 2


def test_softplus_paints_positive_flux_alone():
    found = images("softplus")

    assert 0 < found.min() < 0.1
    assert found.max() > 2


def test_softmax_cannot_paint_a_band_s_brightness():
    found = images("softmax")

    assert found.mean((2, 3)).abs().max() < 1e-4
    assert -1 <= found.min() < -0.99
    assert found.max() > 2


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
