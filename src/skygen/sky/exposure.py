"""What a simulated field was taken with: its place and name, and by band sharpness, sky and sensitivity.

The ranges are those of eight fields of the survey at high galactic latitude.
"""

from dataclasses import dataclass

import astropy.units as u
import galsim
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS
from numpy.typing import NDArray

from skygen.sky.field import FieldId
from skygen.sky.frame import PIXEL_SCALE_ARCSEC, SHAPE
from skygen.sky.frame_format import sky_shape
from skygen.sky.registration import sky_position

BANDS = ("g", "r", "i")
FIRST_RUN = 900001  # beyond every run of the survey
MOFFAT_BETA = 3.0
CALIBRATION_NMGY_PER_COUNT = {"g": (0.0032, 0.0041), "r": (0.0048, 0.0052), "i": (0.0062, 0.0069)}
SKY_COUNTS = {"g": (56.0, 96.0), "r": (98.0, 170.0), "i": (120.0, 255.0)}
SEEING_RATIO = {"g": 1.07, "r": 1.0, "i": 0.93}  # of the width to that in r
OFFSET_X_PX = {"g": (-2.0, 6.0), "i": (-2.0, 3.0)}  # of a source in a band, against its place in r
OFFSET_Y_PX = {"g": (9.0, 14.0), "i": (2.6, 3.7)}


@dataclass(frozen=True)
class Exposure:
    """What a frame was taken with: place, sharpness, sky and sensitivity."""

    field_id: FieldId
    band: str
    wcs: WCS
    psf: galsim.GSObject  # in pixels, of flux 1
    sky_counts: NDArray[np.float32]  # as in FullFrame
    calibration_nmgy_per_count: NDArray[np.float32]


def field_id(index: int) -> FieldId:
    """The name of simulated field `index`: a run of its own."""
    return FieldId(FIRST_RUN + index, 1 + index % 6, 11 + index % 800)


def field_centre(index: int) -> tuple[float, float]:
    """Right ascension and declination in degrees of simulated field `index`.

    A low-discrepancy sequence (Roberts 2018, R2) over the two caps more than 30 degrees off the galactic plane: any
    two of the first 2,000 fields lie more than a degree apart, four times the length of a frame.
    """
    u1, u2 = (index * 0.7548776662466927) % 1, (index * 0.5698402909980532) % 1
    latitude = np.degrees(np.arcsin(0.5 + 0.48 * u1)) * (1 if index % 2 == 0 else -1)
    place = SkyCoord(l=360 * u2 * u.deg, b=latitude * u.deg, frame="galactic").icrs
    return float(place.ra.deg), float(place.dec.deg)


def draw_exposures(rng: np.random.Generator, index: int, shape: tuple[int, int] = SHAPE) -> dict[str, Exposure]:
    """The conditions of field `index` by band: seeing and brightness of the sky go together in all bands."""
    seeing_px = np.clip(rng.normal(1.22, 0.12), 1.02, 1.5) / PIXEL_SCALE_ARCSEC
    shear = galsim.Shear(g=abs(rng.normal(0, 0.02)), beta=rng.uniform(0, 180) * galsim.degrees)
    brightness = rng.random()
    reference = _tangent_plane(field_centre(index), rng.uniform(-0.8, 0.8), PIXEL_SCALE_ARCSEC, shape)
    return {
        band: Exposure(
            field_id=field_id(index),
            band=band,
            wcs=reference if band == "r" else _offset(rng, reference, band, shape),
            psf=galsim.Moffat(beta=MOFFAT_BETA, fwhm=seeing_px * SEEING_RATIO[band]).shear(shear),
            sky_counts=_sky_plane(rng, np.interp(brightness, (0, 1), SKY_COUNTS[band]), sky_shape(shape)),
            calibration_nmgy_per_count=_calibration(rng, band, shape[1]),
        )
        for band in BANDS
    }


def _tangent_plane(centre: tuple[float, float], angle: float, scale_arcsec: float, shape: tuple[int, int]) -> WCS:
    """A WCS as the survey's: north along the columns and east along the rows, turned by `angle` in radians."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.cunit = ["deg", "deg"]
    wcs.wcs.crpix = [shape[1] // 2 + 1, shape[0] // 2 + 1]
    wcs.wcs.crval = centre
    sine, cosine = np.sin(angle), np.cos(angle)
    wcs.wcs.cd = scale_arcsec / 3600 * np.array([[sine, cosine], [cosine, -sine]])
    wcs.wcs.set()
    return wcs


def _offset(rng: np.random.Generator, reference: WCS, band: str, shape: tuple[int, int]) -> WCS:
    """`reference` as another band sees it: shifted by several pixels, turned and scaled by 1e-4."""
    shift = np.array([rng.uniform(*OFFSET_X_PX[band]), rng.uniform(*OFFSET_Y_PX[band])])
    x, y = reference.wcs.crpix - 1 - shift
    ra, dec = sky_position(reference, np.asarray(x), np.asarray(y))
    angle = np.arctan2(reference.wcs.cd[0, 0], reference.wcs.cd[0, 1]) + rng.normal(0, 1e-4)
    return _tangent_plane((float(ra), float(dec)), angle, PIXEL_SCALE_ARCSEC * (1 + rng.normal(0, 1e-4)), shape)


def _sky_plane(rng: np.random.Generator, level_counts: float, shape: tuple[int, int]) -> NDArray[np.float32]:
    y, x = np.mgrid[: shape[0], : shape[1]]
    slope_y, slope_x = rng.normal(0, 0.0015, 2)
    tilt = slope_y * (y / shape[0] - 0.5) + slope_x * (x / shape[1] - 0.5)
    return np.asarray(level_counts * rng.uniform(0.95, 1.05) * (1 + tilt), dtype=np.float32)


def _calibration(rng: np.random.Generator, band: str, width: int) -> NDArray[np.float32]:
    """Nanomaggies a count by column [W]: 0.1 % of the flat field varies over the CCD."""
    phase = 2 * np.pi * (rng.random() + rng.uniform(1, 3) * np.arange(width) / width)
    level = rng.uniform(*CALIBRATION_NMGY_PER_COUNT[band])
    return (level * (1 + 0.0007 * np.sin(phase))).astype(np.float32)
