"""What only bright stars show: the glow of light in the CCD, and the cross of diffraction spikes."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch

from skygen.sky.spread import GLOW, SPIKE_SCALE_PX, SPIKE_SHARE

_NEAR2_PX2 = 1e-4  # keeps the gradient finite at a star's own place


class Halo(NamedTuple):
    """Light of a star beyond that of its PSF, in shares of its flux: glow, and spikes along rows and columns."""

    glow_share: torch.Tensor  # [bands]
    glow_scale_px: torch.Tensor  # [bands]


def halo_of(bands: Sequence[str]) -> Halo:
    """The halo that the survey's stars have in `bands`; glow was measured in g, r and i alone."""
    unknown = [band for band in bands if band not in GLOW]
    if unknown:
        raise ValueError(f"bands = {list(bands)}: no glow is known in {unknown}; allowed are {list(GLOW)}")
    shares, scales = zip(*(GLOW[band] for band in bands), strict=True)
    return Halo(torch.tensor(shares, dtype=torch.float64), torch.tensor(scales, dtype=torch.float64))


def glow_at(dx: torch.Tensor, dy: torch.Tensor, halo: Halo) -> torch.Tensor:
    """Glow a pixel [n, bands, h, w] of stars of flux 1 at distances dx [n, w] and dy [n, h] in px."""
    share, scale = (part.to(dx)[:, None, None] for part in halo)
    distance = (dx[:, None, :] ** 2 + dy[:, :, None] ** 2 + _NEAR2_PX2).sqrt()[:, None]
    return (distance * (-math.log2(math.e) / scale)).exp2() * (share / (2 * torch.pi * scale**2))


def arms_at(distance: torch.Tensor, core: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """How the light of an arm falls [n, bands, l] along it and across it, at distances [n, l]; core [n, bands].

    An arm has the product of both, times `SPIKE_SHARE`.
    """
    along = (-distance.abs() / SPIKE_SCALE_PX).exp()[:, None]
    across = (-((distance[:, None] / core[..., None]) ** 2) / 2).exp()
    return along.expand_as(across), across


def halo_ring(radius_px: torch.Tensor, halo: Halo) -> torch.Tensor:
    """The most light a pixel [bands, r] of a star of flux 1 at distances [r] from it: on an arm of the cross."""
    share, scale = (part.to(radius_px)[:, None] for part in halo)
    return (
        share / (2 * torch.pi * scale**2) * (-radius_px / scale).exp()
        + SPIKE_SHARE * (-radius_px / SPIKE_SCALE_PX).exp()
    )
