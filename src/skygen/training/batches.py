"""What chance decides in a training: which tiles, latents, noise. All of it by (seed, images seen) alone.

Several processes draw the same numbers for the whole batch, and each takes its share: so a training on two devices is
that on one, to rounding. Dropout alone differs, which each draws for its own tiles.
"""

import numpy as np
import torch
from torch import nn

from skygen.gan.camera import Conditions, Sky
from skygen.gan.latents import draw_latents
from skygen.gan.recipes import ConvolutionalRecipe, Recipe
from skygen.process.generator import Process, Scatter
from skygen.sky.readout import field_of
from skygen.tiles.dataset import TileDataset, draw_batch
from skygen.tiles.store import TileStore
from skygen.training.step import Draws, Players


class Batches:
    """The training tiles and the conditions they were taken under, to draw this process's share of a batch from."""

    def __init__(self, recipe: Recipe, store: TileStore, players: Players, batch: int, device: torch.device) -> None:
        """Raises `ValueError` where `batch` tiles cannot be shared out evenly."""
        split, card = store.split("train"), store.card
        self.tiles = TileDataset(split)
        self.batch = batch
        self._recipe, self._players, self._device = recipe, players, device
        self._share = players.team.share(batch)
        self._shape = (len(card.bands), card.size, card.size)
        densities = [card.densities[field_of(readout)] for readout in card.conditions]
        self._conditions = Conditions.of_fields(list(card.conditions.values()), card.pixel_scale_arcsec, densities)
        rows = {readout: row for row, readout in enumerate(card.conditions)}
        self._rows = torch.tensor([rows[readout] for readout in split.readouts()])

    def draw(self, rng: torch.Generator, real: bool) -> Draws:
        """The draws of one update of a network; `real` says whether it needs real tiles."""
        recipe, batch, share = self._recipe, self.batch, self._share
        tiles = None
        if real:
            flux = draw_batch(self.tiles, batch, rng, share).to(self._device)
            tiles = self._players.camera.stretch.stretch(flux)
        latents, sky = self._painted(rng)
        mix = torch.rand(batch, generator=rng)[share] if recipe.penalty == "gradient_penalty" else None
        return Draws(tiles, latents.to(self._device), sky, None if mix is None else mix.to(self._device))

    def _painted(self, rng: torch.Generator) -> tuple[torch.Tensor | Scatter, Sky | None]:
        """What the generator takes; of scenes under the conditions of random training tiles, and with noise."""
        recipe, share = self._recipe, self._share
        taken: torch.Tensor | Scatter = torch.empty(0)
        if isinstance(recipe, ConvolutionalRecipe):
            taken = draw_latents(recipe.latents, self.batch, recipe.latent_size, rng)[share]
        if not recipe.makes_scenes:
            return taken, None
        rows = self._rows[torch.randint(len(self._rows), (self.batch,), generator=rng)]
        if not isinstance(recipe, ConvolutionalRecipe):
            taken = scattered(self._players.generator, self._conditions.take(rows), self._shape[-1], rng, share)
        draws = torch.randn(self.batch, *self._shape, generator=rng)[share]
        return taken, Sky(self._conditions.take(rows[share]), draws).to(self._device)


def scattered(
    generator: nn.Module, conditions: Conditions, side: int, rng: torch.Generator, share: slice | None = None
) -> Scatter:
    """What `rng` decides of a process's tiles of `side` px under `conditions`; of those of `share`."""
    if not isinstance(generator, Process) or conditions.density is None:
        raise ValueError("only a process is scattered, by the densities of its tiles' fields")
    return generator.scatter(conditions.density, conditions.psf_fwhm_px, side, rng, share)


def iteration_rng(seed: int, images_seen: int, rank: int = 0) -> torch.Generator:
    """The generator of an iteration's draws, the same in all processes.

    torch's own, from which dropout draws, is seeded too: for each process another way, and with other numbers than
    the draws.
    """
    torch.manual_seed(_word(seed, images_seen, 1 + rank))
    return torch.Generator().manual_seed(_word(seed, images_seen))


def _word(*key: int) -> int:
    return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0])
