"""A training to time: networks, tiles of noise to draw from, and one iteration, at a scale of params.yaml."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from skygen.gan.recipes import Recipe
from skygen.params import TileSetParams, TrainingScale
from skygen.sky.conditions import BandConditions, Density
from skygen.tiles.store import SPLITS, Survival, TileSetCard, TileStore
from skygen.tiles.writer import describe_shard, write_shard
from skygen.training.batches import Batches, iteration_rng
from skygen.training.loop import iterate
from skygen.training.state import State, new_state

CPU = torch.device("cpu")
STORED = 256  # tiles of noise: what they show does not change how long a step takes


def noise_store(folder: Path, tile_set: TileSetParams) -> TileStore:
    """A store in `folder` of a tile set's shape, of training tiles of noise under middling conditions."""
    shape = (STORED, len(tile_set.bands), tile_set.size, tile_set.size)
    noise = np.random.default_rng(0).normal(0, 0.03, shape).astype(np.float32)
    path = folder / "train.npy"
    with write_shard(path, shape[1:], tile_set.dtype) as writer:
        writer.add("1-1-1/left", noise)
    conditions = BandConditions(sky_noise_nmgy=0.03, nmgy_per_electron=0.001, psf_fwhm_arcsec=1.3)
    card = TileSetCard(
        name="noise",
        size=tile_set.size,
        bands=list(tile_set.bands),
        dtype=tile_set.dtype,
        softening_nmgy=tile_set.softening_nmgy,
        limit_nmgy=tile_set.limit_nmgy,
        pixel_scale_arcsec=0.396,
        fields={"train": ["1-1-1"], "validation": [], "test": []},
        left_out={},
        survival=dict.fromkeys(SPLITS, Survival(tried=1, kept=1.0, spoilt={})),
        conditions={"1-1-1/left": [conditions] * len(tile_set.bands)},
        densities={"1-1-1": Density(stars=1.0, galaxies=1.0)},
        shards={"train": [describe_shard(path, writer.readouts)], "validation": [], "test": []},
        data_hash="",
    )
    return TileStore(folder, card)


@dataclass
class Game:
    """What an iteration of our training needs."""

    recipe: Recipe
    scale: TrainingScale
    state: State
    batches: Batches

    def iterate(self) -> torch.Tensor:
        """One iteration as the loop makes it; the losses [2] of the discriminator's last step and the generator's."""
        rng = iteration_rng(0, self.state.images_seen)
        return iterate(self.state, self.recipe, self.batches, rng, self.recipe.dropout_rate)

    def draw(self) -> None:
        """All that an iteration draws and reads, and nothing else."""
        rng = iteration_rng(0, self.state.images_seen)
        for _ in range(self.recipe.critic_steps):
            self.batches.draw(rng, real=True)
        self.batches.draw(rng, real=self.recipe.needs_real_tiles)


def new_game(recipe: Recipe, scale: TrainingScale, store: TileStore) -> Game:
    """A game of `recipe` on `store` at its beginning."""
    row = recipe.at_scale(scale)
    state = new_state(row, store.card, scale.width, 0, CPU)
    return Game(row, scale, state, Batches(row, store, state.players, scale.batch, CPU))
