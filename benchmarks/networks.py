"""Parameters of both networks, and the floating point operations of a tile and of an iteration, by set and recipe.

They are counted on torch's device `meta`, which computes shapes alone: multiplications and additions of convolutions
and matrix products, forward and backward.
"""

from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from benchmarks.limits import flop
from skygen.gan.networks import Discriminator, Generator
from skygen.gan.recipes import Recipe, read_recipes
from skygen.gan.view import Conditions, Sky, generator_shape, view_of
from skygen.params import TileSetParams, load
from skygen.sky.stretch import Stretch
from skygen.training.step import Draws, Players, update_discriminator, update_generator


class Cost(NamedTuple):
    """A pair of networks: numbers of weights, and floating point operations."""

    generator_parameters: int
    discriminator_parameters: int
    generator_flop: int  # of a tile, forward
    discriminator_flop: int
    iteration_flop: int  # of all discriminator updates, one generator update, and the batch


def main() -> None:
    """Print a row a tile set, recipe and scale of params.yaml."""
    params = load(Path("params.yaml"))
    print("                                     parameters/M   MFLOP a tile   GFLOP an")
    print("tiles    recipe    scale  width  batch  gen.  disc.   gen.  disc.  iteration")
    for tiles, tile_set in params.tiles.sets.items():
        for name, recipe in read_recipes(params.recipes).items():
            for scale, sizes in params.scales.items():
                training = sizes.training[tiles]
                cost = count(recipe, tile_set, training.width, training.batch)
                print(f"{tiles:8} {name:9} {scale:6} {training.width:5}  {training.batch:5}  {_columns(cost)}")


def count(recipe: Recipe, tile_set: TileSetParams, width: int, batch: int) -> Cost:
    """What the networks of `recipe` and an iteration of a batch cost."""
    bands, size = len(tile_set.bands), tile_set.size
    with torch.device("meta"):
        generator = Generator(generator_shape(recipe, size, bands, width))
        discriminator = Discriminator(size, bands, width, recipe.norm, recipe.logit_slope)
        one = _draws(recipe, 1, bands, size)
        players = Players(
            generator,
            discriminator,
            torch.optim.SGD(generator.parameters()),  # which of them does not count
            torch.optim.SGD(discriminator.parameters()),
            view_of(recipe, Stretch(tile_set.softening_nmgy, tile_set.limit_nmgy)),
        )
        return Cost(
            _parameters(generator),
            _parameters(discriminator),
            flop(lambda: generator.eval()(one.latents)),
            flop(lambda: discriminator.eval()(one.real, 0.0)),
            flop(lambda: _iterate(players, recipe, _draws(recipe, batch, bands, size))),
        )


def _iterate(players: Players, recipe: Recipe, draws: Draws) -> None:
    players.generator.train()
    players.discriminator.train()
    for _ in range(recipe.critic_steps):
        update_discriminator(players, recipe, draws, 0.0)
    update_generator(players, recipe, draws if recipe.needs_real_tiles else draws._replace(real=None), 0.0)


def _draws(recipe: Recipe, batch: int, bands: int, size: int) -> Draws:
    """Draws without values."""
    tiles, of_band = torch.empty(batch, bands, size, size), torch.empty(batch, bands)
    sky = Sky(Conditions(of_band, of_band, of_band), tiles) if recipe.noise == "survey" else None
    mix = torch.empty(batch) if recipe.penalty == "gradient_penalty" else None
    return Draws(tiles, torch.empty(batch, recipe.latent_size), sky, mix)


def _parameters(network: nn.Module) -> int:
    return sum(weights.numel() for weights in network.parameters())


def _columns(cost: Cost) -> str:
    generator, discriminator, of_generator, of_discriminator, iteration = cost
    return (
        f"{generator / 1e6:4.1f}  {discriminator / 1e6:5.1f}  {of_generator / 1e6:5.0f}  {of_discriminator / 1e6:5.0f}"
        f"  {iteration / 1e9:9.1f}"
    )


if __name__ == "__main__":
    main()
