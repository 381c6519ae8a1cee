"""What only bright stars show: the glow of light in the CCD, and the cross of diffraction spikes."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch

from skygen.sky.spread import GLOW, SPIKE_SCALE_PX, SPIKE_SHARE

_NEAR2_PX2 = 1e-4  # keeps the gradient finite at a star's own place


class Halo(NamedTuple):
    """Light of a star beyond that of its PSF, in shares of its flux: glow and spikes."""

    glow_share: torch.Tensor  # [bands]
    glow_scale_px: torch.Tensor  # [bands]
    spike_angle: float  # of one arm of the cross, rad from x towards y


def halo_of(bands: Sequence[str], spike_angle: float) -> Halo:
    """The halo that the survey's stars have in `bands`; glow was measured in g, r and i alone."""
    unknown = [band for band in bands if band not in GLOW]
    if unknown:
        raise ValueError(f"bands = {list(bands)}: no glow is known in {unknown}; allowed are {list(GLOW)}")
    shares, scales = zip(*(GLOW[band] for band in bands), strict=True)
    return Halo(torch.tensor(shares, dtype=torch.float64), torch.tensor(scales, dtype=torch.float64), spike_angle)


def halo_at(dx: torch.Tensor, dy: torch.Tensor, core: torch.Tensor, halo: Halo) -> torch.Tensor:
    """Light a pixel [n, bands, h, w] of stars of flux 1 at distances dx [n, w] and dy [n, h] in px; core [n, bands]."""
    share, scale = (part.to(dx)[:, None, None] for part in halo[:2])
    distance = (dx[:, None, :] ** 2 + dy[:, :, None] ** 2 + _NEAR2_PX2).sqrt()[:, None]
    light = share / (2 * torch.pi * scale**2) * (-distance / scale).exp()
    for angle in (halo.spike_angle, halo.spike_angle + math.pi / 2):
        cos, sin = math.cos(angle), math.sin(angle)
        along = (dx * cos)[:, None, :] + (dy * sin)[:, :, None]
        across = (dy * cos)[:, :, None] - (dx * sin)[:, None, :]
        fading = (-along.abs() / SPIKE_SCALE_PX)[:, None]
        light = light + SPIKE_SHARE * (fading - (across[:, None] / core[..., None, None]) ** 2 / 2).exp()
    return light


def halo_ring(radius_px: torch.Tensor, halo: Halo) -> torch.Tensor:
    """The most light a pixel [bands, r] of a star of flux 1 at distances [r] from it: on an arm of the cross."""
    share, scale = (part.to(radius_px)[:, None] for part in halo[:2])
    return (
        share / (2 * torch.pi * scale**2) * (-radius_px / scale).exp()
        + SPIKE_SHARE * (-radius_px / SPIKE_SCALE_PX).exp()
    )
