"""Boxes of planes as pixels: their scenes, and their noise.

A pixel's light depends on the objects that reach it, in the order of their ids, and on nothing else: not on the canvas
on which it is drawn. Noise is that of its place (`skygen.process.noise`).
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Protocol, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from skygen.cores import cores, one_thread
from skygen.process.bright import halo_of
from skygen.process.cells import Boxes, Catalogue, Cells
from skygen.process.generator import FAINT_NMGY, Process
from skygen.process.light import Canvas, draw, reach_px
from skygen.process.noise import BLOCK_PX, noise
from skygen.process.objects import Objects
from skygen.process.profiles import core_px
from skygen.process.saturation import Core, full_well_nmgy, saturate, saturated_core
from skygen.sky.conditions import MOST_DENSITY
from skygen.sky.noise import pixel_variance

CANVAS_PX = 512  # most, on a side of what is drawn at once
MOST_FWHM_PX = 7.6  # of a PSF: 3 arcsec, for which the reach of objects holds (skygen.process.cells)
_PIXELS_A_PASS = 2**19  # of small boxes that are drawn at once on a core: fewer make calls, not pixels, cost time
_MOST_AT_PEAK = 0.92 / (2 * np.pi)  # of a star's flux in a pixel, where its PSF's core is 1 px wide
Part = TypeVar("Part")


class Seen(Protocol):
    """What n planes are observed under (`gan.camera.Conditions`): columns for the bands that are drawn."""

    @property
    def sky_noise_nmgy(self) -> torch.Tensor:
        """[n, bands]."""

    @property
    def nmgy_per_electron(self) -> torch.Tensor:
        """[n, bands]."""

    @property
    def psf_fwhm_px(self) -> torch.Tensor:
        """[n, bands]."""

    @property
    def sky_level_nmgy(self) -> torch.Tensor:
        """[n, bands]."""

    @property
    def offset_px(self) -> torch.Tensor | None:
        """[n, bands, 2] in x and y, of each band's light from where objects are; None where the bands are aligned."""

    @property
    def density(self) -> torch.Tensor | None:
        """[n, 2] stars and galaxies per arcmin² brighter than r = 20.5."""


class Under(NamedTuple):
    """The same as arrays, without densities."""

    sky_noise_nmgy: NDArray[np.float32]  # [n, bands]
    nmgy_per_electron: NDArray[np.float32]  # [n, bands]
    psf_fwhm_px: NDArray[np.float32]  # [n, bands]
    sky_level_nmgy: NDArray[np.float32]  # [n, bands]
    offset_px: NDArray[np.float32]  # [n, bands, 2]

    @classmethod
    def of(cls, conditions: Seen) -> Self:
        """The conditions without densities."""
        aligned = torch.zeros(*conditions.psf_fwhm_px.shape, 2)
        offset = aligned if conditions.offset_px is None else conditions.offset_px
        own = (
            conditions.sky_noise_nmgy,
            conditions.nmgy_per_electron,
            conditions.psf_fwhm_px,
            conditions.sky_level_nmgy,
        )
        parts = (*own, offset)
        if float(conditions.psf_fwhm_px.max()) > MOST_FWHM_PX:
            raise ValueError(
                f"a PSF of {float(conditions.psf_fwhm_px.max()):.3g} px; at most {MOST_FWHM_PX} px (3 arcsec)"
            )
        return cls(*(part.detach().cpu().float().numpy() for part in parts))

    def take(self, indices: NDArray[np.int64] | slice) -> Self:
        """The rows at `indices`."""
        return type(self)(*(part[indices] for part in self))


_Place = tuple[slice, slice, slice, slice]  # of a part in boxes, bands, rows and columns
_Compute = Callable[[Boxes, Under, _Place], NDArray[np.float32]]


