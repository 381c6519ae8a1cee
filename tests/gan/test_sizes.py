from typing import NamedTuple

import pytest
import torch

from benchmarks.limits import flop
from skygen.gan.camera import camera_of
from skygen.gan.networks import Discriminator, Generator, generator_shape
from skygen.gan.recipes import ConvolutionalRecipe
from skygen.params import TileSetParams
from skygen.sky.stretch import Stretch
from skygen.training.step import Draws, Players, update_discriminator, update_generator
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
AT_128 = [(1024, 4, 4), (512, 8, 8), (256, 16, 16), (128, 32, 32), (64, 64, 64)]
LAYERS = [
    ("gan", 64, 1, [*AT_64, (1, 64, 64)], 3_574_657, 2_763_649),
    ("gan", 128, 3, [*AT_128, (3, 128, 128)], 12_786_563, 11_164_545),
]


@pytest.mark.parametrize(("recipe", "size", "bands", "layers", "of_generator", "of_discriminator"), LAYERS)
def test_networks_at_the_paper_s_width_layer_by_layer(
    recipes, recipe, size, bands, layers, of_generator, of_discriminator
):
    row = recipes[recipe]
    with torch.device("meta"):
        generator = Generator(generator_shape(row, size, bands, PAPER_WIDTH))
        discriminator = Discriminator(size, bands, PAPER_WIDTH, row.discriminator_norm, row.logit_slope)
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


class Cost(NamedTuple):
    """Floating point operations: of a tile in each network, forward, and of an iteration with all its updates."""

    generator: int
    discriminator: int
    iteration: int


def cost_of(recipe: ConvolutionalRecipe, tile_set: TileSetParams, width: int, batch: int) -> Cost:
    """What torch counts on its device `meta`, which computes shapes alone: convolutions and matrix products."""
    bands, size = len(tile_set.bands), tile_set.size
    with torch.device("meta"):
        generator = Generator(generator_shape(recipe, size, bands, width))
        discriminator = Discriminator(size, bands, width, recipe.discriminator_norm, recipe.logit_slope)
        sgd = (torch.optim.SGD(network.parameters()) for network in (generator, discriminator))
        view = camera_of(recipe, Stretch(tile_set.softening_nmgy, tile_set.limit_nmgy))
        players, one = Players(generator, discriminator, *sgd, view), draws_of(recipe, 1, bands, size)
        return Cost(
            flop(lambda: generator.eval()(one.latents)),
            flop(lambda: discriminator.eval()(one.real, 0.0)),
            flop(lambda: iterate(players, recipe, draws_of(recipe, batch, bands, size))),
        )


def iterate(players: Players, recipe: ConvolutionalRecipe, draws: Draws) -> None:
    players.generator.train()
    players.discriminator.train()
    for _ in range(recipe.critic_steps):
        update_discriminator(players, recipe, draws, 0.0)
    update_generator(players, recipe, draws if recipe.needs_real_tiles else draws._replace(real=None), 0.0)


def draws_of(recipe: ConvolutionalRecipe, batch: int, bands: int, size: int) -> Draws:
    """Draws without values."""
    mix = torch.empty(batch) if recipe.penalty == "gradient_penalty" else None
    return Draws(torch.empty(batch, bands, size, size), torch.empty(batch, recipe.latent_size), None, mix)


def test_the_operations_of_a_tile_and_of_an_iteration_by_hand(params, recipes):
    tile_set, of_kernel = params.tiles.sets["r64"], 2 * 4**2  # a multiplication and an addition for each weight
    products = [100 * 512, 512 * 256 * 4**2, 256 * 128 * 8**2, 128 * 64 * 16**2, 64 * 1 * 32**2]
    cost, of_two = (cost_of(recipes["gan"], tile_set, PAPER_WIDTH, batch) for batch in (1, 2))

    assert cost.generator == of_kernel * sum(products)
    assert cost.discriminator == of_kernel * sum([512 * 1, *products[1:]])
    assert of_two.iteration == 2 * cost.iteration
    assert cost.discriminator * 6 < cost.iteration < 13 * cost.discriminator  # twelve passes, about


def test_penalties_cost_what_they_differentiate(params, recipes):
    tile_set, without = (
        params.tiles.sets["gri128"],
        recipes["gan"].model_copy(update={"generator_norm": "none", "discriminator_norm": "none"}),
    )
    by_slopes, by_norm = (
        without.model_copy(update={"penalty": penalty, "penalty_weight": 1.0})
        for penalty in ("r1_r2", "gradient_penalty")
    )
    least, slopes, between = (cost_of(recipe, tile_set, 2, 2).iteration for recipe in (without, by_slopes, by_norm))

    assert least < between < slopes < 2.5 * least
