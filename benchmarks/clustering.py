"""How sources brighter than r = 20.5 lie: their two-point correlation and counts in cells, stars and galaxies apart.

python -m benchmarks.clustering FOLDER_OF_FRAMES, or CSV ... (columns x, y, class, mag_r; --shape HEIGHT WIDTH, in px)
With --bundle FOLDER also how they lie on planes of a process, by truth: --planes N fields, each of a plane of its own,
with the mean density of the fields named.

The correlation is Landy & Szalay's (1993, ApJ 412, 64), pairs of all fields together, each against its own density; its
error is that of the jackknife over fields. Where sources go in groups, it and the counts give the groups' numbers.
"""

import argparse
import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import curve_fit
from scipy.spatial import KDTree

from skygen.gan.card import load_generator
from skygen.process.cells import Boxes, Cells
from skygen.process.generator import Process
from skygen.process.philox import keys_of
from skygen.sky.conditions import DENSITY_MAG
from skygen.sky.field import parse_frame_name
from skygen.sky.frame import read_frame
from skygen.sky.inspection.defects import DEFECT, touching
from skygen.sky.inspection.density import count_sources, seen
from skygen.sky.inspection.inspect import REFERENCE, inspect_field
from skygen.sky.inspection.psf import choose_stars
from skygen.sky.units import PIXEL_SCALE_ARCSEC

BRIGHTEST_MAG = 15.5  # of what is counted: brighter stars stand in haloes of their own
NO_DEFECTS = np.zeros(0, DEFECT)
KINDS = ("stars", "galaxies")
EDGES_ARCSEC = np.geomspace(5, 300, 9)
CELLS_PX = (64, 128, 256)
RANDOM = 6000  # places a field, against which pairs are counted
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Catalogue:
    """Sources [n] of a field of `shape` (H, W): 0-based x, y in px, r magnitude, class; `defects` hide parts of it."""

    x: Values
    y: Values
    mag: Values
    is_galaxy: NDArray[np.bool_]
    shape: tuple[int, int]
    defects: NDArray[np.void]

    def places(self, kind: str) -> Values:
        """Where the sources of a kind are that count, [n, 2]."""
        of_kind = (self.is_galaxy == (kind == "galaxies")) & (self.mag < DENSITY_MAG)
        return np.asarray(np.column_stack([self.x, self.y])[of_kind & seen(self.defects, self.x, self.y)])


def of_frame(path: Path) -> Catalogue:
    """What is counted in a frame in r; the brightest stars, which stand in haloes of their own, are left out."""
    frame = read_frame(path)
    found = inspect_field({REFERENCE: frame})
    stars = choose_stars(found.sources, frame.flux_nmgy.shape)
    counted = count_sources(frame, found.sky_noise_nmgy[REFERENCE], stars, found.defects)
    counted = counted[counted["mag"] > BRIGHTEST_MAG]
    height, width = frame.flux_nmgy.shape
    x, y, mag, is_galaxy = (counted[name] for name in ("x", "y", "mag", "is_galaxy"))
    return Catalogue(x, y, mag, is_galaxy, (height, width), found.defects)


def of_csv(path: Path, shape: tuple[int, int]) -> Catalogue:
    """A catalogue with the columns x, y, class (star or galaxy) and mag_r, of a field of `shape` that nothing hides."""
    with path.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    x, y, mag = (np.array([float(row[name]) for row in rows]) for name in ("x", "y", "mag_r"))
    return Catalogue(x, y, mag, np.array([row["class"] == "galaxy" for row in rows]), shape, NO_DEFECTS)


def of_planes(folder: Path, number: int, shape: tuple[int, int], density: tuple[float, float]) -> list[Catalogue]:
    """Fields of `shape`, each of a plane of its own, with `density` stars and galaxies an arcmin², by truth."""
    _, process = load_generator(folder)
    if not isinstance(process, Process):
        raise TypeError(f"{folder} holds no process")
    zero, (height, width) = np.zeros(number, np.int64), shape
    keys = keys_of(np.zeros(number, np.uint64), np.arange(number))
    boxes = Boxes(keys, zero, zero, width, height, np.tile([density], (number, 1)))
    catalogue = Cells(process).catalogue(boxes, margin=0, faintest=DENSITY_MAG)
    counted = catalogue.take(catalogue.magnitude > BRIGHTEST_MAG)
    each = [counted.take(counted.box == field) for field in range(number)]
    return [
        Catalogue(
            of.objects.x.numpy(), of.objects.y.numpy(), of.magnitude, of.objects.is_galaxy.numpy(), shape, NO_DEFECTS
        )
        for of in each
    ]


