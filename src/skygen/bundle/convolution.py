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
from skygen.gan.networks import GeneratorShape


class Convolution:
    """What draws the tiles of a bundle that paints them."""

    def __init__(self, card: Card, shape: GeneratorShape, engine: NamedEngine) -> None:
        self.engine, self._compute, self._latent_size = engine.name, engine, shape.latent_size
        self._camera, self._of = Camera(card.stretch, images_are_stretched=True), card.latents or "normal"
        self._shape = (len(card.bands), card.size, card.size)

    def draw(self, tiles: Sequence[Tile], conditions: Conditions | None) -> NDArray[np.float32]:
        """The flux [n, bands, H, W] of `tiles` in nmgy, on the calling thread.

        Of scenes under `conditions` [n, bands]; None where noise is painted.
        """
        images = self._compute(torch.stack([self._latents(tile) for tile in tiles])).cpu()
        sky = None if conditions is None else Sky(conditions, torch.cat([self._noise(tile) for tile in tiles]))
        return np.asarray(self._camera.flux(images, sky).numpy())

    def _noise(self, tile: Tile) -> torch.Tensor:
        return noise_of(self._shape, tile.seed, range(tile.index, tile.index + 1))

    def _latents(self, tile: Tile) -> torch.Tensor:
        seeds = [tile.seed] if tile.towards is None else [tile.seed, tile.towards[0]]
        of, indices = self._of, range(tile.index, tile.index + 1)
        ends = [latents_of(of, self._latent_size, seed, indices)[0] for seed in seeds]
        return ends[0] if tile.towards is None else walk_latents(of, ends[0], ends[1], tile.towards[1])
