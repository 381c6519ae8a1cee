"""What chance decides in a training: which tiles, latents, noise. All of it by (seed, images seen) alone.

Several processes draw the same numbers for the whole batch, and each takes its share: so a training on two devices is
that on one, to rounding. Dropout alone differs, which each draws for its own tiles.

All numbers are drawn on the CPU, whatever the device, so that a GPU trains on what a CPU trains on. What is sent to a
GPU goes through pinned memory, and nothing waits for it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from skygen.gan.camera import Conditions, Sky
from skygen.gan.latents import draw_latents
from skygen.gan.recipes import ConvolutionalRecipe, Recipe
from skygen.process.generator import Process, Scatter
from skygen.sky.readout import field_of
from skygen.tiles.dataset import ResidentTiles, TileDataset, draw_batch, draw_places, fits
from skygen.tiles.store import TileStore
from skygen.training.step import Draws, Players


class Chosen(NamedTuple):
    """All that chance decides of one update, and nothing that follows from it."""

    tiles: tuple[torch.Tensor, ...]  # flux [N, bands, H, W]; of resident tiles indices and symmetries [N]; or none
    latents: torch.Tensor | Scatter
    sky: Sky | None
    mix: torch.Tensor | None


class Batches:
    """The training tiles and the conditions they were taken under, to draw this process's share of a batch from."""

    def __init__(
        self,
        recipe: Recipe,
        store: TileStore,
        players: Players,
        batch: int,
        device: torch.device,
        resident: bool | None = None,
    ) -> None:
        """`resident` keeps the tiles on the device; None does where that is a GPU with room for them.

        Raises `ValueError` where `batch` tiles cannot be shared out evenly.
        """
        split, card = store.split("train"), store.card
        self.batch, self.device = batch, device
        self._recipe, self._players = recipe, players
        self._share = players.team.share(batch)
        self._shape = (len(card.bands), card.size, card.size)
        densities = [card.densities[field_of(readout)] for readout in card.conditions]
        self._conditions = Conditions.of_fields(list(card.conditions.values()), card.pixel_scale_arcsec, densities)
        rows = {readout: row for row, readout in enumerate(card.conditions)}
        self._rows = torch.tensor([rows[readout] for readout in split.readouts()])
        resident = fits(split, card.dtype, device) if resident is None else resident
        self.tiles = ResidentTiles(split, card.dtype, device) if resident else TileDataset(split)

    @property
    def updates(self) -> list[bool]:
        """The updates of one iteration, in turn: whether each needs real tiles."""
        return [True] * self._recipe.critic_steps + [self._recipe.needs_real_tiles]

    def draw(self, rng: torch.Generator, real: bool) -> Draws:
        """The draws of one update of a network; `real` says whether it needs real tiles."""
        return self.shown(on_device(self.choose(rng, real), self.device))

    def choose(self, rng: torch.Generator, real: bool) -> Chosen:
        """What chance decides of those draws, on the CPU."""
        recipe, batch, share = self._recipe, self.batch, self._share
        tiles: tuple[torch.Tensor, ...] = ()
        if real and isinstance(self.tiles, ResidentTiles):
            tiles = draw_places(len(self.tiles), batch, rng, share)
        elif real and isinstance(self.tiles, TileDataset):
            tiles = (draw_batch(self.tiles, batch, rng, share),)
        latents, sky = self._painted(rng)
        mix = torch.rand(batch, generator=rng)[share] if recipe.penalty == "gradient_penalty" else None
        return Chosen(tiles, latents, sky, mix)

    def shown(self, chosen: Chosen) -> Draws:
        """The draws that follow from what was chosen, which lies on the device. Nothing here waits for the device."""
        real = None
        if chosen.tiles:
            flux = self.tiles.deal(*chosen.tiles) if isinstance(self.tiles, ResidentTiles) else chosen.tiles[0]
            real = self._players.camera.stretch.stretch(flux)
        return Draws(real, chosen.latents, chosen.sky, chosen.mix)

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
        return taken, Sky(self._conditions.take(rows[share]), draws)


def on_device(chosen: Chosen, device: torch.device) -> Chosen:
    """The same on `device`."""
    sent: Chosen = _each_tensor(chosen, lambda part: _sent(part, device))
    return sent


def _sent(part: torch.Tensor, device: torch.device) -> torch.Tensor:
    return part.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else part.to(device)


def _each_tensor(parts: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """Nested tuples with `change` made to each tensor in them, and all else as it is."""
    if isinstance(parts, torch.Tensor):
        return change(parts)
    if not isinstance(parts, tuple):
        return parts
    changed = [_each_tensor(part, change) for part in parts]
    return type(parts)(*changed) if hasattr(parts, "_fields") else tuple(changed)


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
