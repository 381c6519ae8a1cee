"""The generator that the game trains: two marked Poisson processes, drawn as light.

A scene is a function of what chance decided (`Scatter`) and of the weights, differentiable in all of these: a point of
the processes has a rank, the number of objects of its class that are brighter, which is uniform (so are the points of
any Poisson process in its own mean), and the law turns ranks into magnitudes.
"""

from collections.abc import Sequence
from copy import deepcopy
from itertools import pairwise
from typing import Literal, NamedTuple, Self

import torch
from torch import nn

from skygen.params import Section
from skygen.process.law import GALAXY, STAR, CountsLaw
from skygen.process.light import Canvas, draw
from skygen.process.marks import GALAXY_NORMALS, STAR_NORMALS, Marks
from skygen.process.objects import ARCMIN2_A_PX, FAINT_MAG, Objects, flux_nmgy

BRIGHT_RANK = 0.5  # below which are all objects that reach into tiles from far outside: those brighter than r = 17, say
BRIGHT_MARGIN_PX, MARGIN_PX = 96, 20  # how far outside a tile objects are: the bright ones, and all others
FAINT_NMGY = 0.002  # light a pixel that may be left out: under a tenth of the survey's noise
BANDS, REFERENCE = ("g", "r", "i"), "r"
_SEEN_NMGY = 0.5  # of an object no wider than the PSF that a discriminator can see: three times the noise
_SEEING_PX2 = 2.5  # square of the half-light radius of a star


class ProcessShape(Section):
    """What a process is made of: enough to load its weights."""

    kind: Literal["process"]
    bands: list[str]  # of its network of marks, in order


class Points(NamedTuple):
    """The random numbers of n objects of one class."""

    tile: torch.Tensor  # [n] on which canvas each lies
    x: torch.Tensor  # [n] px
    y: torch.Tensor  # [n] px
    rank: torch.Tensor  # [n] objects of the class that are brighter, where one is brighter than r = 20.5
    angle: torch.Tensor  # [n]
    normals: torch.Tensor  # [n, k] standard normal, of which the network makes marks

    def of_tiles(self, share: slice) -> Self:
        """Those on canvases `share`, which count from 0 then."""
        inside = (self.tile >= share.start) & (self.tile < share.stop)
        return type(self)(*(part[inside] for part in self))._replace(tile=self.tile[inside] - share.start)

    def to(self, device: torch.device) -> Self:
        """The same on `device`."""
        return type(self)(*(part.to(device) for part in self))


class Scatter(NamedTuple):
    """All that chance decides of scenes of `side` px, and the PSF [tiles, bands] through which they are seen."""

    stars: Points
    galaxies: Points
    psf_fwhm_px: torch.Tensor
    offset_px: torch.Tensor  # [tiles, bands, 2] of each band's light, as whole-pixel registration leaves it
    side: int

    def to(self, device: torch.device) -> Self:
        """The same on `device`."""
        psf, offset = self.psf_fwhm_px.to(device), self.offset_px.to(device)
        return type(self)(self.stars.to(device), self.galaxies.to(device), psf, offset, self.side)


