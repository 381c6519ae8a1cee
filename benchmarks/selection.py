"""Sources by truth and by detection on generated tiles: how many there are, and how many tiles hold one.

python -m benchmarks.selection BUNDLE [--rectangles 32]

The rule of a tile set asks for a source of S/N 10 in an aperture of 3.5 px. On a tile of real frames it is detected; on
generated ones the truth is asked for the S/N that is expected, and for the same with a normal number of the object's
own added, as noise would: the rule of places (skygen.process.places). The table says how they differ, and why.
"""

import argparse
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
import sep
from numpy.typing import NDArray

from benchmarks.known_sky import Floats
from benchmarks.measured_sky import match
from skygen.bundle.bundle import Bundle
from skygen.bundle.tile import Tile
from skygen.gan.card import load_generator
from skygen.process.generator import Process
from skygen.process.places import APERTURE_PX, EDGE_PX, Rule, expected_snr, luck
from skygen.process.plane import Plane
from skygen.sky.inspection.detection import detect
from skygen.sky.noise import pixel_noise
from skygen.workers import processes

SIDE_PX, MARGIN_PX = 1024, 64  # of a rectangle, and of what is drawn around it
SIZES_PX = (64, 128)  # of the tiles into which rectangles are cut
SNR = 10.0
FAINTEST_MAG = 24.0  # S/N 2 or less
NAMES = {"truth": "by the truth, expected S/N", "asked": "by the rule of places", "detected": "detected"}


class Rectangle(NamedTuple):
    """Objects and detections of a rectangle, and what becomes of sources between the two."""

    truth: "Sources"
    asked: "Sources"
    detected: "Sources"
    changes: dict[str, int]


class Sources(NamedTuple):
    """Objects or detections [n] of a rectangle: 0-based places in it, and S/N."""

    x: Floats
    y: Floats
    snr: Floats

    def inside(self) -> NDArray[np.bool_]:
        """Which centres lie in the rectangle [n]."""
        within = [(of >= -0.5) & (of < SIDE_PX - 0.5) for of in (self.x, self.y)]
        return within[0] & within[1]

    def take(self, some: NDArray[np.bool_]) -> "Sources":
        """Those where a mask is true."""
        return Sources(*(part[some] for part in self))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Sources by truth and by detection on generated tiles.")
    parser.add_argument("bundle", type=Path, help="the folder of a process' bundle with the band r")
    parser.add_argument("--rectangles", type=int, default=32, help="of 1024 x 1024 px: 64 tiles of 128 px each (32)")
    arguments = parser.parse_args()
    with ProcessPoolExecutor(processes(), mp_context=get_context("spawn")) as pool:
        report(list(pool.map(partial(sources, arguments.bundle), range(arguments.rectangles))))


def sources(folder: Path, seed: int) -> Rectangle:
    """What lies in a rectangle of the sky of `seed` in r."""
    bundle, (card, process) = Bundle.load(folder), load_generator(folder)
    conditions = bundle.conditions_of([Tile(seed)])
    if not isinstance(process, Process) or conditions is None:
        raise SystemExit(f"{folder} holds no process")
    plane = Plane(process, seed, conditions, bands=card.bands)
    place, side = card.bands.index("r"), SIDE_PX + 2 * MARGIN_PX
    area = (-MARGIN_PX, -MARGIN_PX, side, side)
    clean, seen = (image[place].astype(np.float64) for image in (plane.scene(*area), plane.rectangle(*area)))
    box = plane.box(*area)
    catalogue = plane.view.cells.catalogue(box, margin=0, faintest=FAINTEST_MAG)
    rule = Rule(card.bands, plane.under.sky_noise_nmgy, plane.under.psf_fwhm_px, SNR)
    x, y, flux = catalogue.objects.x.numpy(), catalogue.objects.y.numpy(), catalogue.objects.flux_nmgy[:, place].numpy()
    found = detect(seen, pixel_noise(seen), 0.0)
    truth = Sources(x - MARGIN_PX, y - MARGIN_PX, expected_snr(catalogue, rule, np.zeros(len(x), int)))
    asked = truth._replace(snr=truth.snr + luck(catalogue, box, rule))
    around = sep.sum_circle(clean, x, y, APERTURE_PX, subpix=0)[0] / rule.error_nmgy
    detected = Sources(found["x"] - MARGIN_PX, found["y"] - MARGIN_PX, found["snr"])
    changes = _changes(truth, flux, around, detected)
    expected, wanted, seen_there = (one.take(one.inside()) for one in (truth, asked, detected))
    return Rectangle(expected, wanted, seen_there, changes)


def _changes(truth: Sources, flux: Floats, around: Floats, detected: Sources) -> dict[str, int]:
    """Why a source is one by the truth alone or by detection alone; `around` is the S/N of all light at its place."""
    taken = match(np.column_stack(truth[:2]), flux, np.column_stack(detected[:2]))
    own = taken >= 0
    seen = np.where(own, detected.snr[taken], 0.0)
    asked, found = (truth.snr >= SNR) & truth.inside(), (seen >= SNR) & truth.inside()
    lonely = ~np.isin(np.arange(len(detected.x)), taken) & detected.inside()
    return {
        "by the truth and detected": int((asked & found).sum()),
        "by the truth, detected below the limit": int((asked & own & ~found).sum()),
        "by the truth, no detection of its own": int((asked & ~own).sum()),
        "detected, above the limit by noise": int((~asked & found & (around < SNR)).sum()),
        "detected, above the limit by the light of others": int((~asked & found & (around >= SNR)).sum()),
        "detected, no object within 3 px": int((lonely & (detected.snr >= SNR)).sum()),
    }


def holding(one: Sources, size: int) -> NDArray[np.bool_]:
    """Which tiles [n, n] of a grid over a rectangle hold a source."""
    several = SIDE_PX // size
    bright = one.snr >= SNR
    column, row = (np.rint(of[bright]).astype(int) for of in (one.x, one.y))
    within = [(of % size >= EDGE_PX) & (of % size < size - EDGE_PX) for of in (column, row)]
    held, good = np.zeros((several, several), bool), within[0] & within[1]
    held[row[good] // size, column[good] // size] = True
    return held


def report(rectangles: list[Rectangle]) -> None:
    """Print counts, and why they differ."""
    print(f"{len(rectangles)} rectangles of {SIDE_PX} px, sources of S/N {SNR:g} in r:\n")
    heads = " | ".join(f"tiles of {size} px that hold one" for size in SIZES_PX)
    print(f"| sources | number | against detected | {heads} |\n|---|---|---|" + "---|" * len(SIZES_PX))
    wanted = _number([one.detected for one in rectangles])
    for kind, name in NAMES.items():
        of = [getattr(one, kind) for one in rectangles]
        shares = [np.mean([holding(one, size) for one in of]) for size in SIZES_PX]
        cells = " | ".join(f"{share:.1%}" for share in shares)
        print(f"| {name} | {_number(of)} | {_number(of) / wanted - 1:+.1%} | {cells} |")
    for name in rectangles[0].changes:
        print(f"- {name}: {sum(one.changes[name] for one in rectangles)}")


def _number(of: list[Sources]) -> int:
    return sum(int((one.snr >= SNR).sum()) for one in of)


if __name__ == "__main__":
    main()
