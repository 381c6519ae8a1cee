"""What a checkpoint is chosen by: the same latents painted again and again, against half of the validation tiles."""

import numpy as np
import torch
from numpy.typing import NDArray

from skygen.gan.camera import Camera, Conditions, Sky
from skygen.gan.latents import latents_of, noise_of
from skygen.gan.networks import Generator
from skygen.gan.recipes import Recipe
from skygen.measure import diversity
from skygen.measure.medians import ratio
from skygen.measure.score import ValidationScore, halves
from skygen.tiles.store import TileStore

_SEED = 2**62  # of the generated tiles; far from what users ask for
_PASS = 64  # tiles drawn at once


class Validation:
    """Half of the validation tiles to compare with, and as many generated ones under the other half's conditions."""

    def __init__(self, recipe: Recipe, store: TileStore, camera: Camera, device: torch.device) -> None:
        tiles, card = store.split("validation"), store.card
        real, readouts = tiles.array(), tiles.readouts()
        first, second = halves(readouts)
        self._score = ValidationScore(real[first], real[second])
        self._camera, self._device = camera, device
        numbers = range(len(first))
        self._latents = latents_of(recipe.latents, recipe.latent_size, _SEED, numbers)
        self._sky = None
        if camera.noise:
            shape = (len(card.bands), card.size, card.size)
            observed = [card.conditions[readouts[index]] for index in second]
            conditions = Conditions.of_fields(observed, card.pixel_scale_arcsec)
            self._sky = Sky(conditions, noise_of(shape, _SEED, numbers))
            self._real_diversity = _diversity(real[second])

    def draw(self, generator: Generator) -> NDArray[np.float32]:
        """The generated tiles [N, bands, H, W] in nmgy."""
        return self._draw(generator, self._sky)

    def measure(self, fake: NDArray[np.float32]) -> dict[str, float]:
        """The metrics of generated tiles, each under `validation_` and its name."""
        return {f"validation_{key}": value for key, value in self._score.measure(fake).items()}

    def watch(self, generator: Generator) -> dict[str, float]:
        """With a noise model: the diversity of the scenes that `draw` paints, without noise, over that of real tiles.

        Fresh noise on one repeated scene is as diverse as 0.34 to 0.43 of real tiles (measured), and hides a collapse.
        """
        if self._sky is None:
            return {}
        clean = self._sky._replace(conditions=self._sky.conditions.exposed(torch.zeros(1)))
        return {"validation_scene_diversity": ratio(_diversity(self._draw(generator, clean)), self._real_diversity)}

    def _draw(self, generator: Generator, sky: Sky | None) -> NDArray[np.float32]:
        generator.eval()
        with torch.no_grad():
            parts = [self._flux(generator, sky, part) for part in torch.split(torch.arange(len(self._latents)), _PASS)]
        generator.train()
        return np.concatenate(parts)

    def _flux(self, generator: Generator, sky: Sky | None, rows: torch.Tensor) -> NDArray[np.float32]:
        part = None if sky is None else Sky(sky.conditions.take(rows), sky.draws[rows]).to(self._device)
        images = generator(self._latents[rows].to(self._device))
        return np.asarray(self._camera.flux(images, part).cpu().numpy())


def _diversity(tiles: NDArray[np.float32]) -> float:
    described = diversity.describe(tiles)
    return diversity.summarise(described, np.ones(len(tiles)))