class View:
    """A trained process ready to be drawn on a device. May be used from many threads at once.

    The catalogue is computed on the CPU whatever the device, so that it is the same to the bit.
    """

    def __init__(self, process: Process, bands: Sequence[str], device: torch.device | str = "cpu") -> None:
        if len(bands) != process.bands:
            raise ValueError(f"bands are {', '.join(bands)}; the process has {process.bands}: give one name for each")
        self.cells, self.bands, self.device = Cells(process), tuple(bands), torch.device(device)
        self.halo, self.full_well_nmgy = halo_of(self.bands), full_well_nmgy(self.bands)
        self.background_nmgy = process.background_nmgy.detach().cpu().float().numpy()  # [bands]

    def scenes(self, boxes: Boxes, under: Under) -> NDArray[np.float32]:
        """The scenes [n, bands, H, W] of boxes in nmgy without noise.

        A large box is drawn on all cores, several boxes on the calling thread alone.
        The mean light of undetected objects is taken away, as the survey's subtraction of the sky does.
        """
        return self._all(boxes, under, lambda of, seen, _: self._scenes(of, seen))

    def observed(self, boxes: Boxes, under: Under) -> NDArray[np.float32]:
        """The same with the sky level of the conditions, and the noise of the sky and of the photons of the objects."""
        return self._all(boxes, under, lambda of, seen, _: expose(self._scenes(of, seen), seen, of))

    def exposed(self, scenes: NDArray[np.float32], boxes: Boxes, under: Under) -> NDArray[np.float32]:
        """What `observed` gives, of scenes of boxes that were drawn before."""
        return self._all(boxes, under, lambda of, seen, part: expose(scenes[part], seen, of))

    def light(self, catalogue: Catalogue, boxes: Boxes, under: Under) -> NDArray[np.float32]:
        """The light [n, bands, H, W] of a catalogue."""
        canvas = Canvas(len(boxes.key), len(self.bands), boxes.height, boxes.width)
        return self.drawn(catalogue, catalogue.box, under, canvas)

    def drawn(self, catalogue: Catalogue, tile: NDArray[np.int64], under: Under, canvas: Canvas) -> NDArray[np.float32]:
        """The light of objects, each on canvas `tile` [n] of those that are seen `under` [tiles]."""
        objects = in_float32(catalogue.objects)
        places, psf, offset = map(torch.from_numpy, (tile, under.psf_fwhm_px, under.offset_px))
        with one_thread(), torch.inference_mode():
            light = draw(objects, places, psf, canvas, FAINT_NMGY, self.halo, offset, self.device)
            return np.asarray(light.cpu().numpy())

    def reach_px(self, catalogue: Catalogue, under: Under) -> NDArray[np.int64]:
        """How far [n] from their centres objects are drawn; 0 for those that are too faint to be."""
        psf = torch.from_numpy(under.psf_fwhm_px[catalogue.box])
        found = reach_px(in_float32(catalogue.objects), psf, FAINT_NMGY, self.halo)
        return np.asarray(found.long().numpy())

    def _scenes(self, boxes: Boxes, under: Under) -> NDArray[np.float32]:
        catalogue = self.cells.catalogue(boxes)
        scenes = self.light(catalogue, boxes, under)
        for box, core in self.cores(catalogue, under, boxes):
            saturate(scenes[box], core)
        return np.asarray(scenes - self.background_nmgy[:, None, None])

    def cores(self, catalogue: Catalogue, under: Under, boxes: Boxes) -> Iterator[tuple[int, Core]]:
        """The saturated cores of stars that may touch boxes, by ascending id, and the box of each."""
        objects, core = catalogue.objects, core_px(torch.from_numpy(under.psf_fwhm_px))[torch.from_numpy(catalogue.box)]
        flux, (x, y) = objects.flux_nmgy, (objects.x, objects.y)
        peak = flux * _MOST_AT_PEAK / core**2
        full = (peak > torch.tensor(self.full_well_nmgy)).any(1) & ~objects.is_galaxy
        across, along = core_reach_px(flux, self.full_well_nmgy)
        near = (x > -across) & (x < boxes.width + across) & (y > -along) & (y < boxes.height + along)
        for place in (full & near).nonzero().flatten().tolist():
            box = int(catalogue.box[place])
            psf, offset = torch.from_numpy(under.psf_fwhm_px[box]), torch.from_numpy(under.offset_px[box])
            star = objects.take(torch.tensor([place]))
            found = saturated_core(star, psf, self.full_well_nmgy, self.halo, offset)
            if found is not None:
                yield box, found

    def _all(self, boxes: Boxes, under: Under, compute: _Compute) -> NDArray[np.float32]:
        """What `compute` makes of the parts of boxes, put together."""
        image = np.empty((len(boxes.key), len(self.bands), boxes.height, boxes.width), np.float32)
        parts = list(_parts(boxes))

        def fill(part: tuple[slice, slice, slice]) -> None:
            some, rows, columns = part
            of = boxes.take(some)
            of = of._replace(
                x=of.x + columns.start,
                y=of.y + rows.start,
                width=columns.stop - columns.start,
                height=rows.stop - rows.start,
            )
            place = (some, slice(None), rows, columns)
            image[place] = compute(of, under.take(some), place)

        on_cores(fill, parts, self.device, alone=len(boxes.key) > 1)
        return image


