"""The generator that the game trains: two marked Poisson processes, drawn as light."""

import torch
from torch import nn

from skygen.process.law import GALAXY, STAR, CountsLaw
from skygen.process.light import Canvas, draw
from skygen.process.marks import GALAXY_NORMALS, STAR_NORMALS, Marks
from skygen.process.objects import ARCMIN2_A_PX, FAINT_MAG, Objects, flux_nmgy


class Process(nn.Module):
    """Law of counts, networks of marks, and the light of undetected objects that sky subtraction takes away."""

    def __init__(self, bands: int, reference: int) -> None:
        super().__init__()
        self.law, self.marks = CountsLaw(), Marks(bands, reference)
        self.background_nmgy = nn.Parameter(torch.zeros(bands))
        self.bands = bands

    def scatter(self, density: torch.Tensor, side: int, margin: int, rng: torch.Generator) -> tuple[Objects, torch.Tensor]:
        """Objects on canvases of `side` px and `margin` around, for densities [tiles, 2]; and each one's canvas."""
        area = (side + 2 * margin) ** 2 * ARCMIN2_A_PX
        parts, tiles = [], []
        for kind in (STAR, GALAXY):
            mean = density[:, kind] * area * self.law.number(FAINT_MAG)[kind].detach()
            number = torch.poisson(mean, generator=rng).long()
            tile = torch.repeat_interleave(torch.arange(len(density)), number)
            n = len(tile)
            place = torch.rand(2, n, generator=rng) * (side + 2 * margin) - margin - 0.5
            magnitude = self.law.magnitudes(torch.rand(n, generator=rng), kind)
            angle = torch.rand(n, generator=rng) * torch.pi
            if kind == STAR:
                colours = self.marks.star_colours(magnitude, torch.randn(n, STAR_NORMALS, generator=rng))
                radius, ratio, bulge = torch.zeros(n), torch.ones(n), torch.zeros(n)
            else:
                colours, radius, ratio, bulge = self.marks.galaxy_marks(
                    magnitude, torch.randn(n, GALAXY_NORMALS, generator=rng)
                )
            flux = flux_nmgy(self.marks.magnitudes(magnitude, colours))
            kinds = torch.full((n,), kind == GALAXY)
            parts.append(Objects(kinds, place[0], place[1], flux, radius, ratio, bulge, angle))
            tiles.append(tile)
        return Objects(*(torch.cat(both) for both in zip(*parts, strict=True))), torch.cat(tiles)

    def forward(
        self, density: torch.Tensor, psf_fwhm_px: torch.Tensor, side: int, rng: torch.Generator, margin: int = 16
    ) -> torch.Tensor:
        """Scenes [tiles, bands, side, side] in nmgy."""
        objects, tile = self.scatter(density, side, margin, rng)
        canvas = Canvas(len(density), self.bands, side, side)
        return draw(objects, tile, psf_fwhm_px, canvas, 0.002) - self.background_nmgy[:, None, None]
