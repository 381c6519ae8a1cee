"""What a checkpoint is chosen by: the same chance made into tiles again and again, against half of the validation's."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from skygen.gan.camera import Camera, Conditions, Sky
from skygen.gan.latents import latents_of, noise_of
from skygen.gan.networks import Generator
from skygen.gan.recipes import ConvolutionalRecipe, Recipe
from skygen.measure import diversity
from skygen.measure.medians import ratio
from skygen.measure.score import ValidationScore, halves
from skygen.process.generator import Process
from skygen.sky.readout import field_of
from skygen.tiles.store import TileStore
from skygen.training.batches import scattered

_SEED = 2**62  # of the generated tiles; far from what users ask for
_PASS = 64  # tiles drawn at once
MOST = 512  # tiles of a process: more would take longer than its training


class Drawn(NamedTuple):
    """Generated tiles [N, bands, H, W] in nmgy, and the same without noise, where it is not painted."""

    flux: NDArray[np.float32]
    scenes: NDArray[np.float32] | None


class Validation:
    """Half of the validation tiles to compare with, and as many generated ones under the other half's conditions."""

    def __init__(self, recipe: Recipe, store: TileStore, camera: Camera, device: torch.device) -> None:
        tiles, card = store.split("validation"), store.card
        readouts = tiles.readouts()
        first, second = halves(readouts)
        self._latents = torch.empty(0)
        if isinstance(recipe, ConvolutionalRecipe):
            self._latents = latents_of(recipe.latents, recipe.latent_size, _SEED, range(len(first)))
        else:
            first, second = first[:MOST], second[:MOST]
        real_second = tiles.batch(second)
        self._score, self._real_diversity = ValidationScore(tiles.batch(first), real_second), _diversity(real_second)
        self._camera, self._device, self._makes_scenes = camera, device, recipe.makes_scenes
        self._shape = (len(card.bands), card.size, card.size)
        names = [readouts[index] for index in second]
        densities = [card.densities[field_of(name)] for name in names]
        observed = [card.conditions[name] for name in names]
        self._conditions = Conditions.of_fields(observed, card.pixel_scale_arcsec, densities)

    def draw(self, generator: Generator | Process) -> Drawn:
        """Generated tiles, always of the same latents or scattered by the same numbers."""
        generator.eval()
        with torch.no_grad():
            if self._makes_scenes:
                drawn = self._observed(generator)
            else:
                images = [generator(latents) for latents in self._passes()]
                drawn = Drawn(self._camera.flux(torch.cat(images), None).cpu().numpy(), None)
        generator.train()
        return drawn

    def measure(self, drawn: Drawn) -> dict[str, float]:
        """The metrics of generated tiles, each under `validation_` and its name; of scenes their diversity too.

        That is over the real tiles': fresh noise on one repeated scene is as diverse as 0.34 to 0.43 of these
        (measured), and hides a collapse. Raises `ValueError` where a tile holds NaN or infinity.
        """
        if not np.isfinite(drawn.flux).all():
            raise ValueError("generated tiles hold NaN or infinity, though no weight does: the training diverged")
        found = {f"validation_{key}": value for key, value in self._score.measure(drawn.flux).items()}
        if drawn.scenes is not None:
            found["validation_scene_diversity"] = ratio(_diversity(drawn.scenes), self._real_diversity)
        return found

    def _observed(self, generator: Generator | Process) -> Drawn:
        """Scenes, and these with noise under the conditions of the real tiles."""
        parts, rng = [], torch.Generator().manual_seed(_SEED)
        painted = iter(self._passes())
        for rows in torch.split(torch.arange(len(self._conditions.psf_fwhm_px)), _PASS):
            some = self._conditions.take(rows)
            if isinstance(generator, Process):
                images = generator(scattered(generator, some, self._shape[-1], rng).to(self._device))
            else:
                images = generator(next(painted))
            noise = noise_of(self._shape, _SEED, range(int(rows[0]), int(rows[-1]) + 1))
            sky = Sky(some, noise).to(self._device)
            parts.append((self._camera.flux(images, sky), self._camera.scenes(images)))
        flux, scenes = (np.asarray(torch.cat(of_all).cpu().numpy()) for of_all in zip(*parts, strict=True))
        return Drawn(flux, scenes)

    def _passes(self) -> list[torch.Tensor]:
        """The latents, so many at once."""
        return [latents.to(self._device) for latents in torch.split(self._latents, _PASS)]


def _diversity(tiles: NDArray[np.float32]) -> float:
    described = diversity.describe(tiles)
    return diversity.summarise(described, np.ones(len(tiles)))
