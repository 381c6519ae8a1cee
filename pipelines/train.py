"""DVC stages train@SET-RECIPE-SEED and train_process@RECIPE-SEED: a tile set → bundles.

Usage: python pipelines/train.py SET RECIPE SEED

A convolutional generator is trained for the set that it is trained on; a process once for every set that models are
compared on. A training that was interrupted goes on from its checkpoint when the same configuration is run again. On
several devices: torchrun --standalone --nproc_per_node N --max-restarts 3 pipelines/train.py SET RECIPE SEED
"""

import math
import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from skygen import tracking
from skygen.files import replace_folder, sha256_folder, write_json
from skygen.gan import card as cards
from skygen.gan.camera import camera_of
from skygen.gan.recipes import ConvolutionalRecipe, Recipe, read_recipes
from skygen.params import Params, TrainingScale, load_or_end
from skygen.process.generator import ProcessShape
from skygen.provenance import choose_device, device_name, git_commit, versions
from skygen.sky.readout import field_of
from skygen.tiles.store import TileSetCard, TileStore
from skygen.training.checkpoints import remove
from skygen.training.distributed import join_team
from skygen.training.loop import train
from skygen.training.state import Checkpoint, State, configuration_hash, configuration_of, shape_of, weights_of

TILES, MODELS = Path("data/tiles"), Path("models")
MOST_FIELDS = 128  # whose conditions a bundle carries, of both halves


@dataclass(frozen=True)
class Training:
    """One recipe on one tile set from one seed."""

    params: Params
    tiles: str
    recipe_name: str
    seed: int
    store: TileStore
    device: torch.device

    @property
    def scale(self) -> TrainingScale:
        """How long and how wide."""
        return self.params.chosen.training[self.tiles]

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe as it runs."""
        return read_recipes(self.params.recipes)[self.recipe_name].at_scale(self.scale)

    @property
    def checkpoint(self) -> Path:
        """Where its state is kept, which no other configuration resumes."""
        configuration = configuration_of(self.recipe, self.scale, self.store.card, self.seed, self.device)
        return tracking.checkpoints() / f"{configuration_hash(configuration)}.pt"

    def served(self) -> list[str]:
        """The tile sets that bundles are made for; raises `ValueError` where the tiles lack a band of one."""
        if isinstance(self.recipe, ConvolutionalRecipe):
            return [self.tiles]
        bands = self.store.card.bands
        for name, tile_set in self.params.judged.items():
            if not set(tile_set.bands) <= set(bands):
                raise ValueError(
                    f"{self.recipe_name} is a process, which is trained once for all tile sets; {self.tiles} has "
                    f"{', '.join(bands)}, but {name} {', '.join(tile_set.bands)}: train it on a set with all of them"
                )
        return list(self.params.judged)

    def output(self, served: str) -> Path:
        """The folder of what is made for a tile set."""
        return MODELS / served / self.recipe_name / str(self.seed)

    def run(self, served: str) -> AbstractContextManager[tracking.TrainingRun]:
        """The MLflow run of the bundle for a tile set."""
        other = "" if served == self.served()[0] else f"-{served}"
        return tracking.training_run(
            self.checkpoint.with_stem(f"{self.checkpoint.stem}{other}"),
            name=f"{served}-{self.recipe_name}-{self.seed}",
            params=self._logged_params(served),
            tags=_tags(served, self.recipe_name, self.params.scale, self.scale, self.store.card, self.device),
            data=self.store.folder,
            data_hash=self.store.card.data_hash,
            bands=self.store.card.bands,
        )

    def _logged_params(self, served: str) -> dict[str, object]:
        """What tells the runs apart in MLflow: flat, the same names in every run of a kind."""
        of_recipe = {f"recipe.{key}": value for key, value in self.recipe.model_dump().items()}
        of_scale = {f"training.{key}": value for key, value in self.scale.model_dump().items()}
        of_tiles = {f"tiles.{key}": value for key, value in self.params.tiles[self.tiles].model_dump().items()}
        training_tiles = sum(shard.tiles for shard in self.store.card.shards["train"])
        named = {"tiles": served, "recipe": self.recipe_name, "seed": self.seed, "scale": self.params.scale}
        return {**named, "tiles.train": training_tiles, **of_recipe, **of_scale, **of_tiles}


def main(tiles: str, recipe_name: str, seed: str) -> None:
    """Train one recipe on one tile set from one seed; say so, and end, where another process trains the same."""
    params = load_or_end()
    training = Training(params, tiles, recipe_name, int(seed), TileStore.open(TILES / tiles), choose_device())
    try:
        _train(training)
    except (BlockingIOError, ValueError) as error:
        sys.exit(f"train {tiles}-{recipe_name}-{seed}: {error}")


def _train(training: Training) -> None:
    first, *others = training.served()
    arguments = (training.recipe, training.scale, training.store, training.seed, training.device, training.checkpoint)
    with join_team(training.device) as team:
        if not team.writes:
            train(*arguments, None, team)
            return
        with training.run(first) as log:
            kept = _Kept(log)
            state = train(*arguments, kept, team)
            for name in (first, *others):
                _write(training.output(name), state, _card(training, name, _best(state)))
            _report(log, training.output(first), state)
            for name in others:
                with training.run(name) as another:
                    for row in state.history:
                        another.metrics({key: row[key] for key in row if key != "images_seen"}, int(row["images_seen"]))
                    if kept.last is not None:
                        another.samples(*kept.last)
                    _report(another, training.output(name), state)
            remove(training.checkpoint)  # before the run ends, which may wait for a server: finished is finished


class _Kept:
    """A training's log, of which the last samples are kept."""

    def __init__(self, log: tracking.TrainingRun) -> None:
        self.metrics, self.tag, self._log = log.metrics, log.tag, log
        self.last: tuple[NDArray[np.float32], int] | None = None

    def samples(self, flux_nmgy: NDArray[np.float32], images_seen: int) -> None:
        """Log tiles [N, bands, H, W], and keep them."""
        self.last = flux_nmgy, images_seen
        self._log.samples(flux_nmgy, images_seen)