def correlation(fields: Sequence[Catalogue], kind: str, edges_px: Values) -> tuple[Values, Values, Values]:
    """The correlation [bins] of sources of a kind, its error, and how many pairs there are."""
    pairs = np.array([_pairs(field, kind, edges_px, seed) for seed, field in enumerate(fields)])  # [fields, 3, bins]

    def estimate(chosen: Values) -> Values:
        data, mixed, random = chosen.sum(axis=0)
        return np.asarray((data - 2 * mixed + random) / random)

    return *jackknife(pairs, estimate), pairs[:, 0].sum(axis=0)


def dispersion(fields: Sequence[Catalogue], kind: str, cell_px: int) -> tuple[float, float]:
    """The variance of counts in whole cells over their mean, and its error: 1 where places are independent."""
    sums = []
    for field in fields:
        counts = _counts(field, kind, cell_px)
        sums.append((((counts - counts.mean()) ** 2).sum(), (len(counts) - 1) * counts.mean()))
    value, error = jackknife(np.array(sums), lambda chosen: np.divide(*chosen.sum(axis=0)))
    return float(value), float(error)


def jackknife(fields: Values, estimate: Callable[[Values], Values]) -> tuple[Values, Values]:
    """What `estimate` makes of all fields, and its standard error by leaving out each in turn."""
    without = np.array([estimate(np.delete(fields, number, axis=0)) for number in range(len(fields))])
    spread = ((without - without.mean(axis=0)) ** 2).sum(axis=0)
    return estimate(fields), np.sqrt(spread * (len(fields) - 1) / len(fields))


def groups(separation_px: Values, near: float, near_px: float, wide: float, wide_px: float) -> Values:
    """The correlation where sources go in round Gaussian groups of two radii (Neyman & Scott 1952; Thomas 1949).

    `near` and `wide` are the share of sources that is in such groups, times the mean of their Poisson number a group,
    over the density of the sources: px² a source.
    """
    return _of_groups(separation_px, near, near_px) + _of_groups(separation_px, wide, wide_px)


def _of_groups(separation_px: Values, excess_px2: float, radius_px: float) -> Values:
    return np.asarray(excess_px2 / (4 * np.pi * radius_px**2) * np.exp(-((separation_px / radius_px) ** 2) / 4))


def fit_groups(edges_px: Values, w: Values, error: Values) -> tuple[Values, Values, float]:
    """The parameters of `groups` that fit a correlation [bins], their errors, and chi2."""

    def binned(_: Values, *parameters: float) -> Values:
        inside = np.linspace(edges_px[:-1], edges_px[1:], 41)
        return np.asarray((groups(inside, *parameters) * inside).sum(axis=0) / inside.sum(axis=0))

    start, least = (2e3, 10.0, 1e5, 150.0), (0, 3, 0, 30)
    best, covariance = curve_fit(binned, w, w, start, error, absolute_sigma=True, bounds=(least, np.inf))
    return best, np.sqrt(np.diag(covariance)), float((((binned(w, *best) - w) / error) ** 2).sum())


def _pairs(field: Catalogue, kind: str, edges_px: Values, seed: int) -> NDArray[np.float64]:
    """Pairs [3, bins] of sources, of sources and random places, of random places; all as if as many as sources."""
    rng, (height, width) = np.random.default_rng(seed), field.shape
    x, y = rng.uniform(-0.5, width - 0.5, 2 * RANDOM), rng.uniform(-0.5, height - 0.5, 2 * RANDOM)
    random = np.column_stack([x, y])[seen(field.defects, x, y)][:RANDOM]
    places = field.places(kind)
    trees = KDTree(places), KDTree(random)
    counted = [
        np.diff(one.count_neighbors(other, edges_px)) for one, other in ((trees[0],) * 2, trees, (trees[1],) * 2)
    ]
    ordered, many = len(places) * (len(places) - 1), len(random)
    scale = (1.0, ordered / max(len(places), 1) / many, ordered / (many * (many - 1)))
    return np.array([factor * number for factor, number in zip(scale, counted, strict=True)]) / 2


