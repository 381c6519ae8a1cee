"""Where a pixel of one band lies in another band of the same field, by the frames' WCS."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray

from skygen.sky.frame import Frame


def sky_position(wcs: WCS, x: NDArray[np.floating], y: NDArray[np.floating]) -> tuple[NDArray[np.float64], ...]:
    """Right ascension and declination in degrees, each shaped as `x`, of 0-based pixel positions."""
    ra, dec = wcs.all_pix2world(x, y, 0)
    return np.asarray(ra), np.asarray(dec)


def band_shift(
    reference: WCS, other: WCS, x: NDArray[np.floating], y: NDArray[np.floating]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The whole-pixel shifts (dx, dy) that take 0-based positions in `reference` to the same sky in `other`.

    Whole pixels keep the noise of neighbouring pixels independent; what rounding leaves is uniform within half a pixel.
    """
    other_x, other_y = other.all_world2pix(*sky_position(reference, x, y), 0)
    return np.rint(other_x - x).astype(np.int64), np.rint(other_y - y).astype(np.int64)


def moved(wcs: WCS, dx_px: float, dy_px: float) -> WCS:
    """`wcs` with every place on the sky `dx_px`, `dy_px` further along the pixels."""
    other = wcs.deepcopy()
    other.wcs.crpix = [other.wcs.crpix[0] + dx_px, other.wcs.crpix[1] + dy_px]
    return other


def register(frames: Mapping[str, Frame], offset_px: Mapping[str, tuple[float, float]]) -> dict[str, Frame]:
    """The frames of a field by band, each WCS moved to where the band's stars are seen, as the inspection measured."""
    return {band: replace(frame, wcs=moved(frame.wcs, *offset_px[band])) for band, frame in frames.items()}
