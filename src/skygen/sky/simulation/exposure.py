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
from skygen.sky.frame import SHAPE
from skygen.sky.frame_format import sky_shape
from skygen.sky.registration import sky_position
from skygen.sky.simulation.artefacts import Trail
from skygen.sky.simulation.optics import Optics
from skygen.sky.spread import CALIBRATION_NMGY_PER_COUNT, FULL_WELL_COUNTS, GLOW
from skygen.sky.units import PIXEL_SCALE_ARCSEC

BANDS = ("g", "r", "i")
FIRST_RUN = 900001  # beyond every run of the survey
CALIBRATION_SPREAD = 0.02  # of it, by which a frame departs at most
SKY_COUNTS = {"g": (54.0, 105.0), "r": (94.0, 184.0), "i": (115.0, 270.0)}
SEEING_ARCSEC = (1.36, 0.17)  # in r: mean and standard deviation
SEEING_LIMITS_ARCSEC = (0.94, 1.68)  # in any band
SEEING_RATIO = {"g": (1.04, 0.07), "r": (1.0, 0.0), "i": (0.965, 0.06)}  # to that in r: mean and standard deviation
PSF_SHEAR = 0.034  # standard deviation; two thirds of it is the bands' in common
OFFSET_X_PX = {"g": (-2.0, 5.5), "i": (-1.9, 2.8)}  # of a source in a band, against its place in r
OFFSET_Y_PX = {"g": (9.0, 13.9), "i": (2.6, 3.7)}
TRAIL_SHARE = 0.01  # of the frames; the bands of a field are minutes apart, so that a trail is in one of them
TRAIL_NMGY_PER_PX = (0.15, 15.0)  # of its length, drawn evenly in the logarithm
TRAIL_WIDTH_PX = (1.3, 2.5)  # standard deviation across: a near satellite is out of focus


@dataclass(frozen=True)
class Exposure:
    """What a frame was taken with: place, sharpness, sky and sensitivity, and a satellite's trail if one crossed it."""

    field_id: FieldId
    band: str
    wcs: WCS
    optics: Optics
    sky_counts: NDArray[np.float32]  # as in FullFrame
    calibration_nmgy_per_count: NDArray[np.float32]
    full_well_counts: float
    trail: Trail | None = None


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


def draw_pointing(rng: np.random.Generator, index: int, shape: tuple[int, int] = SHAPE) -> WCS:
    """The WCS in r of simulated field `index`: its centre is the field's, its angle random."""
    return _tangent_plane(field_centre(index), rng.uniform(-0.8, 0.8), PIXEL_SCALE_ARCSEC, shape)


def shifted(pointing: WCS, dx_px: float, dy_px: float, shape: tuple[int, int] = SHAPE) -> WCS:
    """The WCS whose pixel (x, y) lies where `pointing` has (x + dx_px, y + dy_px), to a pixel within two fields.

    It touches the sky at its own centre, as each field's does. A shift of 1361 px in y is the next field of a run.
    """
    centre = pointing.wcs.crpix - 1 + np.array([dx_px, dy_px])
    ra, dec = sky_position(pointing, *np.array([centre, centre + np.array([0, 10])]).T)
    north = _tangent_plane((float(ra[0]), float(dec[0])), 0.0, PIXEL_SCALE_ARCSEC, shape)
    up = np.array(north.all_world2pix(ra[1], dec[1], 0)) - (north.wcs.crpix - 1)
    return _tangent_plane((float(ra[0]), float(dec[0])), np.arctan2(-up[0], up[1]), PIXEL_SCALE_ARCSEC, shape)


def draw_exposures(
    rng: np.random.Generator, identity: FieldId, pointing: WCS, shape: tuple[int, int] = SHAPE
) -> dict[str, Exposure]:
    """The conditions by band of the field `identity`, whose r frame has the WCS `pointing`.

    Brightness of the sky goes together in all bands, and so does seeing for the most part.
    """
    seeing = rng.normal(*SEEING_ARCSEC)
    shear = PSF_SHEAR * rng.standard_normal(2)
    brightness, spikes = rng.random(), rng.uniform(0, np.pi / 2)
    exposures = {}
    for band in BANDS:
        fwhm_px = np.clip(seeing * rng.normal(*SEEING_RATIO[band]), *SEEING_LIMITS_ARCSEC) / PIXEL_SCALE_ARCSEC
        g1, g2 = shear * 2 / 3 + PSF_SHEAR / 3 * rng.standard_normal(2)
        calibration = CALIBRATION_NMGY_PER_COUNT[band]
        exposures[band] = Exposure(
            field_id=identity,
            band=band,
            wcs=pointing if band == "r" else _offset(rng, pointing, band, shape),
            optics=Optics(fwhm_px, galsim.Shear(g1=g1, g2=g2), GLOW[band], spikes),
            sky_counts=_sky_plane(rng, np.interp(brightness, (0, 1), SKY_COUNTS[band]), sky_shape(shape)),
            calibration_nmgy_per_count=_calibration(rng, np.interp(brightness, (0, 1), calibration), shape[1]),
            full_well_counts=rng.uniform(*FULL_WELL_COUNTS),
            trail=_trail(rng, shape) if rng.random() < TRAIL_SHARE else None,
        )
    return exposures


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


def _calibration(rng: np.random.Generator, level: float, width: int) -> NDArray[np.float32]:
    """Nanomaggies a count by column [W]: 0.1 % of the flat field varies over the CCD."""
    phase = 2 * np.pi * (rng.random() + rng.uniform(1, 3) * np.arange(width) / width)
    level *= rng.uniform(1 - CALIBRATION_SPREAD, 1 + CALIBRATION_SPREAD)
    return (level * (1 + 0.0007 * np.sin(phase))).astype(np.float32)


def _trail(rng: np.random.Generator, shape: tuple[int, int]) -> Trail:
    return Trail(
        x_px=rng.uniform(0, shape[1]),
        y_px=rng.uniform(0, shape[0]),
        angle_rad=rng.uniform(0, np.pi),
        nmgy_per_px=float(np.exp(rng.uniform(*np.log(TRAIL_NMGY_PER_PX)))),
        width_px=rng.uniform(*TRAIL_WIDTH_PX),
    )