def _report(log: tracking.TrainingRun, output: Path, state: State) -> None:
    log.curves(state.history)
    log.bundle(output / "bundle", sha256_folder(output / "bundle"), [output / "history.json"])


def _tags(
    served: str, recipe_name: str, scale_name: str, scale: TrainingScale, card: TileSetCard, device: torch.device
) -> dict[str, str]:
    """Where the run comes from, and by how much its scale departs from the recipe's row in params.yaml."""
    factors = {key: value for key, value in scale.model_dump().items() if key.endswith("_factor") and value != 1}
    departs = ", ".join(f"{key} {value}" for key, value in factors.items())
    return {
        "tiles": served,
        "recipe": recipe_name,
        "git_commit": git_commit(),
        "data_hash": card.data_hash,
        "device": device_name(device),
        "departs_from_recipe": f"{scale_name}: {departs}" if departs else "no",
        **{f"version.{name}": version for name, version in versions().items()},
    }


def _best(state: State) -> Checkpoint:
    if state.best is None:
        raise RuntimeError("a training of at least one iteration measures at its end")
    return state.best


def _card(training: Training, served: str, best: Checkpoint) -> cards.Card:
    recipe, trained_on = training.recipe, training.store.card
    card = trained_on if served == training.tiles else TileStore.open(TILES / served).card
    measured = {key: value for key, value in best.measured.items() if key.startswith("validation_")}
    stretch = camera_of(recipe, card.stretch).stretch
    is_process = not isinstance(recipe, ConvolutionalRecipe)
    readouts = _readouts(card)
    return cards.Card(
        tiles=served,
        recipe=training.recipe_name,
        seed=training.seed,
        scale=training.params.scale,
        row=recipe.model_dump(),
        size=training.params.tiles[served].size,
        bands=card.bands,
        softening_nmgy=stretch.softening_nmgy,
        limit_nmgy=stretch.limit_nmgy,
        pixel_scale_arcsec=card.pixel_scale_arcsec,
        generator=shape_of(recipe, trained_on, training.scale.width),
        latents=recipe.latents if isinstance(recipe, ConvolutionalRecipe) else None,
        require_source=training.params.tiles[served].require_source,
        source_snr=training.params.tiles[served].source_snr,
        drop=training.params.tiles[served].drop,
        conditions=[card.conditions[readout] for readout in readouts] if recipe.makes_scenes else None,
        densities=[card.densities[field_of(readout)] for readout in readouts] if is_process else None,
        iteration=best.iteration,
        images_seen=best.images_seen,
        validation=measured,
        data_hash=trained_on.data_hash,
        commit=git_commit(),
        trained_at=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=versions(),
    )


def _readouts(card: TileSetCard) -> list[str]:
    """The readouts of both halves of the training fields, evenly thinned where these are many."""
    fields = [field for shard in card.shards["train"] for field in shard.fields]
    some = set(fields[:: math.ceil(len(fields) / MOST_FIELDS)])
    return [readout for readout in card.conditions if field_of(readout) in some]


def _write(output: Path, state: State, card: cards.Card) -> None:
    best = _best(state)
    with replace_folder(output, wait=True) as folder:  # another's writing takes seconds, this training took hours
        cards.save(folder / "bundle", best.generator, card)
        if not isinstance(card.generator, ProcessShape):  # a process is judged by stamps and patches, not by tiles
            cards.save_weights(folder / "discriminator.safetensors", best.discriminator)
        cards.save_weights(folder / "last.safetensors", weights_of(state.ema_generator))
        write_json(folder / "history.json", state.history)


if __name__ == "__main__":
    main(*sys.argv[1:])