def _counts(field: Catalogue, kind: str, cell_px: int) -> Values:
    """How many sources of a kind each cell holds of which nothing is hidden."""
    rows, columns = (length // cell_px for length in field.shape)
    x, y = field.places(kind).T
    edges = [np.arange(number + 1) * cell_px - 0.5 for number in (rows, columns)]
    counts, _, _ = np.histogram2d(y, x, edges)
    row, column = np.indices(counts.shape) * cell_px
    touched = touching(field.defects, column.ravel(), row.ravel(), cell_px)
    return np.asarray(counts.ravel()[~(touched["halo"] | touched["trail"] | touched["masked"])])


def main() -> None:
    """Print what the fields named on the command line show."""
    parser = argparse.ArgumentParser(description="Two-point correlation and counts in cells of bright sources.")
    parser.add_argument("paths", nargs="+", type=Path, help="a folder of frames, or a CSV file a field")
    parser.add_argument("--shape", nargs=2, type=int, default=(1489, 2048), help="of a CSV file's field: H W")
    parser.add_argument("--bundle", type=Path, help="of a process, whose planes are shown beside")
    parser.add_argument("--planes", type=int, default=64, help="how many of them")
    arguments = parser.parse_args()
    fields = []
    for path in arguments.paths:
        if path.is_dir():
            frames = [frame for frame in sorted(path.glob("frame-*")) if parse_frame_name(frame.name)[0] == REFERENCE]
            fields += [of_frame(frame) for frame in frames]
        else:
            fields.append(of_csv(path, tuple(arguments.shape)))
    report(fields)
    if arguments.bundle:
        shape = fields[0].shape
        arcmin2 = sum(field.shape[0] * field.shape[1] for field in fields) * (PIXEL_SCALE_ARCSEC / 60) ** 2
        density = [sum(len(field.places(kind)) for field in fields) / arcmin2 for kind in KINDS]
        print("\nplanes of the process")
        report(of_planes(arguments.bundle, arguments.planes, shape, (density[0], density[1])))


def report(fields: Sequence[Catalogue]) -> None:
    """Print two tables, correlations and cells, and the groups that fit the galaxies."""
    edges_px = EDGES_ARCSEC / PIXEL_SCALE_ARCSEC
    found = {kind: correlation(fields, kind, edges_px) for kind in KINDS}
    print(f"{len(fields)} fields\n\n| separation (arcsec) | " + " | ".join(f"{kind} | pairs" for kind in KINDS) + " |")
    print("|---|---|---|---|---|")
    for number, (low, high) in enumerate(pairwise(EDGES_ARCSEC)):
        cells = [f"{w[number]:+.3f} ± {error[number]:.3f} | {pairs[number]:.0f}" for w, error, pairs in found.values()]
        print(f"| {low:.0f} to {high:.0f} | " + " | ".join(cells) + " |")
    print("\n| variance over mean of counts in cells | " + " | ".join(KINDS) + " |\n|---|---|---|")
    for cell_px in CELLS_PX:
        values = [dispersion(fields, kind, cell_px) for kind in KINDS]
        print(f"| {cell_px} px | " + " | ".join(f"{value:.3f} ± {error:.3f}" for value, error in values) + " |")
    w, error, pairs = found["galaxies"]
    by_chance = np.sqrt((1 + np.maximum(w, 0)) / np.maximum(pairs, 1))
    error = np.maximum(error, by_chance)
    best, errors, misfit = fit_groups(edges_px, w, error)
    area_px2 = sum(field.shape[0] * field.shape[1] for field in fields)
    density = sum(len(field.places("galaxies")) for field in fields) / area_px2
    print(
        f"\ngalaxies: chi2 {((w / error) ** 2).sum():.1f} of {len(w)} bins without groups, {misfit:.1f} with groups of"
    )
    for of_one, radius in ((0, 1), (2, 3)):
        print(
            f"radius {best[radius]:.1f} ± {errors[radius]:.1f} px, share in them times mean number in one "
            f"{best[of_one] * density:.3f} ± {errors[of_one] * density:.3f}"
        )


if __name__ == "__main__":
    main()
