"""The bundles that are drawn: those that are given, and generators that nobody trained where there is none."""

from pathlib import Path

import torch

from skygen.gan import card as cards
from skygen.gan.card import BundleError, Card, load_generator
from skygen.gan.networks import Generator, GeneratorShape, generator_shape, initialise
from skygen.gan.recipes import ConvolutionalRecipe, Recipe, read_recipes
from skygen.params import TileSetParams, load
from skygen.process.generator import BANDS, Process, ProcessShape
from skygen.sky.readout import field_of
from skygen.tiles.store import TileStore
from skygen.training.state import Checkpoint, shape_of
from tools.gpu.asked import Asked


def bundle_of(asked: Asked, tiles: str, name: str, folder: Path) -> tuple[Path, str]:
    """A bundle of the recipe `name` for a tile set, and whether it is `given` or `untrained`; that is put in `folder`.

    An untrained one has the widths of the scale, and the conditions of the packed store.
    """
    given = asked.bundles / tiles / name
    try:
        load_generator(given)
    except BundleError:
        made = folder / tiles / name
        _save_untrained(made, asked, tiles, name)
        return made, "untrained"
    return given, "given"


def _save_untrained(folder: Path, asked: Asked, tiles: str, name: str) -> None:
    params, store = load(Path("params.yaml")), TileStore.open(asked.store / tiles)
    recipe, tile_set, rng = read_recipes(params.recipes)[name], params.tiles[tiles], torch.Generator().manual_seed(0)
    shape: GeneratorShape | ProcessShape = ProcessShape(kind="process", bands=list(BANDS))
    if isinstance(recipe, ConvolutionalRecipe):
        width = params.scales[asked.scale].training[tiles].width
        shape = generator_shape(recipe, tile_set.size, len(tile_set.bands), width)
    generator = cards.module_of(shape)
    if isinstance(generator, Process):
        generator.marks.initialise(rng)
    elif isinstance(generator, Generator):
        initialise(generator, "normal", None, rng)
    cards.save(folder, generator.state_dict(), _card(tiles, name, recipe, shape, store, tile_set))


def save_trained(folder: Path, tiles: str, name: str, width: int, best: Checkpoint, store: TileStore) -> None:
    """A bundle of a training's best checkpoint, in `folder`."""
    params = load(Path("params.yaml"))
    recipe, tile_set = read_recipes(params.recipes)[name], params.tiles[tiles]
    card = _card(tiles, name, recipe, shape_of(recipe, store.card, width), store, tile_set)
    seen = {"iteration": best.iteration, "images_seen": best.images_seen}
    validation = {key: value for key, value in best.measured.items() if key.startswith("validation_")}
    cards.save(folder, best.generator, card.model_copy(update=seen | {"validation": validation}))


def _card(
    tiles: str,
    name: str,
    recipe: Recipe,
    shape: GeneratorShape | ProcessShape,
    store: TileStore,
    tile_set: TileSetParams,
) -> Card:
    card, painted = store.card, isinstance(recipe, ConvolutionalRecipe)
    return Card(
        tiles=tiles,
        recipe=name,
        seed=0,
        scale="none",
        row=recipe.model_dump(),
        size=tile_set.size,
        bands=card.bands,
        softening_nmgy=recipe.softening_nmgy or card.softening_nmgy,
        limit_nmgy=card.limit_nmgy,
        pixel_scale_arcsec=card.pixel_scale_arcsec,
        generator=shape,
        latents=recipe.latents if isinstance(recipe, ConvolutionalRecipe) else None,
        require_source=True,
        source_snr=tile_set.source_snr,
        conditions=None if painted else list(card.conditions.values()),
        densities=None if painted else [card.densities[field_of(readout)] for readout in card.conditions],
        iteration=0,
        images_seen=0,
        validation={},
        data_hash=card.data_hash,
        commit="unknown",
        trained_at="",
        versions={},
    )
