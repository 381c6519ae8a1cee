"""Tiles a second from a bundle, against its bare network and against the machine's matrix product."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from benchmarks.limits import flop, matmul_flop_per_second, print_machine, seconds
from skygen.bundle.bundle import Bundle
from skygen.gan import card as cards
from skygen.gan.networks import Generator, GeneratorShape, generator_shape
from skygen.gan.recipes import ConvolutionalRecipe, read_recipes
from skygen.params import Size, load

TILES = 32


def main() -> None:
    """Print a row a tile set, width and compared recipe of a convolutional generator."""
    print_machine()
    params = load(Path("params.yaml"))
    rows = read_recipes(params.recipes).items()
    recipes = {name: row for name, row in rows if name in params.compared and isinstance(row, ConvolutionalRecipe)}
    print(
        "tiles    recipe    width  GFLOP/tile  bundle tiles/s  network tiles/s  bundle/network  network/matrix product"
    )
    for (name, tile_set), scale in product(params.judged.items(), params.scales.values()):
        for recipe_name, recipe in recipes.items():
            card = _card(name, recipe_name, recipe, tile_set.size, tile_set.bands, scale.training[name].width)
            _row(card, generator_shape(recipe, tile_set.size, len(tile_set.bands), scale.training[name].width))


def _row(card: cards.Card, shape: GeneratorShape) -> None:
    network, latents = Generator(shape).eval(), torch.randn(TILES, shape.latent_size)
    with TemporaryDirectory() as folder, torch.inference_mode():
        cards.save(Path(folder), network.state_dict(), card)
        ready = Bundle.load(Path(folder))
        bare = seconds(lambda: network(latents))
        whole = seconds(lambda: ready.generate(7, TILES))
        work = flop(lambda: network(latents))
    share = work / bare / matmul_flop_per_second()
    print(
        f"{card.tiles:8} {card.recipe:9} {shape.width:5}  {work / TILES / 1e9:10.3f}  {TILES / whole:14.0f}"
        f"  {TILES / bare:15.0f}  {bare / whole:14.2f}  {share:22.2f}"
    )


def _card(
    name: str, recipe_name: str, recipe: ConvolutionalRecipe, size: Size, bands: Sequence[str], width: int
) -> cards.Card:
    return cards.Card(
        tiles=name,
        recipe=recipe_name,
        seed=0,
        scale="laptop",
        row=recipe.model_dump(),
        size=size,
        bands=list(bands),
        softening_nmgy=0.2,
        limit_nmgy=100.0,
        pixel_scale_arcsec=0.396,
        generator=generator_shape(recipe, size, len(bands), width),
        latents=recipe.latents,
        require_source=True,
        source_snr=10.0,
        conditions=None,
        densities=None,
        iteration=0,
        images_seen=0,
        validation={},
        data_hash="",
        commit="",
        trained_at="",
        versions={},
    )


if __name__ == "__main__":
    main()
