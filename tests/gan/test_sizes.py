import pytest
import torch

from benchmarks.networks import count
from skygen.gan.networks import Discriminator, Generator
from skygen.gan.view import generator_shape
from tests.gan.small import convolutions

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