def core_reach_px(flux_nmgy: torch.Tensor, full_well_nmgy: Sequence[float]) -> tuple[torch.Tensor, torch.Tensor]:
    """How far from stars of `flux_nmgy` [n, bands] their saturated cores reach at most, along rows and along columns.

    Farther than they do: charge runs along columns, so that this grows with the flux.
    """
    wells = (flux_nmgy / flux_nmgy.new_tensor(full_well_nmgy)).amax(-1)
    return 12 + wells.sqrt() / 2, (12 + wells / 3).clamp(max=160)


def densities(conditions: Seen, factors: tuple[float, float] = (1.0, 1.0)) -> NDArray[np.float64]:
    """The densities [n, 2] of stars and galaxies of conditions, times a user's factors."""
    if conditions.density is None:
        raise ValueError("the conditions have no densities; a process needs those of stars and galaxies")
    for name, factor in zip(("stars", "galaxies"), factors, strict=True):
        if not 0 <= factor <= MOST_DENSITY:
            raise ValueError(f"the density of {name} is {factor} times; it must be from 0 to {MOST_DENSITY:g}")
    return np.asarray(conditions.density.detach().cpu().double().numpy() * np.array(factors))


def expose(scenes: NDArray[np.float32], under: Under, boxes: Boxes) -> NDArray[np.float32]:
    """Scenes [n, bands, H, W] with their sky level and the noise of their places on planes."""
    found = np.empty_like(scenes)
    for place, (key, x, y) in enumerate(zip(boxes.key, boxes.x, boxes.y, strict=True)):
        here = slice(place, place + 1)
        deviation = np.sqrt(variance(scenes[here], under.take(here)))[0]
        level = under.sky_level_nmgy[place][:, None, None]
        np.add(scenes[place] + level, deviation * noise(key, int(x), int(y), scenes.shape[1:]), out=found[place])
    return found


def variance(scenes: NDArray[np.float32], under: Under) -> NDArray[np.float32]:
    """The variance of each pixel's noise, in nmgy²."""
    return np.asarray(pixel_variance(scenes, under.sky_noise_nmgy, under.nmgy_per_electron), np.float32)


def in_float32(objects: Objects) -> Objects:
    """The objects as they are drawn."""
    return Objects(*(part if part.dtype == torch.bool else part.float() for part in objects))


def on_cores(work: Callable[[Part], object], parts: Sequence[Part], device: torch.device, alone: bool = False) -> None:
    """Do `work` on every part: on all cores beside each other where the CPU draws, or `alone` on the calling thread."""
    threads = 1 if alone or device.type != "cpu" or len(parts) <= 1 else min(cores(), len(parts))
    if threads == 1:
        for part in parts:
            work(part)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, parts))


def _parts(boxes: Boxes) -> Iterator[tuple[slice, slice, slice]]:
    """Boxes, rows and columns of what is drawn at once: parts of a large box, or several small ones."""
    rows, columns = _edges(int(boxes.y[0]), boxes.height), _edges(int(boxes.x[0]), boxes.width)
    largest = max(part.stop - part.start for part in rows) * max(part.stop - part.start for part in columns)
    pixels = largest * len(rows) * len(columns)
    several = max(1, _PIXELS_A_PASS // pixels)
    for first in range(0, len(boxes.key), several):
        for part in rows:
            for other in columns:
                yield slice(first, min(first + several, len(boxes.key))), part, other


def _edges(first: int, size: int) -> list[slice]:
    """The parts of `size` px from `first` on that are drawn at once: they end where blocks of noise do."""
    ends = [*range(CANVAS_PX - first % BLOCK_PX, size, CANVAS_PX), size]
    return [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]
