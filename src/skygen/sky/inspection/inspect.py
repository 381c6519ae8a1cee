"""What a field holds, measured once: its sources, how dense they are, each band's PSF and noise, what spoils parts."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from skygen.files import write_atomically
from skygen.params import SOURCE_SNR_FLOOR
from skygen.sky.conditions import Density
from skygen.sky.field import FieldId
from skygen.sky.frame import Frame
from skygen.sky.inspection.binned import align, bin_pixels, flatten, mark_sources
from skygen.sky.inspection.bright import find_bright
from skygen.sky.inspection.defects import DEFECT, Capsule, find_masked, table
from skygen.sky.inspection.density import count_sources, density
from skygen.sky.inspection.detection import SOURCE, detect
from skygen.sky.inspection.psf import MIN_STARS, Psf, centre, choose_stars, measure_psf
from skygen.sky.inspection.trails import find_trails
from skygen.sky.noise import pixel_noise, sky_level
from skygen.sky.readout import Half, halves_of
from skygen.sky.registration import sky_position

REFERENCE = "r"  # the band in which sources are found
OFFSET = np.dtype([("band", "U1"), ("x_px", "f8"), ("y_px", "f8")])
_TABLES = {"SOURCES": SOURCE, "DEFECTS": DEFECT, "OFFSETS": OFFSET}


class InspectionError(ValueError):
    """A field cannot be measured; `cause` says why, `remedy` what to do."""

    def __init__(self, cause: str, remedy: str) -> None:
        super().__init__(f"{cause}; {remedy}")
        self.cause, self.remedy = cause, remedy


@dataclass(frozen=True)
class Inspection:
    """What a field holds: sources found in r and their density, defects of all bands, by band PSF, noise and level.

    Noise is that of the whole frame, by which sources are found, and that of each half; the sky level is each half's.
    """

    sources: NDArray[np.void]  # [sources] of type SOURCE, in pixels of r
    defects: NDArray[np.void]  # [defects] of type DEFECT, in pixels of their band
    psf_fwhm_arcsec: dict[str, float]
    psf_stars: dict[str, int]
    sky_noise_nmgy: dict[str, float]
    half_noise_nmgy: dict[str, dict[Half, float]]
    half_level_nmgy: dict[str, dict[Half, float]]
    offset_px: dict[str, tuple[float, float]]  # in x and y, of the stars from where the bands' WCS and r expect them
    density: Density


def inspect_field(frames: Mapping[str, Frame]) -> Inspection:
    """What the field of `frames` (by band, r among them) holds.

    Raises `InspectionError` where a band has no noise, or fewer than 5 stars to measure the PSF with, or where light
    fills the field.
    """
    noise = {band: _noise(frame.flux_nmgy, band) for band, frame in frames.items()}
    halves = {band: halves_of(frame.flux_nmgy) for band, frame in frames.items()}
    sources = _detect(frames[REFERENCE], noise[REFERENCE])
    stars = choose_stars(sources, frames[REFERENCE].flux_nmgy.shape)
    x, y, found = centre(frames[REFERENCE].flux_nmgy, stars["x"], stars["y"])
    psfs = {band: _psf(frames[REFERENCE], frame, x[found], y[found]) for band, frame in frames.items()}
    defects = _defects(frames, sources, noise, psfs)
    in_reference = defects[defects["band"] == REFERENCE]
    counted = count_sources(frames[REFERENCE], noise[REFERENCE], stars, in_reference)
    return Inspection(
        sources=sources,
        defects=defects,
        psf_fwhm_arcsec={band: psf.fwhm_arcsec for band, psf in psfs.items()},
        psf_stars={band: psf.stars for band, psf in psfs.items()},
        sky_noise_nmgy=noise,
        half_noise_nmgy={band: {half: _noise(part, band) for half, part in of.items()} for band, of in halves.items()},
        half_level_nmgy={band: {half: sky_level(part) for half, part in of.items()} for band, of in halves.items()},
        offset_px={band: psf.offset_px for band, psf in psfs.items()},
        density=density(counted, frames[REFERENCE].flux_nmgy.shape),
    )


def write_inspection(path: Path, inspection: Inspection, field_id: FieldId) -> None:
    """Write sources, defects and offsets as tables of a FITS file, whole or not at all; same input, same bytes."""
    offsets = np.array([(band, *offset) for band, offset in inspection.offset_px.items()], dtype=OFFSET)
    hdus = fits.HDUList([fits.PrimaryHDU(header=fits.Header([("FIELD", str(field_id), "run-camcol-field")]))])
    for name, content in zip(_TABLES, (inspection.sources, inspection.defects, offsets), strict=True):
        hdu = fits.BinTableHDU(content, name=name)
        hdu.add_checksum(when="")  # astropy's own comment would be the time
        hdus.append(hdu)
    stream = io.BytesIO()
    hdus.writeto(stream)
    with write_atomically(path) as temporary:
        temporary.write_bytes(stream.getvalue())


def read_inspection(path: Path) -> tuple[NDArray[np.void], NDArray[np.void]]:
    """The sources and the defects that `write_inspection` wrote.

    Raises `FileNotFoundError` where there is no such file, `ValueError` where it is damaged.
    """
    tables = _read(path)
    return tables["SOURCES"], tables["DEFECTS"]


def read_offsets(path: Path) -> dict[str, tuple[float, float]]:
    """By band, how far in x and y (px) its stars lie from where its WCS and r expect them; raises as `read_inspection`.

    The survey's WCS leaves out what the atmosphere does to light of another colour: 0.1 px on average between g and r.
    """
    return {str(row["band"]): (float(row["x_px"]), float(row["y_px"])) for row in _read(path)["OFFSETS"]}


def _read(path: Path) -> dict[str, NDArray[np.void]]:
    content = path.read_bytes()
    try:
        with fits.open(io.BytesIO(content), memmap=False) as hdus:
            return {name: _table(hdus[name], dtype) for name, dtype in _TABLES.items()}
    except Exception as error:  # whatever astropy raises about bytes that are no FITS
        raise ValueError(f"{path} is damaged ({error}); make it anew with the stage frames") from error


def _table(hdu: fits.BinTableHDU, dtype: np.dtype[np.void]) -> NDArray[np.void]:
    if hdu.verify_checksum() != 1:
        raise ValueError(f"the checksum of its table {hdu.name} is wrong or missing")
    table = np.zeros(len(hdu.data), dtype)
    for column in dtype.names or ():
        table[column] = hdu.data[column]
    return table


def _noise(flux_nmgy: NDArray[np.floating], band: str) -> float:
    noise = pixel_noise(flux_nmgy)
    if noise == 0:
        raise InspectionError(f"more than half of the pixels in {band} are equal", "fetch the file again")
    return noise


def _detect(frame: Frame, noise: float) -> NDArray[np.void]:
    try:
        return detect(frame.flux_nmgy, noise, SOURCE_SNR_FLOOR)
    except Exception as error:  # sep has no class of its own for a sky too full for its buffers
        raise InspectionError(
            f"its sources in {REFERENCE} cannot be told apart ({error})", "leave the field out"
        ) from error


def _psf(reference: Frame, frame: Frame, x: NDArray[np.float64], y: NDArray[np.float64]) -> Psf:
    psf = measure_psf(frame.flux_nmgy, *_places(reference, frame, x, y))
    if psf is None:
        cause = f"fewer than {MIN_STARS} isolated stars in {frame.band} are bright enough to measure its PSF"
        raise InspectionError(cause, "leave the field out")
    return psf


def _places(
    reference: Frame, frame: Frame, x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where what lies at `x`, `y` in `reference` lies in `frame`, in px."""
    at_x, at_y = frame.wcs.all_world2pix(*sky_position(reference.wcs, x, y), 0)
    return at_x, at_y


