"""The truth of generated tiles: every object in them, its place on the invented sky, and the table TRUTH in FITS.

A table holds the columns of the process' own truth, and beside them `ra`, `dec` and `position_angle_deg`.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from skygen.formats.cards import Kind, cards, numbers
from skygen.formats.header import Header
from skygen.formats.origin import Origin, Truth
from skygen.formats.wcs import Cards, Place, position_angle, sky_position
from skygen.sky.units import ZERO_POINT_MAG

Rows = NDArray[Any]  # a structured array [n], one row an object
INDEX: Final = "index"
# Of every column its unit and meaning; BAND stands for each band.
_COLUMNS: Final = {
    INDEX: ("", "place of the tile among the tiles of the seed"),
    "object_id": ("", "the same for the same bundle and seed"),
    "class": ("", "star or galaxy"),
    "x": ("pix", "column of the centre, from 0 on"),
    "y": ("pix", "row of the centre, from 0 on"),
    "ra": ("deg", "right ascension, ICRS, fictitious"),
    "dec": ("deg", "declination, ICRS, fictitious"),
    "flux_BAND_nmgy": ("nanomaggy", "all its light in BAND"),
    "mag_BAND": ("mag", "22.5 - 2.5 log10 of its flux in BAND"),
    "flux_inside_BAND_nmgy": ("nanomaggy", "its light inside the image in BAND"),
    "half_light_radius_arcsec": ("arcsec", "along the major axis"),
    "axis_ratio": ("", "minor to major axis"),
    "angle_deg": ("deg", "of the major axis, from x towards y"),
    "position_angle_deg": ("deg", "of the major axis, north to east"),
    "bulge_share": ("", "share of a de Vaucouleurs profile"),
    "snr_BAND": ("", "signal to noise in BAND, matched filter"),
    "blend": ("", "neighbours' share of light within one FWHM"),
    "flags": ("", "1 off 2 cut 4 saturated 8 blended 16 unmodelled"),
}
_SKY: Final = {"ra": "f8", "dec": "f8", "position_angle_deg": "f4"}
_DIGITS: Final = 9


@lru_cache(maxsize=64)
def described(bands: tuple[str, ...]) -> dict[str, tuple[str, str]]:
    """The columns of a catalogue in their order: of each its unit and its meaning."""
    found: dict[str, tuple[str, str]] = {}
    for name, (unit, meaning) in _COLUMNS.items():
        for band in bands if "BAND" in name else ("",):
            found[name.replace("BAND", band)] = (unit, meaning.replace("BAND", band))
    return found


def truth_rows(truth: Truth, origin: Origin, place: int, with_index: bool = False) -> Rows:
    """The rows of the tile at `place` of an origin, with the columns of the sky, in the order of `described`.

    Where the tile lies beyond 45,000 px, its objects have no position: ra, dec and position angle are NaN. So is the
    magnitude of what has no flux. Raises `ValueError` where a column is missing, or the tile has no place on a plane.
    """
    rows, on_plane = truth.rows, place_of(origin, place)
    found = np.empty(len(rows), _dtype(rows.dtype, tuple(origin.bands), with_index))
    for name in found.dtype.names or ():
        found[name] = np.nan if name in _SKY else origin.index(place) if name == INDEX else rows[name]
    for band in origin.bands:
        found[f"mag_{band}"][~(rows[f"flux_{band}_nmgy"] > 0)] = np.nan
    if on_plane.is_on_sky:
        x, y, scale_arcsec = rows["x"] + on_plane.x, rows["y"] + on_plane.y, origin.pixel_scale_arcsec
        found["ra"], found["dec"] = sky_position(on_plane.plane, x, y, scale_arcsec)
        found["position_angle_deg"] = position_angle(on_plane.plane, x, y, rows["angle_deg"], scale_arcsec)
    return found


def place_of(origin: Origin, place: int) -> Place:
    """Where the tile at `place` lies; raises `ValueError` where it lies on no plane."""
    if origin.places is None:
        raise ValueError(f"tiles of {origin.recipe} lie on no plane and have no truth; ask a bundle of a process")
    return origin.places[place]


def truth_hdu(truth: Truth, origin: Origin, place: int, version: int) -> bytes:
    """The table HDU TRUTH of the tile at `place` of an origin, with checksums. Raises as `truth_rows`."""
    filled = numbers(origin, place) | truth_numbers([truth], origin)
    return table_hdu(truth_rows(truth, origin, place), Kind.of(origin), filled, version)


def table_hdu(
    rows: Rows,
    kind: Kind,
    filled: Mapping[str, int | float],
    version: int = 1,
    without: frozenset[str] = frozenset(),
) -> bytes:
    """The bytes of a table HDU TRUTH of rows as `truth_rows` gives them, with the numbers `filled` of its cards.

    `without` are keywords that it lacks.
    """
    header = _table_header(kind, rows.dtype, without)
    hdu = bytearray(header.size(rows.nbytes))
    hdu[len(header.content) : len(header.content) + rows.nbytes] = rows.astype(rows.dtype.newbyteorder(">")).tobytes()
    header.fill(memoryview(hdu), {"NAXIS2": len(rows), "EXTVER": version, **filled})
    return bytes(hdu)


def table_cards(kind: Kind, without: frozenset[str] = frozenset()) -> Cards:
    """The cards of a table of tiles of a kind, less `without`, with 0 for what `numbers` and `truth_numbers` give."""
    return [card for card in (*cards(kind), *of_truth(kind.bands)) if card[0] not in without]


def of_truth(bands: tuple[str, ...]) -> Cards:
    """The cards that a table has and an image has not, with 0 for what `truth_numbers` gives."""
    return [
        ("XYORIGIN", 0, "x, y of the first pixel; keywords count from 1"),
        ("MAGZERO", ZERO_POINT_MAG, "[mag] of 1 nanomaggy"),
        ("MAGSYS", "nearly AB", "the survey's g, r and i are, within 0.03 mag"),
        ("MINSNR", 0, "least signal to noise asked for; 0: all objects"),
        *((f"LEFT_{band.upper()}", 0, f"[nmgy] clean image in {band} less light of the rows") for band in bands),
    ]


def truth_numbers(truths: Sequence[Truth], origin: Origin) -> dict[str, int | float]:
    """What the header of a table of `truths` together says that others do not."""
    left_out = np.sum([truth.left_out_nmgy for truth in truths], axis=0) if truths else [0.0] * len(origin.bands)
    found = {f"LEFT_{band.upper()}": of_band for band, of_band in zip(origin.bands, left_out, strict=True)}
    found["MINSNR"] = max((truth.min_snr for truth in truths), default=0.0)
    return {key: float(f"{number:.{_DIGITS}g}") for key, number in found.items()}  # in 20 columns


@lru_cache(maxsize=64)
def _dtype(given: np.dtype[Any], bands: tuple[str, ...], with_index: bool) -> np.dtype[Any]:
    """The dtype of a table of rows `given`, packed."""
    names = [name for name in described(bands) if with_index or name != INDEX]
    missing = [name for name in names if name not in _SKY and name != INDEX and name not in (given.names or ())]
    if missing:
        raise ValueError(f"the truth lacks the columns {', '.join(missing)}; it has {', '.join(given.names or ())}")
    return np.dtype([(name, _SKY.get(name) or ("i8" if name == INDEX else given[name])) for name in names])


@lru_cache(maxsize=256)
def _table_header(kind: Kind, dtype: np.dtype[Any], without: frozenset[str]) -> Header:
    """The header of a table as astropy writes it, with 0 for what differs from table to table."""
    hdu = fits.BinTableHDU(np.zeros(0, dtype), name="TRUTH", ver=1)
    columns = described(kind.bands)
    for number, column in enumerate(dtype.names or (), start=1):
        unit, meaning = columns[column]
        hdu.header.comments[f"TTYPE{number}"] = meaning
        if unit:
            hdu.header.set(f"TUNIT{number}", unit, after=f"TFORM{number}")
    hdu.header.extend(table_cards(kind, without))
    return Header.of(hdu)
