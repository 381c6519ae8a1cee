"""Writing a frame as the survey does: image, calibration vector, sky table, astrometric table, in bz2."""

import bz2
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from skygen.files import write_atomically
from skygen.sky.frame import Frame

SKY_BINNING = 8  # pixels of the image along a side of a pixel of the sky table


@dataclass(frozen=True)
class FullFrame(Frame):
    """A frame with all that its file holds.

    `calibration_nmgy_per_count` [W] is that of each column; `sky_counts`, shaped `sky_shape((H, W))`, is the sky that
    was subtracted, interpolated at `sky_grid((H, W))`.
    """

    calibration_nmgy_per_count: NDArray[np.float32]
    sky_counts: NDArray[np.float32]


def sky_grid(shape: tuple[int, int]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Where the columns [W] and rows [H] of an image lie in its sky table, in 0-based pixels of that table."""
    x = (np.arange(shape[1]) + 0.5) / SKY_BINNING - 0.5
    y = (np.arange(shape[0]) + 0.5) / SKY_BINNING + 0.5
    return x.astype(np.float32), y.astype(np.float32)


def sky_shape(shape: tuple[int, int]) -> tuple[int, int]:
    """The shape of an image's sky table: (192, 256) for a whole frame."""
    return shape[0] // SKY_BINNING + 6, shape[1] // SKY_BINNING


def write_frame(path: Path, frame: FullFrame, origin: str) -> None:
    """Write `frame` to a `.fits` or `.fits.bz2` file, whole or not at all; `origin` goes into its header."""
    hdus = fits.HDUList(
        [
            fits.PrimaryHDU(frame.flux_nmgy, _header(frame, origin)),
            fits.ImageHDU(frame.calibration_nmgy_per_count),
            _sky_table(frame),
            _astrometric_table(frame),
        ]
    )
    stream = io.BytesIO()
    hdus.writeto(stream)
    content = bz2.compress(stream.getvalue()) if path.suffix == ".bz2" else stream.getvalue()
    with write_atomically(path) as temporary:
        temporary.write_bytes(content)


def _header(frame: Frame, origin: str) -> fits.Header:
    ra, dec = frame.wcs.wcs.crval
    x, y = frame.wcs.wcs.crpix
    cd = frame.wcs.pixel_scale_matrix
    cards = [
        ("ORIGIN", origin, ""),
        ("RUN", frame.field_id.run, "Run number"),
        ("FRAME", frame.field_id.field, "Frame sequence number within the run"),
        ("EXPTIME", "53.907456", "Exposure time (seconds)"),
        ("EQUINOX", 2000.0, ""),
        ("BUNIT", "nanomaggy", "1 nanomaggy = 3.631e-6 Jy"),
        ("FILTER", frame.band, "filter used"),
        ("CAMCOL", frame.field_id.camcol, "column in the imaging camera"),
        ("RADECSYS", "ICRS", "International Celestial Ref. System"),
        ("CTYPE1", "RA---TAN", "Coordinate type"),
        ("CTYPE2", "DEC--TAN", "Coordinate type"),
        ("CUNIT1", "deg", "Units"),
        ("CUNIT2", "deg", "Units"),
        ("CRPIX1", x, "X of reference pixel"),
        ("CRPIX2", y, "Y of reference pixel"),
        ("CRVAL1", ra, "RA of reference pixel (deg)"),
        ("CRVAL2", dec, "Dec of reference pixel (deg)"),
        ("CD1_1", cd[0, 0], "RA deg per column pixel"),
        ("CD1_2", cd[0, 1], "RA deg per row pixel"),
        ("CD2_1", cd[1, 0], "Dec deg per column pixel"),
        ("CD2_2", cd[1, 1], "Dec deg per row pixel"),
        ("NMGY", frame.nmgy_per_count, "Calibration factor [nMgy per count]"),
    ]
    return fits.Header([fits.Card(*card) for card in cards])


def _sky_table(frame: FullFrame) -> fits.BinTableHDU:
    height, width = frame.sky_counts.shape
    x, y = sky_grid((frame.flux_nmgy.shape[0], frame.flux_nmgy.shape[1]))
    return fits.BinTableHDU.from_columns(
        [
            fits.Column("ALLSKY", f"{height * width}E", dim=f"({width}, {height})", array=frame.sky_counts[None]),
            fits.Column("XINTERP", f"{x.size}E", array=x[None]),
            fits.Column("YINTERP", f"{y.size}E", array=y[None]),
        ]
    )


def _astrometric_table(frame: Frame) -> fits.BinTableHDU:
    """The table asTrans: affine from row and column to longitude and latitude on a great circle.

    The circle chosen is the one that touches the parallel of declination at the reference pixel: near it, longitude
    and latitude are the tangent plane's coordinates, to milliarcseconds within a field. Colour terms are zero.
    """
    ra, dec = frame.wcs.wcs.crval
    column, row = frame.wcs.wcs.crpix - 0.5  # asTrans counts from the corner of the first pixel
    cd = frame.wcs.pixel_scale_matrix
    height, width = frame.flux_nmgy.shape
    whole: dict[str, tuple[str, object]] = {
        "RUN": ("J", frame.field_id.run),
        "RERUN": ("3A", "301"),
        "CAMCOL": ("J", frame.field_id.camcol),
        "FILTER": ("A", frame.band),
        "NODE": ("D", (ra - 90) % 360),
        "INCL": ("D", dec),
        "NAXIS": ("2J", [width, height]),
        "FIELD": ("J", frame.field_id.field),
    }
    affine = {
        "A": ra - cd[0, 1] * row - cd[0, 0] * column,
        "B": cd[0, 1],
        "C": cd[0, 0],
        "D": -cd[1, 1] * row - cd[1, 0] * column,
        "E": cd[1, 1],
        "F": cd[1, 0],
    }
    distortion = [f"{prefix}{power}" for prefix in ("DROW", "DCOL") for power in range(4)]
    zero = dict.fromkeys([*distortion, "CSROW", "CSCOL", "CCROW", "CCCOL", "RICUT", "MJD", "AIRMASS"], 0.0)
    columns = whole | {name: ("D", value) for name, value in (affine | zero).items()}
    columns |= dict.fromkeys(("MUERR", "NUERR"), ("E", 0.0))
    return fits.BinTableHDU.from_columns(
        [fits.Column(name, form, array=np.array([value])) for name, (form, value) in columns.items()]
    )
