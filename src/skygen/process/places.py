"""Where a tile lies: at the first of a row of places of its own plane at which a source stands as the tile set asks.

Tile (seed, index) has a plane of its own, whose key is made of both. The first pixel of place k = 0, 1, 2, ... is at
x = 128 k, y = 0. What stands there is known from the catalogue, so that nothing is drawn in vain.
"""

from collections.abc import Collection, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from skygen.process.cells import Boxes, Catalogue, Cells
from skygen.process.haloes import FAINTEST_MAG, MARGIN_PX, Sight, spoilt
from skygen.process.noise import noise
from skygen.process.objects import FAINT_MAG
from skygen.process.philox import keys_of
from skygen.process.profiles import PIXEL_VARIANCE, SIZES, core_px, galaxy_gaussians
from skygen.sky.units import ZERO_POINT_MAG

SPACING_PX = 128  # from place to place: the largest tile
MOST_PLACES = 512  # searched; where none holds a source (as with densities of 0) the first is taken
APERTURE_PX = 3.5  # radius in which the signal-to-noise ratio of a source is measured (sky.inspection.detection)
EDGE_PX = 4  # a source nearer to a tile's edge does not count (tiles.cut)
MOST_LUCK = 2.5  # standard deviations: what is farther from the limit is sure
_AROUND = np.arange(-4, 5)  # px that the aperture may cover
_FIRST_PX = 512  # of tiles side by side that are searched at once; then twice as many


def tiles(
    cells: Cells,
    seeds: NDArray[np.uint64],
    indices: NDArray[np.int64],
    size: int,
    density: NDArray[np.float64],
    rule: "Rule | None" = None,
) -> Boxes:
    """The boxes of tiles (seed, index) [n] of `size` px on planes of the survey's `density` [n, 2].

    They lie at place 0 where there is no rule. Give the boxes another density afterwards and the tiles stay where they
    are. Raises `ValueError` for a size that is out of range.
    """
    if not 1 <= size <= SPACING_PX:
        raise ValueError(f"tiles of {size} px; they have 1 to {SPACING_PX} px")
    zero = np.zeros(len(seeds), np.int64)
    boxes = Boxes(keys_of(seeds, indices), zero, zero, size, size, density)
    return boxes if rule is None else boxes._replace(x=SPACING_PX * first_places(cells, boxes, rule))


class Rule:
    """What places must be like, as survey tiles are: hold a source in r, and lie outside haloes of stars around.

    `sky_noise_nmgy` and `psf_fwhm_px` [n, bands] are those under which the survey saw the field: a tile's place does
    not depend on what else it is observed under. A source is one that is detected with a signal-to-noise ratio of
    `source_snr` (None: no source is asked for), its centre at least `EDGE_PX` inside. With "halo" in `drop` the halo of
    no star outside may reach the place, in any band.
    """

    def __init__(
        self,
        bands: Sequence[str],
        sky_noise_nmgy: NDArray[np.float32],
        psf_fwhm_px: NDArray[np.float32],
        source_snr: float | None,
        drop: Collection[str] = (),
    ) -> None:
        self.bands, self.in_r = len(bands), bands.index("r")
        in_r = self.in_r
        self.source_snr = source_snr
        self.core_px = core_px(torch.from_numpy(psf_fwhm_px[:, in_r].astype(np.float64))).numpy()
        self.error_nmgy = (np.pi * APERTURE_PX**2) ** 0.5 * sky_noise_nmgy[:, in_r].astype(np.float64)
        self.sight = Sight.of(bands, sky_noise_nmgy, psf_fwhm_px) if "halo" in drop else None

    def faintest(self, source_snr: float) -> float:
        """The magnitude in r of the faintest source that could do, anywhere: a star, by the luck of its noise."""
        least = (source_snr - MOST_LUCK) * self.error_nmgy.min() / of_a_star(float(self.core_px.min()))
        return float(min(FAINT_MAG, ZERO_POINT_MAG - 2.5 * np.log10(least)))


