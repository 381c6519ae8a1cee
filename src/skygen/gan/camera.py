"""How the camera sees what a generator gives: the noise of the survey, and the stretch.

A convolutional generator paints stretched images: tiles, noise and all, or scenes free of noise. A process gives scenes
in flux. To scenes noise is added before anything is compared with real tiles, as AmbientGAN does for measurements (Bora
et al. 2018, openreview Hy7fDog0b), and the stretch that clips what is seen is the discriminator's alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import torch

from skygen.gan.recipes import Recipe
from skygen.sky.conditions import Density, FieldConditions
from skygen.sky.noise import pixel_variance
from skygen.sky.stretch import Stretch


class Conditions(NamedTuple):
    """The conditions of N tiles (or fields), each [N, bands]; the densities of stars and galaxies [N, 2] an arcmin²."""

    sky_noise_nmgy: torch.Tensor
    nmgy_per_electron: torch.Tensor
    psf_fwhm_px: torch.Tensor
    sky_level_nmgy: torch.Tensor
    density: torch.Tensor | None = None
    offset_px: torch.Tensor | None = None  # [N, bands, 2] in x and y, of each band's light; None: bands are aligned

    @classmethod
    def of_fields(
        cls,
        fields: Sequence[FieldConditions],
        pixel_scale_arcsec: float,
        densities: Sequence[Density] | None = None,
    ) -> Self:
        """A row a field, in their order."""
        rows = [
            [(b.sky_noise_nmgy, b.nmgy_per_electron, b.psf_fwhm_arcsec, b.sky_level_nmgy) for b in bands]
            for bands in fields
        ]
        noise, electron, fwhm, level = torch.tensor(rows, dtype=torch.float32).unbind(-1)
        density = None if densities is None else torch.tensor([(one.stars, one.galaxies) for one in densities])
        return cls(noise, electron, fwhm / pixel_scale_arcsec, level, density)

    def exposed(self, noise: torch.Tensor) -> Self:
        """The same with `noise` [N, 1] or [1] times as much noise: of the sky, and of the sources' photons.

        Without any, nothing is left of the sky level either.
        """
        return self._replace(
            sky_noise_nmgy=self.sky_noise_nmgy * noise,
            nmgy_per_electron=self.nmgy_per_electron * noise**2,
            sky_level_nmgy=self.sky_level_nmgy * (noise > 0),
        )

    def take(self, indices: torch.Tensor) -> Self:
        """The rows at `indices` [n]."""
        return self._each(lambda part: part[indices])

    def to(self, device: torch.device) -> Self:
        """The same on `device`."""
        return self._each(lambda part: part.to(device))

    def _each(self, change: Callable[[torch.Tensor], torch.Tensor]) -> Self:
        density, offset = (None if part is None else change(part) for part in self[4:])
        noise, electron, fwhm, level = (change(part) for part in self[:4])
        return type(self)(noise, electron, fwhm, level, density, offset)


class Sky(NamedTuple):
    """What N tiles are observed under: their conditions, and standard normal draws [N, bands, H, W] for the noise."""

    conditions: Conditions
    draws: torch.Tensor

    def to(self, device: torch.device) -> Self:
        """The same on `device`."""
        return self._replace(conditions=self.conditions.to(device), draws=self.draws.to(device))


@dataclass(frozen=True)
class Camera:
    """What becomes of a generator's images: scenes where there is a sky to see them under, else tiles."""

    stretch: Stretch
    images_are_stretched: bool = False  # those of a convolutional generator; those of a process are in nmgy

    def stretched(self, images: torch.Tensor, sky: Sky | None) -> torch.Tensor:
        """The stretched tiles [N, bands, size, size] that a discriminator sees."""
        return images if sky is None else self.stretch.stretch(expose(self.scenes(images), sky))

    def flux(self, images: torch.Tensor, sky: Sky | None) -> torch.Tensor:
        """The tiles [N, bands, size, size] in nmgy."""
        return self.scenes(images) if sky is None else expose(self.scenes(images), sky)

    def scenes(self, images: torch.Tensor) -> torch.Tensor:
        """The images [N, bands, size, size] in nmgy, as they are without the noise of the survey."""
        return self.stretch.unstretch(images) if self.images_are_stretched else images


def camera_of(recipe: Recipe, stretch: Stretch) -> Camera:
    """How the discriminator of `recipe` sees tiles of a set whose own stretch is `stretch`."""
    if recipe.softening_nmgy is not None:
        stretch = Stretch(recipe.softening_nmgy, stretch.limit_nmgy)
    return Camera(stretch, recipe.generator == "convolutional")


def expose(scenes: torch.Tensor, sky: Sky) -> torch.Tensor:
    """Scenes [N, bands, H, W] in nmgy with the sky level, and noise of the sky and of the sources' own photons."""
    seen = sky.conditions
    variance = pixel_variance(scenes, seen.sky_noise_nmgy, seen.nmgy_per_electron)
    return scenes + seen.sky_level_nmgy[..., None, None] + variance.sqrt() * sky.draws
