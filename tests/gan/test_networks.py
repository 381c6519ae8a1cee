import math

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.networks import count
from skygen.gan.networks import Discriminator, Generator, GeneratorShape, initialise, sides
from skygen.gan.view import generator_shape

SHAPES = [(64, 1, 4), (128, 3, 2), (64, 3, 3)]  # size, bands, width
LATENTS = 10


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def shape(canvas=64, bands=1, width=4, **kind):
    values = {"norm": "batch", "last": "tanh", "colour_scale": None, "latent_size": LATENTS, **kind}
    return GeneratorShape(canvas=canvas, bands=bands, width=width, **values)


def generator(size=64, bands=1, width=4, distribution="normal", std=0.02, seed=0, **kind):
    network = Generator(shape(size, bands, width, **kind))
    initialise(network, distribution, std, torch.Generator().manual_seed(seed))
    return network


def discriminator(size=64, bands=1, width=4, slope=0.2, distribution="normal", std=0.02, seed=0, norm="batch"):
    network = Discriminator(size, bands, width, norm, slope)
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


@pytest.mark.parametrize(("size", "bands", "width"), SHAPES)
def test_without_batch_norm_every_convolution_has_offsets(size, bands, width):
    for network in (generator(size, bands, width, norm="none"), discriminator(size, bands, width, norm="none")):
        assert all(layer.bias is not None for layer in convolutions(network))
        assert not [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]


PAPER_WIDTH = 64


def shapes(network, *inputs):
    """The shape [channels, H, W] of every convolution's output, which needs no arithmetic on the device meta."""
    found = []
    for layer in convolutions(network):
        layer.register_forward_hook(lambda _layer, _inputs, output: found.append(tuple(output.shape[1:])))
    network.eval()(*inputs)
    return found


# The channels and sides of the generator's and of the discriminator's feature maps, and the numbers of parameters.
AT_64 = [(512, 4, 4), (256, 8, 8), (128, 16, 16), (64, 32, 32)]
AT_80 = [(512, 5, 5), (256, 10, 10), (128, 20, 20), (64, 40, 40)]
AT_128 = [(1024, 4, 4), (512, 8, 8), (256, 16, 16), (128, 32, 32), (64, 64, 64)]
AT_144 = [(512, 9, 9), (256, 18, 18), (128, 36, 36), (64, 72, 72)]  # 144 is odd after four halvings
# A scene in three bands is painted as four images: the light common to all, and what each band has of its own.
LAYERS = [
    ("gan", 64, 1, [*AT_64, (1, 64, 64)], 3_574_657, 2_763_649),
    ("gan", 128, 3, [*AT_128, (3, 128, 128)], 12_786_563, 11_164_545),
    ("scene", 64, 1, [*AT_80, (1, 80, 80)], 4_034_497, 2_762_689),
    ("scene", 128, 3, [*AT_144, (4, 144, 144)], 6_904_772, 11_162_561),
]


@pytest.mark.parametrize(("recipe", "size", "bands", "layers", "of_generator", "of_discriminator"), LAYERS)
def test_networks_at_the_paper_s_width_layer_by_layer(
    recipes, recipe, size, bands, layers, of_generator, of_discriminator
):
    row = recipes[recipe]
    with torch.device("meta"):
        generator = Generator(generator_shape(row, size, bands, PAPER_WIDTH))
        discriminator = Discriminator(size, bands, PAPER_WIDTH, row.norm, row.logit_slope)
        latents, tiles = torch.empty(2, row.latent_size), torch.empty(2, bands, size, size)

    assert shapes(generator, latents) == layers
    assert shapes(discriminator, tiles, 0.0) == [*reversed(AT_64 if size == 64 else AT_128), (1, 1, 1)]
    assert sum(weights.numel() for weights in generator.parameters()) == of_generator
    assert sum(weights.numel() for weights in discriminator.parameters()) == of_discriminator


def test_the_width_of_the_layers_is_that_of_the_paper_s_scale(params):
    assert {training.width for training in params.scales["paper"].training.values()} == {PAPER_WIDTH}


def test_the_parameters_of_the_paper_s_generator_by_hand():
    kernels = 100 * 512 * 4**2 + (512 * 256 + 256 * 128 + 128 * 64 + 64 * 1) * 4**2
    batch_norm, offset = 2 * (512 + 256 + 128 + 64), 1

    assert LAYERS[0][4] == kernels + batch_norm + offset


def test_the_benchmark_counts_the_operations_that_are_counted_by_hand(params, recipes):
    tile_set, of_kernel = params.tiles.sets["r64"], 2 * 4**2  # a multiplication and an addition for each weight
    products = [100 * 512, 512 * 256 * 4**2, 256 * 128 * 8**2, 128 * 64 * 16**2, 64 * 1 * 32**2]
    cost, of_two = (count(recipes["gan"], tile_set, PAPER_WIDTH, batch) for batch in (1, 2))

    assert cost[:2] == LAYERS[0][4:]
    assert cost.generator_flop == of_kernel * sum(products)
    assert cost.discriminator_flop == of_kernel * sum([512 * 1, *products[1:]])
    assert of_two.iteration_flop == 2 * cost.iteration_flop
    assert cost.discriminator_flop * 6 < cost.iteration_flop < 13 * cost.discriminator_flop  # twelve passes, about


def test_the_benchmark_counts_the_penalties_too(params, recipes):
    scene, tile_set = recipes["scene"], params.tiles.sets["gri128"]
    without = scene.model_copy(update={"penalty": "none", "penalty_weight": None})
    by_norm = scene.model_copy(update={"penalty": "gradient_penalty"})
    least, slopes, between = (count(recipe, tile_set, 2, 2).iteration_flop for recipe in (without, scene, by_norm))

    assert least < between < slopes < 2.5 * least


def test_sides_halve_while_they_can():
    assert sides(64) == [4, 8, 16, 32, 64]
    assert sides(128) == [4, 8, 16, 32, 64, 128]
    assert sides(80) == [5, 10, 20, 40, 80]
    assert sides(144) == [9, 18, 36, 72, 144]


def test_bands_differ_by_the_colour_scale_from_a_common_light():
    latents = random(4, LATENTS)
    none, small, large = (before_tanh(generator(bands=3, colour_scale=scale), latents) for scale in (1e-9, 0.1, 0.2))

    assert torch.allclose(none[:, 1:], none[:, :1].expand(-1, 2, -1, -1), atol=1e-6)
    assert (small - none).abs().max() > 1e-3
    assert torch.allclose(large - none, 2 * (small - none), atol=1e-5)


def test_one_band_has_no_colour():
    latents = random(4, LATENTS)

    assert torch.equal(generator(colour_scale=0.1)(latents), generator(colour_scale=None)(latents))


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


def test_softplus_paints_scenes_darker_than_any_noise_and_as_bright_as_before_a_psf():
    found, untrained = images("softplus"), generator(last="softplus", std=1e-6)(random(2, LATENTS)).detach()

    assert 0 <= found.min() < 1e-6
    assert found.max() == pytest.approx(1.4)
    assert untrained.mean() == pytest.approx(math.log1p(math.exp(-4)) / 8, rel=1e-3)  # of an image of zeros: dark


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
def test_without_a_spread_convolutions_make_up_for_what_relu_takes(recipes, distribution, canvas):
    """He's rule: a mean square twice the input's, of which ReLU halves it; over 40 draws of the weights."""
    drawn = {"distribution": distribution, "std": recipes["scene"].init_std, "norm": "none"}
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
