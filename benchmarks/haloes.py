"""The share of places that the halo of a star outside spoils: by truth, by the survey's inspection, and in real fields.

python -m benchmarks.haloes BUNDLE [--frames 8] [--fields data/frames]

A frame of the plane of each seed is inspected as real frames are (skygen.sky.inspection), and the truth of the same
plane is asked what a tile's place is asked (skygen.process.haloes). `--fields` holds what the stage frames found.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from skygen.bundle.bundle import Bundle
from skygen.bundle.tile import Tile
from skygen.gan.card import load_generator
from skygen.process.generator import Process
from skygen.process.haloes import FAINTEST_MAG, MARGIN_PX, Sight, spoilt
from skygen.process.plane import Plane
from skygen.sky.inspection.binned import bin_pixels
from skygen.sky.inspection.bright import find_bright
from skygen.sky.inspection.defects import table, touching
from skygen.sky.inspection.detection import detect
from skygen.sky.inspection.inspect import read_inspection
from skygen.sky.noise import pixel_noise
from skygen.sky.spread import CALIBRATION_NMGY_PER_COUNT

FRAME = (2048, 1489)
SIZES_PX = (64, 128)
PLACES = 20_000  # of each size in a frame
PSF_PEAK = 0.12  # share of a star's flux in its brightest pixel: decides which cores are saturated, no halo

Found = NDArray[np.bool_]


class Frame(NamedTuple):
    """Which places of each size are spoilt, by truth and by inspection."""

    truth: dict[int, Found]
    inspected: dict[int, Found]


def main() -> None:
    """Print a row a frame, and the shares of all."""
    parser = argparse.ArgumentParser(description="Places in the haloes of stars outside, by truth and by inspection.")
    parser.add_argument("bundle", type=Path, help="the folder of a process' bundle with the band r")
    parser.add_argument("--frames", type=int, default=8, help="of 2048 x 1489 px, a seed each (8)")
    parser.add_argument("--fields", type=Path, help="a folder with what the stage frames found in real ones")
    arguments = parser.parse_args()
    heads = "".join(f" | {size} px: truth | inspection | both" for size in SIZES_PX)
    print(f"| seed{heads} |\n|---{'|---|---|---' * len(SIZES_PX)}|")
    bundle, (card, process) = Bundle.load(arguments.bundle), load_generator(arguments.bundle)
    frames = []
    for seed in range(arguments.frames):
        conditions = bundle.conditions_of([Tile(seed)])
        if not isinstance(process, Process) or conditions is None:
            raise SystemExit(f"{arguments.bundle} holds no process")
        plane = Plane(process, seed, conditions, bands=card.bands)
        frames.append(frame(plane))
        print(f"| {seed}{_row([frames[-1]])} |", flush=True)
    print(f"| all{_row(frames)} |")
    for size in SIZES_PX:
        for name in Frame._fields:
            shares = [getattr(one, name)[size].mean() for one in frames]
            print(f"{size} px, {name}: {_spread(shares)}")
        if arguments.fields:
            real = [_of_field(path, card.bands, size) for path in sorted(arguments.fields.glob("sources-*.fits"))]
            print(f"{size} px, real fields: {_spread(real)}")


def frame(plane: Plane) -> Frame:
    """What is spoilt in the first frame of a plane."""
    width, height = FRAME
    image = plane.rectangle(0, 0, width, height).astype(np.float64)
    sources = detect(image[plane.view.bands.index("r")], pixel_noise(image[plane.view.bands.index("r")]), 5.0)
    defects = table(
        {
            band: find_bright(
                pixels,
                bin_pixels(pixels),
                pixel_noise(pixels),
                float(np.mean(CALIBRATION_NMGY_PER_COUNT[band])),
                PSF_PEAK,
                sources["x"],
                sources["y"],
            )
            for band, pixels in zip(plane.view.bands, image, strict=True)
        }
    )
    sight = Sight.of(plane.view.bands, plane.under.sky_noise_nmgy, plane.under.psf_fwhm_px)
    stars = plane.view.cells.catalogue(plane.box(0, 0, width, height), margin=MARGIN_PX, faintest=FAINTEST_MAG)
    truth, inspected = {}, {}
    for size in SIZES_PX:
        x, y = _places(size)
        truth[size] = spoilt(stars, x[None], y[None], size, sight)[0]
        inspected[size] = _touched(defects, x, y, size)
    return Frame(truth, inspected)


def _places(size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    rng = np.random.default_rng(size)
    return rng.integers(0, FRAME[0] - size + 1, PLACES), rng.integers(0, FRAME[1] - size + 1, PLACES)


def _touched(defects: NDArray[np.void], x: NDArray[np.int64], y: NDArray[np.int64], size: int) -> Found:
    bands = [touching(defects[defects["band"] == band], x, y, size)["halo"] for band in np.unique(defects["band"])]
    return np.asarray(np.logical_or.reduce([np.zeros(len(x), bool), *bands]))


def _of_field(path: Path, bands: list[str], size: int) -> float:
    """The share of a real field's places in `bands` that are spoilt, bands taken as aligned."""
    _, defects = read_inspection(path)
    return float(_touched(defects[np.isin(defects["band"], bands)], *_places(size), size).mean())


def _row(frames: list[Frame]) -> str:
    cells = []
    for size in SIZES_PX:
        truth, inspected = (np.concatenate([getattr(one, name)[size] for one in frames]) for name in Frame._fields)
        cells.append(f" | {truth.mean():.1%} | {inspected.mean():.1%} | {(truth & inspected).mean():.1%}")
    return "".join(cells)


def _spread(shares: list[float]) -> str:
    error = np.std(shares, ddof=1) / len(shares) ** 0.5
    return f"{np.mean(shares):.1%} ± {error:.1%} (from {min(shares):.1%} to {max(shares):.1%} of {len(shares)})"


if __name__ == "__main__":
    main()
