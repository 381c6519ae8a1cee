"""What chance decides in a training: which tiles, latents, noise. All of it by (seed, images seen) alone.

Several processes draw the same numbers for the whole batch, and each takes its share: so a training on two devices is
that on one, to rounding. Dropout alone differs, which each draws for its own tiles.
"""

import numpy as np
import torch

from skygen.gan.camera import Camera, Conditions, Sky
from skygen.gan.latents import draw_latents
from skygen.gan.recipes import Recipe
from skygen.tiles.dataset import TileDataset, draw_batch
from skygen.tiles.store import TileStore
from skygen.training.distributed import ALONE, Team
from skygen.training.step import Draws


class Batches:
    """The training tiles and the conditions they were taken under, to draw this process's share of a batch from."""

    def __init__(
        self, recipe: Recipe, store: TileStore, camera: Camera, batch: int, device: torch.device, team: Team = ALONE
    ) -> None:
        """Raises `ValueError` where `batch` tiles cannot be shared out evenly."""
        split, card = store.split("train"), store.card
        self.tiles = TileDataset(split)
        self.batch = batch
        self._recipe, self._camera, self._device = recipe, camera, device
        self._share = team.share(batch)
        self._shape = (len(card.bands), card.size, card.size)
        self._conditions = Conditions.of_fields(list(card.conditions.values()), card.pixel_scale_arcsec)
        rows = {readout: row for row, readout in enumerate(card.conditions)}
        self._rows = torch.tensor([rows[readout] for readout in split.readouts()])

    def draw(self, rng: torch.Generator, real: bool) -> Draws:
        """The draws of one update of a network; `real` says whether it needs real tiles."""
        recipe, batch, share = self._recipe, self.batch, self._share
        tiles = None
        if real:
            flux = draw_batch(self.tiles, batch, rng, share).to(self._device)
            tiles = self._camera.stretch.stretch(flux)
        latents = draw_latents(recipe.latents, batch, recipe.latent_size, rng)[share].to(self._device)
        sky = self._sky(rng) if self._camera.noise else None
        mix = torch.rand(batch, generator=rng)[share] if recipe.penalty == "gradient_penalty" else None
        return Draws(tiles, latents, sky, None if mix is None else mix.to(self._device))

    def _sky(self, rng: torch.Generator) -> Sky:
        """The conditions of random training tiles, and noise."""
        rows = self._rows[torch.randint(len(self._rows), (self.batch,), generator=rng)[self._share]]
        draws = torch.randn(self.batch, *self._shape, generator=rng)[self._share]
        return Sky(self._conditions.take(rows), draws).to(self._device)


def iteration_rng(seed: int, images_seen: int, rank: int = 0) -> torch.Generator:
    """The generator of an iteration's draws, the same in all processes.

    torch's own, from which dropout draws, is seeded too: for each process another way, and with other numbers than
    the draws.
    """
    torch.manual_seed(_word(seed, images_seen, 1 + rank))
    return torch.Generator().manual_seed(_word(seed, images_seen))


def _word(*key: int) -> int:
    return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0])