def _defects(
    frames: Mapping[str, Frame], sources: NDArray[np.void], noise: Mapping[str, float], psfs: Mapping[str, Psf]
) -> NDArray[np.void]:
    binned = {band: bin_pixels(frame.flux_nmgy) for band, frame in frames.items()}
    flat = {band: flatten(image) for band, image in binned.items()}
    found: dict[str, list[Capsule]] = {}
    for band, frame in frames.items():
        x, y = _places(frames[REFERENCE], frame, sources["x"], sources["y"])
        others = [_onto(frame, frames[other], flat[other]) for other in frames if other != band]
        bright = find_bright(frame.flux_nmgy, binned[band], noise[band], frame.nmgy_per_count, psfs[band].peak, x, y)
        known = None if others else mark_sources(sources, bright, flat[band].shape)
        trails = [trail.capsule() for trail in find_trails(flat[band], others, known)]
        found[band] = [*trails, *bright, *find_masked(frame.flux_nmgy)]
    return table(found)


def _onto(frame: Frame, other: Frame, flat: NDArray[np.float32]) -> NDArray[np.float32]:
    """`flat` of `other`, moved onto `frame`."""
    x, y = np.array([frame.flux_nmgy.shape[1] / 2]), np.array([frame.flux_nmgy.shape[0] / 2])
    at_x, at_y = _places(frame, other, x, y)
    return align(flat, float(at_x[0] - x[0]), float(at_y[0] - y[0]))
