"""Reading a frame: one band's calibrated, sky-subtracted image of a field, as SDSS publishes it since DR8.

The file format is the survey's data model `frame-{band}-{run}-{camcol}-{field}.fits.bz2`:
https://data.sdss.org/datamodel/files/BOSS_PHOTOOBJ/frames/RERUN/RUN/CAMCOL/frame.html
"""

import stat
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray

from skygen.sky.astrometry import SOLUTION, read_wcs
from skygen.sky.field import FieldId, frame_name, parse_frame_name, parse_raw_name, shown
from skygen.sky.frame_file import MAX_BYTES, SIGNIFICANT_BITS, Hdu, Kind, Row, UnusableError, image, row, take_apart
from skygen.sky.unpack import unpack

__all__ = ["SHAPE", "SIGNIFICANT_BITS", "Frame", "FrameError", "is_raw", "read_frame"]

SHAPE = (1489, 2048)  # rows, columns
_DROPPED_BITS = 24 - SIGNIFICANT_BITS  # of a flux's 32
_FULL_WELL_COUNTS = 65535  # of a 16-bit converter
_MARGIN = 1.2  # over it: the brightest of 24 frames of the survey reach 0.91 of it
_BELOW_DARK_COUNTS = 100  # that the electronics' noise may take a pixel below no light at all
_EMPTY_PIXELS = 360  # of exactly zero in a row: the survey's frames have nine equal ones at most
_IDENTITY: dict[str, Kind] = {
    **dict.fromkeys(("RUN", "CAMCOL", "FIELD"), "number"),
    **dict.fromkeys(("FILTER", "RERUN"), "text"),
}
_SKY: dict[str, Kind] = dict.fromkeys(("ALLSKY", "XINTERP", "YINTERP"), "numbers")
_CALIBRATION_SPREAD = (0.8, 1.25)  # of a column's, against the median: within 0.98 to 1.02 on 24 frames
_CALIBRATION_STATED = (0.8, 1.3)  # of the header's, against the median: 0.86 to 1.07 on 24 frames


class FrameError(ValueError):
    """A file is not a usable frame; the message gives the file, the cause and what to do."""

    def __init__(self, path: Path, cause: str, remedy: str) -> None:
        super().__init__(path, cause, remedy)  # these make it anew where it crosses to another process
        self.path = path
        self.cause = cause
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.path.name}: {self.cause}; {self.remedy}"


@dataclass(frozen=True)
class Frame:
    """One band of a field: flux [H, W] float32 in nanomaggies, its WCS and the calibration in nanomaggies a count.

    The calibration is the median over the columns, which differ by 2 % at most.
    """

    field_id: FieldId
    band: str
    flux_nmgy: NDArray[np.float32]
    wcs: WCS
    nmgy_per_count: float


def read_frame(path: Path) -> Frame:
    """The frame in a file, plain or packed; raises `FrameError` where it is not one, `FileNotFoundError`.

    Its content says how it is packed (`skygen.sky.unpack`). What bz2 and gzip hold is guarded by checksums, what .fz
    holds where its packer wrote some. An uncompressed file has none: damage that makes an impossible frame is refused;
    that to a pixel which another sign or power of two leaves possible, or which moves the frame by less than half a
    pixel, is not noticed.
    """
    try:
        return _read(path)
    except UnusableError as found:
        raise FrameError(path, found.cause, found.remedy) from found


def _read(path: Path) -> Frame:
    band, field_id = _stated_by_name(path.name)
    hdus = take_apart(_content(path))
    _check_is_calibrated(hdus[0], band, field_id)
    if len(hdus) < 4:
        raise UnusableError(f"it holds {len(hdus)} of a frame's four HDUs: it is cut short")
    flux, calibration = image(hdus[0], SHAPE), image(hdus[1], SHAPE[1:])
    sky, solution = row(hdus[2], _SKY), row(hdus[3], _IDENTITY | SOLUTION)
    _check_identity(hdus[0], solution, band, field_id)
    nmgy_per_count = _check_calibration(hdus[0], calibration)
    _check_pixels(flux, float(calibration.max()), _check_sky(sky))
    return Frame(field_id, band, flux, read_wcs(hdus[0], solution, SHAPE), nmgy_per_count)


def _stated_by_name(name: str) -> tuple[str, FieldId]:
    raw = parse_raw_name(name)
    if raw is not None:
        raise is_raw(*raw)
    try:
        return parse_frame_name(name)
    except ValueError as error:
        raise UnusableError(str(error), "rename it, or leave it: it is not used") from None


def is_raw(band: str, field_id: FieldId) -> UnusableError:
    """Why an old fpC image is not used, and what to use instead."""
    cause = "it is an old fpC image: raw counts on a soft bias of 1000, without calibration"
    return UnusableError(cause, f"use the calibrated {frame_name(band, field_id)} of data release 8 or later")


def _content(path: Path) -> bytes:
    try:
        state = path.stat()
        if not stat.S_ISREG(state.st_mode):  # to open a pipe would wait for its writer
            raise UnusableError(f"it is no regular file, but {kind_of(state.st_mode)}", "put the file itself there")
        if state.st_size == 0:
            raise UnusableError("the file is empty")
        if state.st_size > MAX_BYTES:
            raise UnusableError(f"it has {state.st_size} bytes, and no frame more than {MAX_BYTES}")
        raw = path.read_bytes()
    except FileNotFoundError:
        if path.is_symlink():
            raise UnusableError(*broken_link(path)) from None
        raise
    except OSError as error:
        raise UnusableError(f"it cannot be read ({error.strerror})", "see to its permissions and its disk") from error
    return unpack(raw)


