"""DVC stage train@SET-RECIPE-SEED: a tile set → a bundle. Usage: python pipelines/train.py SET RECIPE SEED

A training that was interrupted goes on from its checkpoint when the same configuration is run again. On several
devices: torchrun --standalone --nproc_per_node N --max-restarts 3 pipelines/train.py SET RECIPE SEED
"""

import math
import sys
from datetime import UTC, datetime
from pathlib import Path

from skygen import tracking
from skygen.files import replace_folder, sha256_folder, write_json
from skygen.gan import card as cards
from skygen.gan.camera import camera_of, generator_shape
from skygen.gan.recipes import Recipe, read_recipes
from skygen.params import Params, TrainingScale, load_or_end
from skygen.provenance import choose_device, device_name, git_commit, versions
from skygen.sky.conditions import BandConditions
from skygen.sky.readout import field_of
from skygen.tiles.store import TileSetCard, TileStore
from skygen.training.checkpoints import remove
from skygen.training.distributed import join_team
from skygen.training.loop import train
from skygen.training.state import Checkpoint, State, configuration_hash, configuration_of, weights_of

MOST_FIELDS = 128  # whose conditions a bundle carries, of both halves


def main(tiles: str, recipe_name: str, seed: str) -> None:
    """Train one recipe on one tile set from one seed; say so, and end, where another process trains the same."""
    try:
        _train(tiles, recipe_name, seed)
    except BlockingIOError as error:
        sys.exit(f"train {tiles}-{recipe_name}-{seed}: {error}")


def _train(tiles: str, recipe_name: str, seed: str) -> None:
    params, device = load_or_end(), choose_device()
    scale = params.chosen.training[tiles]
    recipe = read_recipes(params.recipes)[recipe_name].at_scale(scale)
    store = TileStore.open(Path("data/tiles") / tiles)
    configuration = configuration_of(recipe, scale, store.card, int(seed), device)
    checkpoint = tracking.checkpoints() / f"{configuration_hash(configuration)}.pt"
    with join_team(device) as team:
        if not team.writes:
            train(recipe, scale, store, int(seed), device, checkpoint, None, team)
            return
        run = tracking.training_run(
            checkpoint,
            name=f"{tiles}-{recipe_name}-{seed}",
            params=_logged_params(tiles, recipe_name, int(seed), recipe, params, store.card),
            tags=_tags(tiles, recipe_name, params.scale, scale, store.card, device_name(device)),
            data=store.folder,
            data_hash=store.card.data_hash,
            bands=store.card.bands,
        )
        with run as log:
            state = train(recipe, scale, store, int(seed), device, checkpoint, log, team)
            output = Path("models") / tiles / recipe_name / seed
            card = _card(tiles, recipe_name, int(seed), recipe, params, store.card, _best(state))
            _write(output, state, card)
            log.curves(state.history)
            log.bundle(output / "bundle", sha256_folder(output / "bundle"), [output / "history.json"])
            remove(checkpoint)  # before the run ends, which may wait for a server: finished is finished


def _logged_params(
    tiles: str, recipe_name: str, seed: int, recipe: Recipe, params: Params, card: TileSetCard
) -> dict[str, object]:
    """What tells the runs apart in MLflow: flat, the same names in every run."""
    scale, tile_set = params.chosen.training[tiles], params.tiles[tiles]
    of_recipe = {f"recipe.{key}": value for key, value in recipe.model_dump().items()}
    of_scale = {f"training.{key}": value for key, value in scale.model_dump().items()}
    of_tiles = {f"tiles.{key}": value for key, value in tile_set.model_dump().items()}
    training_tiles = sum(shard.tiles for shard in card.shards["train"])
    named = {"tiles": tiles, "recipe": recipe_name, "seed": seed, "scale": params.scale}
    return {**named, "tiles.train": training_tiles, **of_recipe, **of_scale, **of_tiles}


def _tags(
    tiles: str, recipe_name: str, scale_name: str, scale: TrainingScale, card: TileSetCard, device: str
) -> dict[str, str]:
    """Where the run comes from, and by how much its scale departs from the recipe's row in params.yaml."""
    factors = {key: value for key, value in scale.model_dump().items() if key.endswith("_factor") and value != 1}
    departs = ", ".join(f"{key} {value}" for key, value in factors.items())
    return {
        "tiles": tiles,
        "recipe": recipe_name,
        "git_commit": git_commit(),
        "data_hash": card.data_hash,
        "device": device,
        "departs_from_recipe": f"{scale_name}: {departs}" if departs else "no",
        **{f"version.{name}": version for name, version in versions().items()},
    }


def _best(state: State) -> Checkpoint:
    if state.best is None:
        raise RuntimeError("a training of at least one iteration measures at its end")
    return state.best


def _card(
    tiles: str, recipe_name: str, seed: int, recipe: Recipe, params: Params, card: TileSetCard, best: Checkpoint
) -> cards.Card:
    measured = {key: value for key, value in best.measured.items() if key.startswith("validation_")}
    stretch = camera_of(recipe, card.stretch).stretch
    return cards.Card(
        tiles=tiles,
        recipe=recipe_name,
        seed=seed,
        scale=params.scale,
        row=recipe.model_dump(),
        size=params.tiles[tiles].size,
        bands=card.bands,
        softening_nmgy=stretch.softening_nmgy,
        limit_nmgy=stretch.limit_nmgy,
        pixel_scale_arcsec=card.pixel_scale_arcsec,
        generator=generator_shape(recipe, card.size, len(card.bands), params.chosen.training[tiles].width),
        latents=recipe.latents,
        psf_share=recipe.psf_share,
        conditions=_conditions(card) if recipe.noise == "survey" else None,
        iteration=best.iteration,
        images_seen=best.images_seen,
        validation=measured,
        data_hash=card.data_hash,
        commit=git_commit(),
        trained_at=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=versions(),
    )


def _conditions(card: TileSetCard) -> list[list[BandConditions]]:
    """The conditions of both halves of the training fields, evenly thinned where these are many."""
    fields = [field for shard in card.shards["train"] for field in shard.fields]
    some = set(fields[:: math.ceil(len(fields) / MOST_FIELDS)])
    return [bands for readout, bands in card.conditions.items() if field_of(readout) in some]


def _write(output: Path, state: State, card: cards.Card) -> None:
    best = _best(state)
    with replace_folder(output, wait=True) as folder:  # another's writing takes seconds, this training took hours
        cards.save(folder / "bundle", best.generator, card)
        cards.save_weights(folder / "discriminator.safetensors", best.discriminator)
        cards.save_weights(folder / "last.safetensors", weights_of(state.ema_generator))
        write_json(folder / "history.json", state.history)


if __name__ == "__main__":
    main(*sys.argv[1:])
