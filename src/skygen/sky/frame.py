"""Reading a frame: one band's calibrated, sky-subtracted image of a field, as SDSS publishes it since DR8.

The file format is the survey's data model `frame-{band}-{run}-{camcol}-{field}.fits.bz2`:
https://data.sdss.org/datamodel/files/BOSS_PHOTOOBJ/frames/RERUN/RUN/CAMCOL/frame.html
"""

import bz2
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.io.fits.verify import VerifyError
from astropy.utils.exceptions import AstropyWarning
from astropy.wcs import WCS
from numpy.typing import NDArray

from skygen.sky.field import FieldId, parse_frame_name

SHAPE = (1489, 2048)  # rows, columns
PIXEL_SCALE_ARCSEC = 0.396
_FITS_BLOCK_BYTES = 2880
_PROJECTION = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CUNIT1": "deg", "CUNIT2": "deg"}
_WCS_NUMBERS = ("CRPIX1", "CRPIX2", "CRVAL1", "CRVAL2", "CD1_1", "CD1_2", "CD2_1", "CD2_2")
_KEYS = (*("RUN", "CAMCOL", "FILTER", "BUNIT", "NMGY"), *_PROJECTION, *_WCS_NUMBERS)

Header = Mapping[str, Any]


class FrameError(ValueError):
    """A file is not a usable frame; the message gives the file, the cause and what to do."""

    def __init__(self, path: Path, cause: str, remedy: str) -> None:
        super().__init__(f"{path.name}: {cause}; {remedy}")


@dataclass(frozen=True)
class Frame:
    """One band of a field: flux [H, W] float32 in nanomaggies, its WCS and the calibration in nanomaggies a count."""

    field_id: FieldId
    band: str
    flux_nmgy: NDArray[np.float32]
    wcs: WCS
    nmgy_per_count: float


def read_frame(path: Path) -> Frame:
    """The frame in a `.fits` or `.fits.bz2` file; raises `FrameError` where it is not one, `FileNotFoundError`."""
    try:
        band, field_id = parse_frame_name(path.name)
    except ValueError as error:
        raise FrameError(path, str(error), "rename it or remove it from the folder") from None
    header, flux = _open(path, path.read_bytes())
    _check_identity(path, header, band, field_id)
    _check_pixels(path, flux)
    return Frame(field_id, band, flux, _wcs(path, header), _calibration(path, header))


def _open(path: Path, raw: bytes) -> tuple[Header, NDArray[np.float32]]:
    again = "fetch the file again"
    if not raw:
        raise FrameError(path, "the file is empty", again)
    try:
        content = bz2.decompress(raw) if path.suffix == ".bz2" else raw
    except (OSError, ValueError, EOFError) as error:
        raise FrameError(path, f"bz2 cannot decode it ({error})", again) from error
    if len(content) % _FITS_BLOCK_BYTES:
        cause = f"it holds {len(content)} bytes, no whole number of FITS blocks of {_FITS_BLOCK_BYTES}: it is cut short"
        raise FrameError(path, cause, again)
    try:
        with fits.open(io.BytesIO(content), memmap=False) as hdus:
            header = {key: hdus[0].header[key] for key in _KEYS if key in hdus[0].header}
            data = hdus[0].data
    except (OSError, ValueError, TypeError, KeyError, VerifyError, AstropyWarning) as error:
        raise FrameError(path, f"astropy cannot read it as FITS ({error})", again) from error
    if data is None or data.dtype.kind != "f":
        raise FrameError(path, "its first HDU holds no image of floats", again)
    return header, data.astype(np.float32)


def _check_identity(path: Path, header: Header, band: str, field_id: FieldId) -> None:
    stated = (str(header.get("FILTER", "")).strip(), header.get("RUN"), header.get("CAMCOL"))
    expected = (band, field_id.run, field_id.camcol)
    if stated != expected:
        cause = f"its header says band, run, camcol {stated}, its name {expected}"
        raise FrameError(path, cause, "give the file the name its header states")
    unit = str(header.get("BUNIT", "")).strip()
    if unit != "nanomaggy":
        cause = f"BUNIT is {unit!r}, not 'nanomaggy'"
        raise FrameError(path, cause, "use calibrated frames of DR8 or later, not raw fpC images")


def _check_pixels(path: Path, flux: NDArray[np.float32]) -> None:
    if flux.shape != SHAPE:
        raise FrameError(path, f"its image has shape {flux.shape}, not {SHAPE}", "fetch the file again")
    bad = int(np.size(flux) - np.isfinite(flux).sum())
    if bad:
        raise FrameError(path, f"{bad} pixels are NaN or infinite", "fetch the file again")
    if flux.min() == flux.max():
        raise FrameError(path, f"every pixel is {flux[0, 0]}", "fetch the file again")


def _wcs(path: Path, header: Header) -> WCS:
    remedy = "use frames with the survey's astrometry"
    missing = [key for key in (*_PROJECTION, *_WCS_NUMBERS) if key not in header]
    if missing:
        raise FrameError(path, f"its header lacks {', '.join(missing)}", remedy)
    stated = {key: header[key] for key in _PROJECTION}
    if stated != _PROJECTION:
        raise FrameError(path, f"its projection is {stated}, not {_PROJECTION}", remedy)
    numbers = {key: header[key] for key in _WCS_NUMBERS}
    wrong = {
        key: value for key, value in numbers.items() if isinstance(value, bool) or not isinstance(value, float | int)
    }
    if wrong:
        raise FrameError(path, f"{wrong} are no numbers", remedy)
    area_deg2 = abs(numbers["CD1_1"] * numbers["CD2_2"] - numbers["CD1_2"] * numbers["CD2_1"])
    scale_arcsec = 3600 * math.sqrt(area_deg2)
    if abs(scale_arcsec / PIXEL_SCALE_ARCSEC - 1) > 0.01:
        raise FrameError(path, f"its pixels are {scale_arcsec:.3g} arcsec wide, not {PIXEL_SCALE_ARCSEC}", remedy)
    # Of these keys alone: about the rest (RADECSYS, DATE-OBS in the style of 1998) astropy warns, and silencing a
    # warning is not safe beside other threads.
    return WCS(fits.Header([*stated.items(), *numbers.items()]))


def _calibration(path: Path, header: Header) -> float:
    value = header.get("NMGY")
    if not isinstance(value, float | int) or not value > 0:
        raise FrameError(path, f"NMGY is {value!r}, not a positive number", "use calibrated frames of DR8 or later")
    return float(value)
