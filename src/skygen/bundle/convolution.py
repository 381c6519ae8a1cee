"""Tiles of a convolutional generator: the images of an engine, as the camera sees them."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from skygen.bundle.engines import NamedEngine
from skygen.bundle.tile import Tile
from skygen.gan.camera import Camera, Conditions, Sky
from skygen.gan.card import Card
from skygen.gan.latents import latents_of, noise_of, walk_latents


class Convolution:
    """What draws the tiles of a bundle that paints them."""

    def __init__(self, card: Card, engine: NamedEngine, device: torch.device) -> None:
        self.card, self.engine, self._compute, self._device = card, engine.name, engine, device
        self._camera = Camera(card.stretch, card.conditions is not None, card.psf_share)

    def draw(self, tiles: Sequence[Tile], conditions: Conditions | None) -> NDArray[np.float32]:
        """The flux [n, bands, H, W] of `tiles` in nmgy under `conditions` [n], on the calling thread."""
        shape, sky = (len(self.card.bands), self.card.size, self.card.size), None
        images = self._compute(torch.stack([self._latents(tile) for tile in tiles]))
        if conditions is not None:
            draws = [noise_of(shape, tile.seed, range(tile.index, tile.index + 1)) for tile in tiles]
            sky = Sky(conditions, torch.cat(draws)).to(self._device)
        return np.asarray(self._camera.flux(images, sky).cpu().numpy())

    def _latents(self, tile: Tile) -> torch.Tensor:
        seeds = [tile.seed] if tile.towards is None else [tile.seed, tile.towards[0]]
        of, indices = self.card.latents, range(tile.index, tile.index + 1)
        ends = [latents_of(of, self.card.generator.latent_size, seed, indices)[0] for seed in seeds]
        return ends[0] if tile.towards is None else walk_latents(of, ends[0], ends[1], tile.towards[1])
