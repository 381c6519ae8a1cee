"""What a network draws of an object beside its place and magnitude: its colours, and a galaxy's size and shape.

Every output is physical and bounded: colours in mag, half-light radius in arcsec, axis ratio, share of the bulge.
"""

import torch
from torch import nn

from skygen.process.objects import PIXEL_SCALE_ARCSEC

STAR_NORMALS, GALAXY_NORMALS = 4, 8  # normal variates an object
HIDDEN = 32
COLOUR_MAG = (-0.6, 2.4)  # least and most of each colour
RADIUS_ARCSEC = (0.08, 15.0)
AXIS_RATIO = (0.12, 1.0)
_LEAK = 0.2


def _network(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, HIDDEN), nn.LeakyReLU(_LEAK), nn.Linear(HIDDEN, HIDDEN), nn.LeakyReLU(_LEAK),
        nn.Linear(HIDDEN, outputs),
    )  # fmt: skip


def _between(value: torch.Tensor, limits: tuple[float, float]) -> torch.Tensor:
    return limits[0] + (limits[1] - limits[0]) * value.sigmoid()


def _scaled(magnitude: torch.Tensor) -> torch.Tensor:
    return (magnitude - 20) / 3


class Marks(nn.Module):
    """The networks of both classes. `bands` in order; colours are differences of neighbouring bands, r the anchor."""

    def __init__(self, bands: int, reference: int) -> None:
        super().__init__()
        self.bands, self.reference = bands, reference
        self.drawn = list(range(bands))  # of which magnitudes are given
        self.stars = _network(1 + STAR_NORMALS, max(bands - 1, 1))
        self.galaxies = _network(1 + GALAXY_NORMALS, bands - 1 + 3)

    def star_colours(self, magnitude: torch.Tensor, normals: torch.Tensor) -> torch.Tensor:
        """Colours [n, bands - 1] in mag of stars of magnitudes [n] in r, by their `normals` [n, 4]."""
        found = self.stars(torch.cat([_scaled(magnitude)[:, None], normals], -1))
        return _between(found[:, : self.bands - 1], COLOUR_MAG)

    def galaxy_marks(
        self, magnitude: torch.Tensor, normals: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Colours [n, bands - 1], half-light radii in px, axis ratios and bulge shares [n], by `normals` [n, 8]."""
        found = self.galaxies(torch.cat([_scaled(magnitude)[:, None], normals], -1))
        colours, (radius, ratio, bulge) = found[:, : self.bands - 1], found[:, self.bands - 1 :].unbind(-1)
        least, most = RADIUS_ARCSEC
        arcsec = least * (most / least) ** (radius - 1.0).sigmoid()
        return (
            _between(colours, COLOUR_MAG),
            arcsec / PIXEL_SCALE_ARCSEC,
            _between(ratio, AXIS_RATIO),
            bulge.sigmoid(),
        )

    def magnitudes(self, magnitude: torch.Tensor, colours: torch.Tensor) -> torch.Tensor:
        """Magnitudes [n, drawn bands] from those in r and colours [n, bands - 1] of neighbouring bands."""
        before, after = colours[:, : self.reference], colours[:, self.reference :]
        bluer = magnitude[:, None] + before.flip(-1).cumsum(-1).flip(-1)
        redder = magnitude[:, None] - after.cumsum(-1)
        return torch.cat([bluer, magnitude[:, None], redder], -1)[:, self.drawn]

    def initialise(self, rng: torch.Generator) -> None:
        """Draw the first weights: of every output the values have a standard deviation near 1, so that objects differ.

        With torch's own (0.2) all began alike, and colours and shapes were learned no further apart than fields are.
        """
        for network in (self.stars, self.galaxies):
            layers = [layer for layer in network if isinstance(layer, nn.Linear)]
            for layer in layers:
                gain = 2 / (1 + _LEAK**2) if layer is not layers[-1] else 1.0
                nn.init.normal_(layer.weight, 0.0, (gain / layer.in_features) ** 0.5, generator=rng)
                nn.init.zeros_(layer.bias)