def broken_link(path: Path) -> tuple[str, str]:
    """Cause and remedy of a link that leads nowhere."""
    return f"it is a link to {shown(path.readlink())}, which is not there", "mend the link, or remove it"


def kind_of(mode: int) -> str:
    """What a file of `mode` is that is no regular one, in words."""
    kinds = {stat.S_ISDIR: "a folder", stat.S_ISFIFO: "a pipe", stat.S_ISSOCK: "a socket"}
    return next((words for test, words in kinds.items() if test(mode)), "a device")


def _check_is_calibrated(hdu: Hdu, band: str, field_id: FieldId) -> None:
    unit = hdu.value("BUNIT") if "BUNIT" in hdu else ""
    if unit == "nanomaggy":
        return
    if "SOFTBIAS" in hdu and "NMGY" not in hdu:
        raise is_raw(band, field_id)
    raise UnusableError(f"BUNIT is {unit!r}, not 'nanomaggy'", "use calibrated frames of data release 8 or later")


def _check_identity(hdu: Hdu, solution: Row, band: str, field_id: FieldId) -> None:
    """Raise `UnusableError` where header, asTrans and name tell of different frames; only asTrans has the field."""
    remedy = "fetch it again under its own name"
    by_header = (hdu.value("FILTER"), hdu.value("RUN"), hdu.value("CAMCOL"))
    by_name = (band, field_id.run, field_id.camcol)
    if by_header != by_name:
        raise UnusableError(f"its header says band, run, camcol {by_header}, its name {by_name}", remedy)
    by_table = (solution["FILTER"].decode("latin-1"), *(int(solution[key]) for key in ("RUN", "CAMCOL", "FIELD")))
    if by_table != (*by_name, field_id.field):
        cause = f"its table asTrans says band, run, camcol, field {by_table}, its name {(*by_name, field_id.field)}"
        raise UnusableError(cause, remedy)
    reruns = (hdu.value("RERUN") if "RERUN" in hdu else "", solution["RERUN"].decode("latin-1"))
    if reruns[0] not in ("", reruns[1]):
        raise UnusableError(f"its header says rerun {reruns[0]!r}, its table asTrans {reruns[1]!r}", remedy)


def _check_calibration(hdu: Hdu, calibration: NDArray[np.float32]) -> float:
    """The median of `calibration`; raises `UnusableError` where a column or the header departs too far from it."""
    middle, stated = float(np.median(calibration)), hdu.number("NMGY")
    if not (0 < middle < np.inf and stated > 0):
        raise UnusableError(f"its calibration is {middle} nanomaggies a count, NMGY {stated}: not positive numbers")
    low, high = float(calibration.min()) / middle, float(calibration.max()) / middle
    if not _CALIBRATION_SPREAD[0] <= low <= high <= _CALIBRATION_SPREAD[1]:
        raise UnusableError(f"its calibration varies from {low:.3g} to {high:.3g} of its median over the columns")
    if not _CALIBRATION_STATED[0] <= stated / middle <= _CALIBRATION_STATED[1]:
        raise UnusableError(f"NMGY is {stated}, its calibration by column {middle:.6g}")
    return middle


def _check_sky(sky: Row) -> float:
    """The brightest sky in counts; raises `UnusableError` where the table has no sky, or places that do not ascend."""
    darkest, brightest = float(sky["ALLSKY"].min()), float(sky["ALLSKY"].max())
    ascend = all((sky[axis][1:] > sky[axis][:-1]).all() for axis in ("XINTERP", "YINTERP"))
    if not (0 < darkest <= brightest < _FULL_WELL_COUNTS and ascend):
        cause = f"its table of the sky goes from {darkest:.3g} to {brightest:.3g} counts"
        raise UnusableError(cause if ascend else "its table of the sky has places that do not ascend")
    return brightest


def _check_pixels(flux: NDArray[np.float32], nmgy_per_count: float, sky_counts: float) -> None:
    """Raise `UnusableError` where pixels are none that the survey could have written."""
    faintest, brightest = float(flux.min()), float(flux.max())
    if not np.isfinite(faintest + brightest):
        raise UnusableError(f"{flux.size - int(np.isfinite(flux).sum())} pixels are NaN or infinite")
    if faintest == brightest:
        raise UnusableError(f"every pixel is {faintest}")
    whole = flux.size // _EMPTY_PIXELS * _EMPTY_PIXELS
    if not flux.reshape(-1)[:whole].reshape(-1, _EMPTY_PIXELS).any(axis=1).all():
        raise UnusableError(f"{_EMPTY_PIXELS} pixels in a row are zero")
    if np.bitwise_or.reduce(flux.view(np.uint32), axis=None) & np.uint32((1 << _DROPPED_BITS) - 1):
        raise UnusableError(f"the last {_DROPPED_BITS} bits of its pixels are not all zero, as the survey writes them")
    lowest, highest = -(sky_counts + _BELOW_DARK_COUNTS) * nmgy_per_count, _MARGIN * _FULL_WELL_COUNTS * nmgy_per_count
    if not lowest <= faintest <= brightest <= highest:
        cause = f"its pixels go from {faintest:.4g} to {brightest:.4g} nmgy"
        raise UnusableError(f"{cause}, beyond what a CCD can hold ({lowest:.3g} to {highest:.3g})")
