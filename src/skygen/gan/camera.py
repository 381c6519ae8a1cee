"""How the camera sees what a generator paints: the point-spread function, the noise, and the stretch.

A generator without a noise model paints stretched tiles, noise and all. One with it paints the scene, free of noise
and on a canvas a little larger than the tile; the scene is blurred by the tile's own PSF, cropped, and noise is added
before anything is compared with real tiles, as AmbientGAN does for measurements (Bora et al. 2018, openreview
Hy7fDog0b).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import torch
from torch.nn import functional

from skygen.gan.networks import GeneratorShape
from skygen.gan.recipes import Recipe
from skygen.sky.conditions import Density, FieldConditions
from skygen.sky.stretch import Stretch

KERNEL_PX = 17  # side of the PSF's image: at 3 px FWHM it holds 0.97 of the light
MARGIN_PX = KERNEL_PX // 2  # of the canvas on each side of the tile
BETA = 3.0  # of the Moffat profile
FADE_PX = 5.0  # radius where its image begins to fade


class Conditions(NamedTuple):
    """The conditions of N tiles (or fields), each [N, bands]."""

    sky_noise_nmgy: torch.Tensor
    nmgy_per_electron: torch.Tensor
    psf_fwhm_px: torch.Tensor
    density: torch.Tensor | None = None

    @classmethod
    def of_fields(
        cls, fields: Sequence[FieldConditions], pixel_scale_arcsec: float, densities: Sequence[Density] | None = None
    ) -> Self:
        """A row a field, in their order."""
        density = None if densities is None else torch.tensor([(each.stars, each.galaxies) for each in densities])
        rows = [[(b.sky_noise_nmgy, b.nmgy_per_electron, b.psf_fwhm_arcsec) for b in bands] for bands in fields]
        noise, electron, fwhm = torch.tensor(rows, dtype=torch.float32).unbind(-1)
        return cls(noise, electron, fwhm / pixel_scale_arcsec, density)

    def exposed(self, noise: torch.Tensor) -> Self:
        """The same with `noise` [N, 1] or [1] times as much noise: of the sky, and of the sources' photons."""
        return self._replace(
            sky_noise_nmgy=self.sky_noise_nmgy * noise, nmgy_per_electron=self.nmgy_per_electron * noise**2
        )

    def take(self, indices: torch.Tensor) -> Self:
        """The rows at `indices` [n]."""
        return type(self)(*(None if part is None else part[indices] for part in self))

    def to(self, device: torch.device) -> Self:
        """The same on `device`."""
        return type(self)(*(None if part is None else part.to(device) for part in self))


class Sky(NamedTuple):
    """What N tiles are observed under: their conditions, and standard normal draws [N, bands, H, W] for the noise."""

    conditions: Conditions
    draws: torch.Tensor

    def to(self, device: torch.device) -> Self:
        """The same on `device`."""
        return self._replace(conditions=self.conditions.to(device), draws=self.draws.to(device))


@dataclass(frozen=True)
class Camera:
    """What becomes of a generator's images. `noise`: they are scenes; `psf_share`: before the PSF, on a canvas.

    The kernel's FWHM is `psf_share` times the tile's: a source between two pixels is painted over both, and so is
    broader than a point before it is blurred.
    """

    stretch: Stretch
    noise: bool
    psf_share: float | None

    def stretched(self, images: torch.Tensor, sky: Sky | None) -> torch.Tensor:
        """The stretched tiles [N, bands, size, size] that a discriminator sees."""
        return self.stretch.stretch(self.flux(images, sky)) if sky is not None else images

    def flux(self, images: torch.Tensor, sky: Sky | None) -> torch.Tensor:
        """The tiles [N, bands, size, size] in nmgy."""
        flux = self.stretch.unstretch(images)
        if sky is None:
            return flux
        if self.psf_share is not None:
            flux = blur(flux, moffat(sky.conditions.psf_fwhm_px * self.psf_share))
        return expose(flux, sky)


def camera_of(recipe: Recipe, stretch: Stretch) -> Camera:
    """How the discriminator of `recipe` sees tiles of a set whose own stretch is `stretch`."""
    if recipe.softening_nmgy is not None:
        stretch = Stretch(recipe.softening_nmgy, stretch.limit_nmgy)
    return Camera(stretch, recipe.noise == "survey", recipe.psf_share)


def generator_shape(recipe: Recipe, size: int, bands: int, width: int) -> GeneratorShape:
    """The generator of `recipe` for tiles of `size` px."""
    canvas = size if recipe.psf_share is None else size + 2 * MARGIN_PX
    return GeneratorShape(
        canvas=canvas,
        bands=bands,
        width=width,
        latent_size=recipe.latent_size,
        norm=recipe.norm,
        last=recipe.last,
        colour_scale=recipe.colour_scale,
    )


def moffat(fwhm_px: torch.Tensor) -> torch.Tensor:
    """Moffat profiles of beta 3 and the FWHM [...] as images [..., 17, 17] that add up to 1 (Moffat 1969, A&A 3, 455).

    From 5 px on they fade to 0 at 8.5 px, so that a bright star shows no square; its wings are left to the painter.
    """
    offset = torch.arange(KERNEL_PX, device=fwhm_px.device, dtype=fwhm_px.dtype) - MARGIN_PX
    r2 = offset[:, None] ** 2 + offset**2
    core2 = (fwhm_px / 2) ** 2 / (2 ** (1 / BETA) - 1)
    fade = ((r2.sqrt() - FADE_PX) / (KERNEL_PX / 2 - FADE_PX)).clamp(0, 1) * math.pi / 2
    spread = 1 + r2 / core2[..., None, None]
    # Products, not a power: torch's rounds otherwise at an array's end, so that a kernel's bits hung on its neighbours.
    profile = fade.cos() ** 2 / (spread * spread * spread)
    return profile / profile.sum((-2, -1), keepdim=True)


def blur(scenes: torch.Tensor, kernels: torch.Tensor) -> torch.Tensor:
    """Scenes [N, bands, H, W] convolved with kernels [N, bands, k, k], where these lie inside: [.., H-k+1, W-k+1]."""
    tiles, bands, height, width = scenes.shape
    planes = scenes.reshape(1, tiles * bands, height, width)
    seen = functional.conv2d(planes, kernels.reshape(-1, 1, *kernels.shape[-2:]), groups=tiles * bands)
    return seen.reshape(tiles, bands, *seen.shape[-2:])


def expose(scenes: torch.Tensor, sky: Sky) -> torch.Tensor:
    """Scenes [N, bands, H, W] in nmgy with noise: of the sky, and of the photons of the sources themselves.

    The variance of a pixel is sky noise² + max(scene, 0) · nmgy_per_electron: electrons are counted, and a count's
    variance is its mean.
    """
    noise, electron, _ = (part[:, :, None, None] for part in sky.conditions[:3])
    return scenes + (noise**2 + scenes.clamp(min=0) * electron).sqrt() * sky.draws
