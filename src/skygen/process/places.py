"""Where a tile lies: at the first of a row of places of its own plane at which a source stands as the tile set asks.

Tile (seed, index) has a plane of its own, whose key is made of both. The first pixel of place k = 0, 1, 2, ... is at
x = 128 k, y = 0. What stands there is known from the catalogue, so that nothing is drawn in vain.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from skygen.process.cells import Boxes, Catalogue, Cells
from skygen.process.objects import FAINT_MAG, ZERO_POINT_MAG
from skygen.process.philox import keys_of
from skygen.process.profiles import PIXEL_VARIANCE, SIZES, core_px, galaxy_gaussians

SPACING_PX = 128  # from place to place: the largest tile
MOST_PLACES = 512  # searched; where none holds a source (as with densities of 0) the first is taken
APERTURE_PX = 3.5  # radius in which the signal-to-noise ratio of a source is measured (sky.inspection.detection)
_FIRST_PLACES = 4  # searched at once; then twice as many


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
    """A source is wanted whose expected S/N in an aperture is `source_snr` or more, and whose centre is inside.

    `sky_noise_nmgy` and `psf_fwhm_px` [n] are those in r under which the survey saw the field: a tile's place does not
    depend on what else it is observed under.
    """

    def __init__(
        self, source_snr: float, sky_noise_nmgy: NDArray[np.float32], psf_fwhm_px: NDArray[np.float32]
    ) -> None:
        area = np.pi * APERTURE_PX**2
        self.least_nmgy = source_snr * area**0.5 * sky_noise_nmgy.astype(np.float64)  # [n] in the aperture
        self.core_px = core_px(torch.from_numpy(psf_fwhm_px.astype(np.float64))).numpy()

    def faintest(self) -> float:
        """The magnitude in r of the faintest source that could do, anywhere."""
        return float(min(FAINT_MAG, ZERO_POINT_MAG - 2.5 * np.log10(self.least_nmgy.min())))


def first_places(cells: Cells, boxes: Boxes, rule: Rule) -> NDArray[np.int64]:
    """The first places [n] at which a source stands as the rule asks, or 0 where there is none of it."""
    found, waiting = np.zeros(len(boxes.key), np.int64), np.arange(len(boxes.key))
    start, number = 0, _FIRST_PLACES
    while len(waiting) and start < MOST_PLACES:
        holds = _hold(cells, boxes.take(waiting), rule, waiting, start, number)
        done = holds.any(1)
        found[waiting[done]] = start + holds[done].argmax(1)
        waiting, start, number = waiting[~done], start + number, number * 2
    return found


def _hold(
    cells: Cells, boxes: Boxes, rule: Rule, rows: NDArray[np.int64], start: int, number: int
) -> NDArray[np.bool_]:
    """Whether a source stands at places `start` on [n, number]; `rows` [n] says which of the rule's are meant."""
    n = len(rows)
    each = np.repeat(np.arange(n), number)
    at = boxes.take(each)._replace(x=SPACING_PX * np.tile(np.arange(start, start + number), n))
    catalogue = cells.catalogue(at, margin=False, faintest=rule.faintest())
    row = rows[each[catalogue.box]]
    seen = 10 ** (-0.4 * (catalogue.magnitude - ZERO_POINT_MAG)) * enclosed(catalogue, rule.core_px[row])
    holds = np.zeros(n * number, bool)
    holds[catalogue.box[seen >= rule.least_nmgy[row]]] = True
    return holds.reshape(n, number)


def enclosed(catalogue: Catalogue, core_px: NDArray[np.float64]) -> NDArray[np.float64]:
    """The shares [n] of objects' light in the aperture around their centres, seen through PSFs of core `core_px` [n].

    An ellipse counts as the circle of its area: right to a few percent. A star is a galaxy of no radius.
    """
    objects = catalogue.objects
    radius, ratio, bulge = (part.numpy() for part in (objects.radius_px, objects.axis_ratio, objects.bulge_share))
    total = np.zeros(len(radius))
    for radial, blur, in_disc, in_bulge in zip(*galaxy_gaussians(len(SIZES), np.inf), strict=True):
        seen = core_px**2 * blur + PIXEL_VARIANCE
        square = ((radius**2 * radial + seen) * ((radius * ratio) ** 2 * radial + seen)) ** 0.5
        total += (in_disc + bulge * (in_bulge - in_disc)) * -np.expm1(-(APERTURE_PX**2) / (2 * square))
    return total