class Process(nn.Module):
    """Law of counts, networks of marks, and the mean light of undetected objects that sky subtraction takes away.

    That light is no weight: no gradient says as much of it as the median of a tile (`skygen.training.steering`).
    """

    background_nmgy: torch.Tensor

    def __init__(self, bands: int, reference: int) -> None:
        super().__init__()
        self.law, self.marks = CountsLaw(), Marks(bands, reference)
        self.register_buffer("background_nmgy", torch.zeros(bands))
        self.bands = bands

    @classmethod
    def of(cls, shape: ProcessShape) -> Self:
        """The process of `shape`; raises `ValueError` for bands whose colours it does not know."""
        if list(shape.bands) not in ([REFERENCE], list(BANDS)):
            raise ValueError(f"bands = {shape.bands}: a process knows the colours of g, r, i, or r alone")
        return cls(len(shape.bands), shape.bands.index(REFERENCE))

    def in_bands(self, indices: Sequence[int]) -> Self:
        """The same sky in some of its bands, or in another order."""
        some = deepcopy(self)
        some.marks.drawn = [self.marks.drawn[index] for index in indices]
        some.background_nmgy = self.background_nmgy[list(indices)].clone()
        some.bands = len(indices)
        return some

    def scatter(
        self,
        density: torch.Tensor,
        psf_fwhm_px: torch.Tensor,
        side: int,
        rng: torch.Generator,
        share: slice | None = None,
    ) -> Scatter:
        """What `rng` decides of tiles of densities [tiles, 2] an arcmin² and PSF [tiles, bands]; of those of `share`.

        The numbers of all tiles are drawn whatever `share` says.
        """
        share = slice(0, len(density)) if share is None else share
        stars, galaxies = (self._points(kind, density[:, kind], side, rng).of_tiles(share) for kind in (STAR, GALAXY))
        return Scatter(stars, galaxies, psf_fwhm_px[share], self._offsets(psf_fwhm_px.shape, rng)[share], side)

    def forward(self, scatter: Scatter) -> torch.Tensor:
        """Scenes [tiles, bands, side, side] in nmgy, without noise."""
        objects = self.objects(scatter)
        tile = torch.cat([scatter.stars.tile, scatter.galaxies.tile])
        canvas = Canvas(len(scatter.psf_fwhm_px), self.bands, scatter.side, scatter.side)
        light = draw(_learning(objects), tile, scatter.psf_fwhm_px, canvas, FAINT_NMGY, None, scatter.offset_px)
        return light - self.background_nmgy[:, None, None]

    def objects(self, scatter: Scatter) -> Objects:
        """The objects, stars first."""
        stars, galaxies = scatter.stars, scatter.galaxies
        of_stars, of_galaxies = self._magnitudes(stars.rank, STAR), self._magnitudes(galaxies.rank, GALAXY)
        colours = self.marks.star_colours(of_stars, stars.normals)
        galaxy_colours, radius, ratio, bulge = self.marks.galaxy_marks(of_galaxies, galaxies.normals)
        points = radius.new_zeros(len(stars.rank))
        magnitudes = self.marks.magnitudes(torch.cat([of_stars, of_galaxies]), torch.cat([colours, galaxy_colours]))
        return Objects(
            is_galaxy=torch.arange(len(magnitudes), device=radius.device) >= len(points),
            x=torch.cat([stars.x, galaxies.x]),
            y=torch.cat([stars.y, galaxies.y]),
            flux_nmgy=flux_nmgy(magnitudes),
            radius_px=torch.cat([points, radius]),
            axis_ratio=torch.cat([points + 1, ratio]),
            bulge_share=torch.cat([points, bulge]),
            angle=torch.cat([stars.angle, galaxies.angle]),
        )

    def _offsets(self, shape: torch.Size, rng: torch.Generator) -> torch.Tensor:
        """What whole-pixel registration on r leaves of the other bands' offsets: even over a pixel."""
        offset = torch.rand(*shape, 2, generator=rng) - 0.5
        offset[:, self.marks.reference] = 0
        return offset

    def _magnitudes(self, rank: torch.Tensor, kind: int) -> torch.Tensor:
        """Magnitudes in r by ranks: they move with the law where this gets steeper, and stay where it only goes on."""
        whole = self.law.number(FAINT_MAG)[kind]
        return self.law.magnitudes(rank / whole, kind)

    def _points(self, kind: int, density: torch.Tensor, side: int, rng: torch.Generator) -> Points:
        """Points down to the law's faint limit: how many are drawn, and all their numbers, are no matter of the law.

        Weights that differ by rounding, such as those of one process and of two, would else differ in the whole sky
        once a count does. Ranks are drawn octave by octave, from a generator of the class's own, to beyond the limit.
        """
        own = torch.Generator().manual_seed(int(torch.randint(2**62, (), generator=rng)))
        most, edges = float(self.law.number(FAINT_MAG)[kind].detach()), [0.0, BRIGHT_RANK]
        while edges[-1] < most:
            edges.append(2 * edges[-1])
        parts = [_level(kind, density, side, *limits, own) for limits in pairwise(edges)]
        points = Points(*(torch.cat(both) for both in zip(*parts, strict=True)))
        in_turn = points.tile.argsort(stable=True)  # so that a share's order, and its bits, are those of the whole
        in_turn = in_turn[points.rank[in_turn] < most]
        return Points(*(part[in_turn] for part in points))


def _level(kind: int, density: torch.Tensor, side: int, least: float, most: float, rng: torch.Generator) -> Points:
    """Points of one class with ranks between two limits, in and around tiles of densities [tiles, 2] an arcmin²."""
    margin = BRIGHT_MARGIN_PX if most <= BRIGHT_RANK else MARGIN_PX
    width = side + 2 * margin
    number = torch.poisson(density * (most - least) * width**2 * ARCMIN2_A_PX, generator=rng).long()
    tile = torch.repeat_interleave(number)
    uniform = torch.rand(4, len(tile), generator=rng)
    x, y = uniform[:2] * width - margin - 0.5
    normals = torch.randn(len(tile), (STAR_NORMALS, GALAXY_NORMALS)[kind], generator=rng)
    return Points(tile, x, y, least + uniform[2] * (most - least), uniform[3] * torch.pi, normals)


def _learning(objects: Objects) -> Objects:
    """The same objects; of those too faint to be seen as such no mark is learned.

    Together they are a texture under the noise, which a discriminator hardly sees: their radii grew without end, and
    those of all others with them.
    """
    wide = (1 + objects.radius_px**2 / _SEEING_PX2).sqrt()
    seen = (objects.flux_nmgy.amax(-1) / wide).detach() > _SEEN_NMGY

    def held(mark: torch.Tensor) -> torch.Tensor:
        return torch.where(seen.view(-1, *(1,) * (mark.dim() - 1)), mark, mark.detach())

    return Objects(objects.is_galaxy, *(held(mark) for mark in objects[1:]))
