"""Tiles of a convolutional generator: the images of an engine, as the camera sees them."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from skygen.bundle.engines import NamedEngine
from skygen.bundle.tile import Tile
from skygen.gan.camera import Camera
from skygen.gan.card import Card
from skygen.gan.latents import latents_of, walk_latents
from skygen.gan.networks import GeneratorShape


class Convolution:
    """What draws the tiles of a bundle that paints them."""

    def __init__(self, card: Card, shape: GeneratorShape, engine: NamedEngine) -> None:
        self.engine, self._compute, self._latent_size = engine.name, engine, shape.latent_size
        self._camera, self._of = Camera(card.stretch), card.latents or "normal"

    def draw(self, tiles: Sequence[Tile]) -> NDArray[np.float32]:
        """The flux [n, bands, H, W] of `tiles` in nmgy, on the calling thread."""
        images = self._compute(torch.stack([self._latents(tile) for tile in tiles]))
        return np.asarray(self._camera.flux(images, None).cpu().numpy())

    def _latents(self, tile: Tile) -> torch.Tensor:
        seeds = [tile.seed] if tile.towards is None else [tile.seed, tile.towards[0]]
        of, indices = self._of, range(tile.index, tile.index + 1)
        ends = [latents_of(of, self._latent_size, seed, indices)[0] for seed in seeds]
        return ends[0] if tile.towards is None else walk_latents(of, ends[0], ends[1], tile.towards[1])
