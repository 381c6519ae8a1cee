"""A frame's place on the sky, which its file states twice: as the WCS of its header, and as the table asTrans.

asTrans is the survey's own astrometric solution (https://data.sdss.org/datamodel/files/PHOTO_REDUX/RERUN/RUN/astrom/asTrans.html);
the header's WCS is the tangent plane fitted to it. The two agree, so that a damaged digit of either is noticed.
"""

import math

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray

from skygen.sky.frame_file import Hdu, Kind, Row, UnusableError
from skygen.sky.units import PIXEL_SCALE_ARCSEC

# Of the difference between the two, its mean and its slopes: half a pixel. On 24 frames of the survey, which cover all
# six camera columns in g, r and i, it is 0.05 arcsec at most; u, which is not among them, refracts more.
DISAGREEMENT_ARCSEC = 0.2
_REMEDY = "fetch the file again; if it comes back the same, leave it out"
_PROJECTION = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CUNIT1": "deg", "CUNIT2": "deg"}
_NUMBERS = ("CRPIX1", "CRPIX2", "CRVAL1", "CRVAL2", "CD1_1", "CD1_2", "CD2_1", "CD2_2")
_DISTORTION = [f"{axis}{power}" for axis in ("DROW", "DCOL") for power in range(4)]
SOLUTION: dict[str, Kind] = dict.fromkeys([*"ABCDEF", "NODE", "INCL", *_DISTORTION], "number")


def read_wcs(hdu: Hdu, solution: Row, shape: tuple[int, int]) -> WCS:
    """The WCS in the header of a frame's first HDU, whose image is `shape` (H, W).

    Raises `UnusableError` where it is missing, no tangent plane of 0.396 arcsec a pixel, or off `solution`, the frame's
    row of asTrans.
    """
    missing = [key for key in (*_PROJECTION, *_NUMBERS) if key not in hdu]
    if missing:
        raise UnusableError(f"its header lacks {', '.join(missing)}", _REMEDY)
    stated = {key: hdu.value(key) for key in _PROJECTION}
    if stated != _PROJECTION:
        raise UnusableError(f"its projection is {stated}, not {_PROJECTION}", _REMEDY)
    numbers = {key: hdu.number(key) for key in _NUMBERS}
    _check_plausible(numbers, shape)
    # Of these keys alone: about the rest (RADECSYS, DATE-OBS in the style of 1998) astropy warns, and silencing a
    # warning is not safe beside other threads.
    wcs = WCS(fits.Header([*stated.items(), *numbers.items()]))
    _check_agreement(wcs, solution, shape)
    return wcs


def _check_plausible(numbers: dict[str, float], shape: tuple[int, int]) -> None:
    limits = {"CRPIX1": (0, shape[1] + 1), "CRPIX2": (0, shape[0] + 1), "CRVAL1": (0, 360), "CRVAL2": (-90, 90)}
    for key, (low, high) in limits.items():
        if not low <= numbers[key] <= high:
            raise UnusableError(f"its header says {key} = {numbers[key]}, not {low} to {high}", _REMEDY)
    area_deg2 = abs(numbers["CD1_1"] * numbers["CD2_2"] - numbers["CD1_2"] * numbers["CD2_1"])
    scale_arcsec = 3600 * math.sqrt(area_deg2)
    if not abs(scale_arcsec / PIXEL_SCALE_ARCSEC - 1) <= 0.01:
        raise UnusableError(f"its pixels are {scale_arcsec:.3g} arcsec wide, not {PIXEL_SCALE_ARCSEC}", _REMEDY)


def _check_agreement(wcs: WCS, solution: Row, shape: tuple[int, int]) -> None:
    """Raise `UnusableError` where the mean or a slope of the difference over the frame exceeds `DISAGREEMENT_ARCSEC`.

    What distortion leaves, up to 0.1 arcsec in the corners, has no mean and no slope.
    """
    along_y, along_x = (axis.ravel() for axis in np.mgrid[-1:1:3j, -1:1:3j])
    x, y = (along_x + 1) / 2 * (shape[1] - 1), (along_y + 1) / 2 * (shape[0] - 1)
    ra, dec = wcs.all_pix2world(x, y, 0)
    with np.errstate(all="ignore"):  # of a damaged table
        other_ra, other_dec = solution_position(solution, x, y)
        east = ((other_ra - ra + 180) % 360 - 180) * np.cos(np.radians(dec))
        terms = [
            (np.ones(9), 9),
            (along_x, 6),
            (along_y, 6),
        ]  # orthogonal on the grid; a slope is that over half a side
        worst = 3600 * max(abs(float(term @ off)) / norm for term, norm in terms for off in (east, other_dec - dec))
    if not worst <= DISAGREEMENT_ARCSEC:
        cause = f"its header and its table asTrans put it {worst:.3g} arcsec apart, more than {DISAGREEMENT_ARCSEC}"
        raise UnusableError(cause, _REMEDY)


def solution_position(
    solution: Row, x: NDArray[np.floating], y: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Right ascension and declination in degrees, shaped as `x`, of 0-based pixels by asTrans, for sources of colour 0.

    Columns and rows of asTrans count from the corner of the first pixel. Distortion, then an affine map to longitude
    and latitude on the run's great circle, then a turn to the equator.
    """
    column, row = x + 0.5, y + 0.5
    row = row + sum(solution[f"DROW{power}"] * column**power for power in range(4))
    column = column + sum(solution[f"DCOL{power}"] * (x + 0.5) ** power for power in range(4))
    longitude = np.radians(solution["A"] + solution["B"] * row + solution["C"] * column - solution["NODE"])
    latitude = np.radians(solution["D"] + solution["E"] * row + solution["F"] * column)
    tilt = np.radians(solution["INCL"])
    towards_node = np.cos(longitude) * np.cos(latitude)
    across = np.sin(longitude) * np.cos(latitude) * np.cos(tilt) - np.sin(latitude) * np.sin(tilt)
    up = np.sin(longitude) * np.cos(latitude) * np.sin(tilt) + np.sin(latitude) * np.cos(tilt)
    ra = (np.degrees(np.arctan2(across, towards_node)) + solution["NODE"]) % 360
    return np.asarray(ra), np.degrees(np.arcsin(np.clip(up, -1, 1)))
