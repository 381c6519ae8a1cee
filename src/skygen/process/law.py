"""How many stars and galaxies there are of each magnitude in r: piecewise power laws."""

import math

import torch
from torch import nn

from skygen.process.objects import BRIGHT_MAG, FAINT_MAG
from skygen.sky.conditions import DENSITY_MAG

KNOTS_MAG = (BRIGHT_MAG, 14.0, 17.0, 19.0, DENSITY_MAG, 22.0, 23.5, FAINT_MAG)
# Logarithms of objects a magnitude at the knots, at the start: near the survey's counts at high latitude.
STARS = (-0.54, 0.56, 1.01, 1.31, 1.54, 1.82, 2.1, 2.3)
GALAXIES = (-2.77, -0.95, 0.42, 1.33, 1.95, 2.53, 3.18, 3.75)
STAR, GALAXY = 0, 1
_LN10 = math.log(10)
_LEAST_SLOPE = 1e-6


class CountsLaw(nn.Module):
    """Counts of the two classes: log10 of the objects a magnitude is linear between the knots.

    Normalised so that one object is brighter than r = 20.5: times a field's density it gives objects per arcmin².
    """

    knots: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.log_counts = nn.Parameter(torch.tensor([STARS, GALAXIES]))  # [2, knots]
        self.register_buffer("knots", torch.tensor(KNOTS_MAG), persistent=False)

    def number(self, magnitude: float) -> torch.Tensor:
        """How many of each class [2] are brighter than `magnitude` in r, where one is brighter than 20.5."""
        return self._at(torch.full((2,), magnitude, dtype=self.knots.dtype, device=self.knots.device))

    def magnitudes(
        self, share: torch.Tensor, kind: int, bright: float = BRIGHT_MAG, faint: float = FAINT_MAG
    ) -> torch.Tensor:
        """The magnitudes below which `share` [n] in [0, 1] of one class' objects between two limits lie: its quantiles.

        Differentiable by the law's counts.
        """
        least, most = self.number(bright)[kind], self.number(faint)[kind]
        cumulative, counts, slopes = (part[kind] for part in self.segments())
        wanted = least + share * (most - least)
        segment = torch.searchsorted(cumulative.detach(), wanted.detach(), right=True).sub(1).clamp(0, len(slopes) - 1)
        slope = slopes[segment]
        return self.knots[segment] + ((wanted - cumulative[segment]) * slope / counts[segment]).log1p() / slope

    def segments(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Numbers brighter than each knot [2, knots], counts at the knots [2, knots], natural slopes [2, knots - 1]."""
        widths = self.knots.diff()
        slopes = self.log_counts.diff() / widths * _LN10
        slopes = torch.where(slopes.abs() < _LEAST_SLOPE, torch.full_like(slopes, _LEAST_SLOPE), slopes)
        counts = (self.log_counts * _LN10).exp()
        parts = counts[:, :-1] * (slopes * widths).expm1() / slopes
        cumulative = torch.cat([torch.zeros_like(parts[:, :1]), parts.cumsum(-1)], -1)
        one = cumulative[:, KNOTS_MAG.index(DENSITY_MAG)][:, None]
        return cumulative / one, counts / one, slopes

    def _at(self, magnitude: torch.Tensor) -> torch.Tensor:
        cumulative, counts, slopes = self.segments()
        segment = torch.searchsorted(self.knots, magnitude, right=True).sub(1).clamp(0, slopes.shape[1] - 1)
        kind = torch.arange(2, device=magnitude.device)
        slope, above = slopes[kind, segment], magnitude - self.knots[segment]
        return cumulative[kind, segment] + counts[kind, segment] * (slope * above).expm1() / slope
