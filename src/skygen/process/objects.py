"""What stars and galaxies are, physically: what the processes draw, and what light is drawn from."""

from typing import NamedTuple, Self

import torch

from skygen.sky.units import PIXEL_SCALE_ARCSEC, ZERO_POINT_MAG

BRIGHT_MAG, FAINT_MAG = 10.0, 25.5  # limits of the processes in r
ARCMIN2_A_PX = (PIXEL_SCALE_ARCSEC / 60) ** 2


class Objects(NamedTuple):
    """n objects, at 0-based positions in the px of a canvas: x along columns, y along rows."""

    is_galaxy: torch.Tensor  # [n] bool
    x: torch.Tensor  # [n]
    y: torch.Tensor  # [n]
    flux_nmgy: torch.Tensor  # [n, bands], total
    radius_px: torch.Tensor  # [n] that holds half the light, along the major axis; 0 for a star
    axis_ratio: torch.Tensor  # [n] in (0, 1]; 1 for a star
    bulge_share: torch.Tensor  # [n] of the flux, in a de Vaucouleurs profile; the rest in an exponential one
    angle: torch.Tensor  # [n] of the major axis, rad from x towards y

    def take(self, indices: torch.Tensor) -> Self:
        """The objects at `indices` [m], or where a mask [n] is true."""
        return type(self)(*(part[indices] for part in self))


def magnitude(flux_nmgy: torch.Tensor) -> torch.Tensor:
    """Magnitudes of fluxes in nmgy."""
    return ZERO_POINT_MAG - 2.5 * flux_nmgy.log10()


def flux_nmgy(magnitude: torch.Tensor) -> torch.Tensor:
    """Fluxes in nmgy of magnitudes."""
    return (-0.4 * 2.302585092994046 * (magnitude - ZERO_POINT_MAG)).exp()
