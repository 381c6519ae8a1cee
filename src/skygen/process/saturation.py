"""Saturated cores of stars, as the survey fills them in: each a function of its star alone.

So a plane of sky stays seamless: what a core looks like does not depend on the rectangle, nor on neighbours.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from skygen.process.bright import Halo
from skygen.process.light import Canvas, draw, reach_px
from skygen.process.objects import Objects
from skygen.sky.simulation.artefacts import BLEED_PX, GROWN_PX, fill_saturated, saturated_pixels
from skygen.sky.spread import CALIBRATION_NMGY_PER_COUNT, FULL_WELL_COUNTS

_ACCURACY = 1e-5  # of the full well, to which a star's light is drawn


class Core(NamedTuple):
    """The saturated core of a star: where its pixels are no measurement, and what the survey has there."""

    row: int  # of its first pixel, in the frame of the star's place
    column: int
    mask: NDArray[np.bool_]  # [bands, h, w]
    nmgy: NDArray[np.float64]  # [bands, h, w], 0 outside the mask


def full_well_nmgy(bands: Sequence[str]) -> tuple[float, ...]:
    """The flux a pixel from which the CCDs of `bands` saturate: full well and calibration midway in their ranges."""
    return tuple(float(np.mean(FULL_WELL_COUNTS) * np.mean(CALIBRATION_NMGY_PER_COUNT[band])) for band in bands)


def saturated_core(
    star: Objects,
    psf_fwhm_px: torch.Tensor,
    full_well: Sequence[float],
    halo: Halo | None = None,
    offset_px: torch.Tensor | None = None,
) -> Core | None:
    """The core of one star, given alone in `star`; None where all is under the `full_well` [bands] in nmgy a px.

    `psf_fwhm_px` [bands], `offset_px` [bands, 2]. Charge beyond the full well runs along the columns, at most 100 px;
    the survey fills in what saturates from left and right.
    """
    limit = torch.tensor(full_well, dtype=torch.float64)
    star = Objects(star.is_galaxy, *(part.double() for part in star[1:]))
    reach = int(reach_px(star, psf_fwhm_px, limit, halo).item())
    if not reach:
        return None
    wide, high = reach + 2 * GROWN_PX, reach + BLEED_PX + 2 * GROWN_PX
    column, row = int(star.x.floor().item()) - wide, int(star.y.floor().item()) - high
    here = star._replace(x=star.x - column, y=star.y - row)
    canvas = Canvas(1, len(full_well), 2 * high + 2, 2 * wide + 2)
    only, offset = torch.zeros(1, dtype=torch.long), None if offset_px is None else offset_px[None]
    light = draw(here, only, psf_fwhm_px[None], canvas, _ACCURACY * limit, halo, offset)[0].numpy()
    mask = np.stack([saturated_pixels(band, well) for band, well in zip(light, full_well, strict=True)])
    if not mask.any():
        return None
    filled = np.stack([fill_saturated(band, where) for band, where in zip(light, mask, strict=True)])
    rows, columns = (np.flatnonzero(mask.any(axis=others)) for others in ((0, 2), (0, 1)))
    part = np.s_[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return Core(row + int(rows[0]), column + int(columns[0]), mask[part], np.where(mask, filled, 0)[part])


def saturate(image: NDArray[np.floating], core: Core, row: int = 0, column: int = 0) -> NDArray[np.bool_]:
    """Put `core` into `image` [bands, H, W], whose first pixel lies at `row`, `column`; where [bands, H, W] it did."""
    changed = np.zeros(image.shape, np.bool_)
    top, left = core.row - row, core.column - column
    height, width = core.mask.shape[1:]
    rows = slice(max(top, 0), max(min(top + height, image.shape[1]), 0))
    columns = slice(max(left, 0), max(min(left + width, image.shape[2]), 0))
    if rows.start < rows.stop and columns.start < columns.stop:
        part = np.s_[:, rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
        changed[:, rows, columns] = core.mask[part]
        np.copyto(image[:, rows, columns], core.nmgy[part], where=core.mask[part], casting="same_kind")
    return changed