def first_places(cells: Cells, boxes: Boxes, rule: Rule) -> NDArray[np.int64]:
    """The first places [n] that are as the rule asks, or 0 where there is none of it."""
    found, waiting = np.zeros(len(boxes.key), np.int64), np.arange(len(boxes.key))
    start, number = 0, max(1, _FIRST_PX // boxes.width)
    while len(waiting) and start < MOST_PLACES:
        some = boxes.take(waiting)
        good = hold(cells, some, rule, waiting, start, number) & ~in_halo(cells, some, rule, waiting, start, number)
        done = good.any(1)
        found[waiting[done]] = start + good[done].argmax(1)
        waiting, start, number = waiting[~done], start + number, number * 2
    return found


def hold(cells: Cells, boxes: Boxes, rule: Rule, rows: NDArray[np.int64], start: int, number: int) -> NDArray[np.bool_]:
    """Whether a source is detected at places `start` on [n, number]; `rows` [n] says which of the rule's are meant.

    Noise moves a source across the limit, one way and the other: the very noise that the place is drawn with. There are
    more faint sources than bright ones, so that this adds some.
    """
    n = len(rows)
    if rule.source_snr is None:
        return np.ones((n, number), bool)
    each = np.repeat(np.arange(n), number)
    at = boxes.take(each)._replace(x=SPACING_PX * np.tile(np.arange(start, start + number), n))
    catalogue = cells.catalogue(at, margin=0, faintest=rule.faintest(rule.source_snr))
    inside = np.ones(len(catalogue.box), bool)
    for place in (catalogue.objects.x.numpy(), catalogue.objects.y.numpy()):
        inside &= (place >= EDGE_PX - 0.5) & (place < boxes.width - EDGE_PX - 0.5)
    missing = rule.source_snr - expected_snr(catalogue, rule, rows[each[catalogue.box]])
    holds = np.zeros(n * number, bool)
    holds[catalogue.box[inside & (missing <= -MOST_LUCK)]] = True  # whatever the noise
    unsure = np.flatnonzero(inside & (missing < MOST_LUCK) & ~holds[catalogue.box])
    some = catalogue.take(unsure)
    holds[some.box[luck(some, at, rule) >= missing[unsure]]] = True
    return holds.reshape(n, number)


def in_halo(
    cells: Cells, boxes: Boxes, rule: Rule, rows: NDArray[np.int64], start: int, number: int
) -> NDArray[np.bool_]:
    """Whether the halo of a star outside reaches places `start` on [n, number]."""
    if rule.sight is None:
        return np.zeros((len(rows), number), bool)
    size = boxes.width
    row = boxes._replace(x=boxes.x + SPACING_PX * start, width=SPACING_PX * (number - 1) + size)
    stars = cells.catalogue(row, margin=MARGIN_PX, faintest=FAINTEST_MAG)
    x = np.broadcast_to(SPACING_PX * np.arange(number), (len(rows), number))
    return spoilt(stars, x, np.zeros_like(x), size, rule.sight.take(rows))


def expected_snr(catalogue: Catalogue, rule: Rule, row: NDArray[np.int64]) -> NDArray[np.float64]:
    """The signal-to-noise ratios [n] in r expected of objects, each under the `row` [n] of a rule."""
    flux = 10 ** (-0.4 * (catalogue.magnitude - ZERO_POINT_MAG))
    return np.asarray(flux * enclosed(catalogue, rule.core_px[row]) / rule.error_nmgy[row])


def luck(catalogue: Catalogue, boxes: Boxes, rule: Rule) -> NDArray[np.float64]:
    """What noise in their apertures adds to the signal-to-noise ratios in r of objects [n] of boxes.

    Of standard deviation 1; the photons of an object of the limit add a few percent, which are left out.
    """
    found = np.zeros(len(catalogue.box))
    x, y = (part.numpy() for part in (catalogue.objects.x, catalogue.objects.y))
    for box in np.unique(catalogue.box).tolist():
        own = np.flatnonzero(catalogue.box == box)
        shape = (rule.bands, boxes.height, boxes.width)
        deviates = noise(boxes.key[box], int(boxes.x[box]), int(boxes.y[box]), shape)[rule.in_r]
        rows, columns = (np.rint(part[own])[:, None].astype(np.int64) + _AROUND for part in (y, x))
        far2 = ((rows - y[own, None]) ** 2)[:, :, None] + ((columns - x[own, None]) ** 2)[:, None]
        rows, columns = rows.clip(0, boxes.height - 1), columns.clip(0, boxes.width - 1)
        found[own] = (deviates[rows[:, :, None], columns[:, None]] * (far2 <= APERTURE_PX**2)).sum((1, 2))
    return np.asarray(found / (np.pi * APERTURE_PX**2) ** 0.5)


def of_a_star(core: float) -> float:
    """The share of a star's light in the aperture."""
    parts = zip(*galaxy_gaussians(len(SIZES), np.inf), strict=True)
    return float(
        sum(disc * -np.expm1(-(APERTURE_PX**2) / (2 * (core**2 * blur + PIXEL_VARIANCE))) for _, blur, disc, _ in parts)
    )


def enclosed(catalogue: Catalogue, core_px: NDArray[np.float64]) -> NDArray[np.float64]:
    """The shares [n] of objects' light in the aperture around their centres, seen through PSFs of core `core_px` [n].

    An ellipse counts as the circle of its area: right to a few percent. A star is a galaxy of no radius.
    """
    objects = catalogue.objects
    parts = (objects.radius_px, objects.axis_ratio, objects.bulge_share)
    radius, ratio, bulge = (part.numpy()[:, None] for part in parts)
    radial, blur, in_disc, in_bulge = (np.array(part) for part in galaxy_gaussians(len(SIZES), np.inf))
    seen = core_px[:, None] ** 2 * blur + PIXEL_VARIANCE  # [n, g]
    square = ((radius**2 * radial + seen) * ((radius * ratio) ** 2 * radial + seen)) ** 0.5
    share = in_disc + bulge * (in_bulge - in_disc)
    return np.asarray((share * -np.expm1(-(APERTURE_PX**2) / (2 * square))).sum(1))
