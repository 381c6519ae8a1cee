"""Tiles and pixels a second from a process' planes, with and without their truth, against GalSim on the same catalogue.

Times are of the CPU, so that they hold for one core whatever else runs. Usage: python -m benchmarks.plane [BUNDLE]: the
process of a bundle, or one whose marks are drawn at random from the first weights.

GalSim draws each object with PSF and profile of its own, on the stamp that skygen gives it, with the coarse settings
of the simulated survey; halo and noise are left out, which favours it.
"""

import resource
import sys
from pathlib import Path
from typing import NamedTuple

import galsim
import numpy as np
import torch

from benchmarks.limits import cpu_seconds, print_machine
from skygen.process.cells import Boxes, Catalogue
from skygen.process.generator import Process
from skygen.process.places import Rule, tiles
from skygen.process.plane import Plane
from skygen.process.truth import truth_of
from skygen.process.view import Under, View, densities
from skygen.sky.simulation.optics import Optics

BANDS = ("g", "r", "i")
FRAME = (2048, 1489)
PART_PX = 256  # side of what GalSim draws
FWHM_PX = 3.4
SNR = 10.0


class _Conditions(NamedTuple):
    sky_noise_nmgy: torch.Tensor
    nmgy_per_electron: torch.Tensor
    psf_fwhm_px: torch.Tensor
    sky_level_nmgy: torch.Tensor
    density: torch.Tensor | None
    offset_px: torch.Tensor | None = None


def main(bundle: str | None = None) -> None:
    """Print a row a tile set, one for a frame, and one for GalSim."""
    print_machine()
    process = _of_bundle(Path(bundle)) if bundle else _untrained()
    print("tiles   px  bands  placed and drawn a second of one core  with truth")
    for size, places, number in ((64, [1], 256), (128, [0, 1, 2], 64)):
        _tiles(process.in_bands(places), [BANDS[place] for place in places], size, number)
    plane = Plane(process, 7, _conditions(1, 3))
    width, height = FRAME
    drawn = cpu_seconds(lambda: plane.rectangle(0, 0, width, height), 1)
    known = cpu_seconds(lambda: plane.observed(0, 0, width, height), 1)
    pixels = width * height / 1e6
    print(f"frame of {width} x {height} in g, r, i: {pixels / drawn:.2f} Mpx a second of one core, with truth", end=" ")
    print(f"{pixels / known:.2f}; peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:.0f} MB")
    _galsim(plane)


def _tiles(process: Process, bands: list[str], size: int, number: int) -> None:
    view, seen = View(process, bands), _conditions(number, len(bands))
    under = Under.of(seen)
    seeds, indices = np.full(number, 7, np.uint64), np.arange(number)

    def placed() -> Boxes:
        rule = Rule(bands, under.sky_noise_nmgy, under.psf_fwhm_px, SNR, ["halo"])
        return tiles(view.cells, seeds, indices, size, densities(seen), rule)

    def with_truth() -> None:
        boxes = placed()
        scenes = view.scenes(boxes, under)
        view.exposed(scenes, boxes, under)
        truth_of(view, boxes, under, scenes=scenes)

    drawn, known = cpu_seconds(lambda: view.observed(placed(), under)), cpu_seconds(with_truth)
    print(f"{number:5}  {size:3}  {len(bands):5}  {number / drawn:37.0f}  {number / known:10.0f}")


def _galsim(plane: Plane) -> None:
    """Time GalSim beside skygen on the objects of one part of the plane."""
    box = plane.box(0, 0, PART_PX, PART_PX)
    catalogue = plane.view.cells.catalogue(box)
    reach = plane.view.reach_px(catalogue, plane.under)
    seen = catalogue.take(reach > 0)
    ours = cpu_seconds(lambda: plane.view.light(plane.view.cells.catalogue(box), box, plane.under))
    theirs = cpu_seconds(lambda: _draw_by_galsim(seen, reach[reach > 0]), 1)
    print(
        f"{len(seen.box)} objects of {PART_PX} x {PART_PX} px in g, r, i: skygen {ours:.3f} s, catalogue included;",
        end=" ",
    )
    print(f"GalSim {theirs:.3f} s, {theirs / ours:.0f} times as long")


def _draw_by_galsim(catalogue: Catalogue, reach: np.ndarray[tuple[int], np.dtype[np.int64]]) -> None:
    psf = Optics(FWHM_PX, galsim.Shear(), (0.0, 1.0), 0.0).psf
    canvas = galsim.ImageF(galsim.BoundsI(0, PART_PX - 1, 0, PART_PX - 1))
    objects = catalogue.objects
    for band in range(len(BANDS)):
        columns = (objects.x, objects.y, objects.flux_nmgy[:, band], objects.radius_px, objects.axis_ratio)
        marks = zip(
            *(part.tolist() for part in (*columns, objects.bulge_share, objects.angle)), reach.tolist(), strict=True
        )
        for x, y, flux, radius, ratio, bulge, angle, half in marks:
            profile = psf.withFlux(flux)
            if radius:
                whole = radius * ratio**0.5
                disc = galsim.Exponential(half_light_radius=whole, flux=flux * (1 - bulge))
                light = disc + galsim.DeVaucouleurs(half_light_radius=whole, flux=flux * bulge)
                profile = galsim.Convolve(light.shear(q=ratio, beta=angle * galsim.radians), psf)
            corner_x, corner_y = round(x) - half, round(y) - half
            bounds = galsim.BoundsI(corner_x, corner_x + 2 * half - 1, corner_y, corner_y + 2 * half - 1)
            common = bounds & canvas.bounds
            if common.isDefined():
                stamp = profile.drawImage(bounds=bounds, scale=1.0, center=galsim.PositionD(x, y))
                canvas[common] += stamp[common]


def _conditions(n: int, bands: int) -> _Conditions:
    noise = torch.tensor([[0.017, 0.028, 0.047]] if bands > 1 else [[0.028]]).repeat(n, 1)
    fwhm, density = torch.full((n, bands), FWHM_PX), torch.tensor([[1.8, 1.0]]).repeat(n, 1)
    return _Conditions(noise, torch.full((n, bands), 0.001), fwhm, torch.zeros(n, bands), density)


def _untrained() -> Process:
    process = Process(len(BANDS), BANDS.index("r"))
    process.marks.initialise(torch.Generator().manual_seed(0))
    return process


def _of_bundle(folder: Path) -> Process:
    from skygen.gan.card import load_generator

    _, process = load_generator(folder)
    if not isinstance(process, Process):
        raise TypeError(f"{folder} holds no process")
    return process


if __name__ == "__main__":
    main(*sys.argv[1:])
