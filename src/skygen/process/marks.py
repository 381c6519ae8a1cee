"""What is drawn of an object beside its place and magnitude: its colours, and a galaxy's size and shape.

A mark is a plain law of normal variates and of the magnitude, near what the survey has at high latitude, and what a
network adds to it, within bounds. Without the laws a training began with objects of all colours and sizes, and ended
where discriminators see least: at the edges of what is allowed. All is in mag, arcsec and shares.
"""

import torch
from torch import nn
from torch.nn.functional import softplus

from skygen.sky.units import PIXEL_SCALE_ARCSEC

STAR_NORMALS, GALAXY_NORMALS = 4, 8  # normal variates an object
HIDDEN = 32

STAR_SPAN_MAG, GALAXY_SPAN_MAG = (0.3, 0.2), (0.4, 0.15)  # most that the network adds to a colour
# Magnitude in r, and the logarithm of the typical half-light radius in arcsec; straight between these.
SIZES = ((14.0, 1.40), (17.5, 0.92), (19.5, 0.47), (20.5, 0.08), (25.5, -1.2))
SIZE_SCATTER, SIZE_SPAN = 0.42, 0.7  # of that logarithm, and what the network adds at most
# Least and most of all marks: what the laws and the network say beyond them counts as these.
COLOUR_MAG, RADIUS_ARCSEC, AXIS_RATIO = (-0.6, 2.4), (0.08, 15.0), (0.12, 1.0)
SHAPE_SPAN = 2.0  # what the network adds at most to the logit of axis ratio and bulge share
FIRST_STD = 0.3  # of what the network adds at first
_LEAK = 0.2


class Marks(nn.Module):
    """The networks of both classes. `bands` in order; colours are differences of neighbouring bands, r the anchor."""

    def __init__(self, bands: int, reference: int) -> None:
        super().__init__()
        self.bands, self.reference = bands, reference
        self.drawn = list(range(bands))  # of which magnitudes are given
        self.stars = _network(1 + STAR_NORMALS, max(bands - 1, 1))
        self.galaxies = _network(1 + GALAXY_NORMALS, bands - 1 + 3)

    def star_colours(self, magnitude: torch.Tensor, normals: torch.Tensor) -> torch.Tensor:
        """Colours [n, bands - 1] in mag of stars of magnitudes [n] in r, by their `normals` [n, 4].

        Stars lie on one locus (Covey et al. 2007, doi:10.1086/522052): g - r rises to 1.45, and r - i goes on from
        there; faint ones are redder.
        """
        found = self.stars(torch.cat([_scaled(magnitude)[:, None], normals], -1))[:, : self.bands - 1]
        along = normals[:, 0] + 0.25 * (magnitude - 19.0).clamp(-4.0, 3.0)
        rise = (1.5 * along + 0.4).sigmoid()
        cold = (softplus(3 * (along - 0.6)) / 3).clamp(max=1.5)
        return _colours((0.25 + 1.2 * rise, 0.08 + 0.3 * rise + cold), found, STAR_SPAN_MAG)

    def galaxy_marks(
        self, magnitude: torch.Tensor, normals: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Colours [n, bands - 1], half-light radii in px, axis ratios and bulge shares [n], by `normals` [n, 8]."""
        found = self.galaxies(torch.cat([_scaled(magnitude)[:, None], normals], -1))
        red, size, round_, bulging, apart = normals[:, :5].unbind(-1)
        colours, (radius, ratio, bulge) = found[:, : self.bands - 1], found[:, self.bands - 1 :].unbind(-1)
        plain = (0.95 + 0.38 * red, 0.45 + 0.12 * red + 0.08 * apart)
        arcsec = (typical_size(magnitude) + SIZE_SCATTER * size + _bounded(radius, SIZE_SPAN)).exp()
        arcsec = arcsec.clamp(*RADIUS_ARCSEC)
        least, most = AXIS_RATIO
        return (
            _colours(plain, colours, GALAXY_SPAN_MAG),
            arcsec / PIXEL_SCALE_ARCSEC,
            least + (most - least) * (1.3 * round_ + _bounded(ratio, SHAPE_SPAN)).sigmoid(),
            (1.5 * bulging - 0.5 + _bounded(bulge, SHAPE_SPAN)).sigmoid(),
        )

    def magnitudes(self, magnitude: torch.Tensor, colours: torch.Tensor) -> torch.Tensor:
        """Magnitudes [n, drawn bands] from those in r and colours [n, bands - 1] of neighbouring bands."""
        before, after = colours[:, : self.reference], colours[:, self.reference :]
        bluer = magnitude[:, None] + before.flip(-1).cumsum(-1).flip(-1)
        redder = magnitude[:, None] - after.cumsum(-1)
        return torch.cat([bluer, magnitude[:, None], redder], -1)[:, self.drawn]

    def initialise(self, rng: torch.Generator) -> None:
        """Draw the first weights: what the networks add is small beside the laws' own scatter."""
        for network in (self.stars, self.galaxies):
            layers = [layer for layer in network if isinstance(layer, nn.Linear)]
            for layer in layers:
                gain = 2 / (1 + _LEAK**2) if layer is not layers[-1] else FIRST_STD**2
                nn.init.normal_(layer.weight, 0.0, (gain / layer.in_features) ** 0.5, generator=rng)
                nn.init.zeros_(layer.bias)


def typical_size(magnitude: torch.Tensor) -> torch.Tensor:
    """The logarithm of the typical half-light radius in arcsec of galaxies of magnitudes [n] in r."""
    at, value = magnitude.new_tensor(SIZES).T.contiguous().unbind()
    after = torch.searchsorted(at, magnitude.detach().contiguous()).clamp(1, len(at) - 1)
    slope = (value[after] - value[after - 1]) / (at[after] - at[after - 1])
    return value[after] + slope * (magnitude - at[after])


def _network(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, HIDDEN), nn.LeakyReLU(_LEAK), nn.Linear(HIDDEN, HIDDEN), nn.LeakyReLU(_LEAK),
        nn.Linear(HIDDEN, outputs),
    )  # fmt: skip


def _colours(plain: tuple[torch.Tensor, ...], found: torch.Tensor, span: tuple[float, ...]) -> torch.Tensor:
    """Colours [n, bands - 1] from the laws' and what a network `found`."""
    number = found.shape[1]
    if not number:
        return found
    colours = torch.stack(plain, -1)[:, :number] + _bounded(found, found.new_tensor(span)[:number])
    return colours.clamp(*COLOUR_MAG)


def _bounded(value: torch.Tensor, span: torch.Tensor | float) -> torch.Tensor:
    """`value` where it is small, and at most `span` either way."""
    return span * (value / span).tanh()


def _scaled(magnitude: torch.Tensor) -> torch.Tensor:
    return (magnitude - 20) / 3
