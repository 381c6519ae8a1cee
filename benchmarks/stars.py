"""The light of real stars by distance beside the PSF that the process draws.

python -m benchmarks.stars FOLDER_OF_REAL_FRAMES
"""

import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from skygen.process.bright import halo_of
from skygen.process.light import Canvas, draw
from skygen.process.objects import Objects
from skygen.sky.frame import read_frame
from skygen.sky.inspection.detection import detect
from skygen.sky.inspection.psf import centre, choose_stars, measure_psf
from skygen.sky.noise import pixel_noise
from skygen.sky.units import PIXEL_SCALE_ARCSEC

EDGES_PX = (0, 1, 2, 3, 4, 5, 6, 8, 10, 13, 17, 22, 30)
INSIDE_PX = 8.0  # in which both have the same flux
FAR_PX = 31
UNSATURATED_NMGY = 100.0  # of the brightest pixel
STARS = 25  # the brightest


def main() -> None:
    """A row a frame: FWHM, stars, and real light over drawn light in each ring."""
    print("frame".ljust(22), "FWHM  n ", *(f"{inner}-{outer}".rjust(6) for inner, outer in _rings()))
    rows: dict[str, list[NDArray[np.float64]]] = {band: [] for band in "gri"}
    for path in sorted(Path(sys.argv[1]).glob("frame-[gri]-*.fits.bz2")):
        band = path.name[6]
        image = read_frame(path).flux_nmgy
        stars = choose_stars(detect(image, float(pixel_noise(image)), 10.0), image.shape)
        psf = measure_psf(image, stars["x"], stars["y"])
        if psf is None:
            continue
        x, y, good = centre(image, stars["x"], stars["y"])
        pairs: list[tuple[NDArray[np.float64] | None, ...]] = []
        for at_x, at_y in zip(x[good], y[good], strict=True):
            real = _rings_of(image, at_x, at_y)
            place = 50 + at_x % 1, 50 + at_y % 1  # rings hold the same pixels then
            if real is not None and len(pairs) < STARS:
                pairs.append((real, _rings_of(_drawn(psf.fwhm_arcsec / PIXEL_SCALE_ARCSEC, band, *place), *place)))
        real, drawn = np.median(np.array(pairs, dtype=np.float64), axis=0)
        rows[band].append(real / drawn)
        print(path.name[:21].ljust(22), f"{psf.fwhm_arcsec:.2f} {len(pairs):2}", _line(rows[band][-1]), flush=True)
    for band, ratios in rows.items():
        if ratios:
            print(f"median {band}".ljust(31), _line(np.median(ratios, axis=0)))


def _rings() -> list[tuple[int, int]]:
    return list(pairwise(EDGES_PX))


def _line(values: NDArray[np.float64]) -> str:
    return " ".join(f"{value:6.2f}" for value in values)


def _rings_of(image: NDArray[np.floating], x: float, y: float) -> NDArray[np.float64] | None:
    """Median light a pixel in each ring, over the flux inside; None at an edge or where the star saturates."""
    column, row = round(x), round(y)
    part = image[max(row - FAR_PX, 0) : row + FAR_PX + 1, max(column - FAR_PX, 0) : column + FAR_PX + 1]
    if part.shape != (2 * FAR_PX + 1, 2 * FAR_PX + 1) or part.max() > UNSATURATED_NMGY:
        return None
    dy, dx = np.mgrid[-FAR_PX : FAR_PX + 1, -FAR_PX : FAR_PX + 1]
    distance = np.hypot(dx + column - x, dy + row - y)
    light = [float(np.median(part[(distance >= inner) & (distance < outer)])) for inner, outer in _rings()]
    return np.array(light) / float(part[distance < INSIDE_PX].sum())


def _drawn(fwhm_px: float, band: str, x: float, y: float) -> NDArray[np.float64]:
    one, none = torch.ones(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    star = Objects(none > 0, x * one, y * one, one[:, None], none, one, none, none)
    fwhm = torch.tensor([[fwhm_px]], dtype=torch.float64)
    place = torch.zeros(1, dtype=torch.long)
    image: NDArray[np.float64] = draw(star, place, fwhm, Canvas(1, 1, 101, 101), 1e-7, halo_of(band))[0, 0].numpy()
    return image


if __name__ == "__main__":
    main()
