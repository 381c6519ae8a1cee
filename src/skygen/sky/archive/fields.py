"""Which of the survey's fields to use: those listed, those in a region of sky, or a selection from the list of all.

The list is `window_flist.fits` (https://data.sdss.org/datamodel/files/PHOTO_RESOLVE/window_flist.html), with a row for
each field of each processing; bands in the order u, g, r, i, z. A field's score is 0 where it was not taken well, else
0.1, with 0.5 more where the night was photometric and up to 0.4 more by depth: `sdss_score` of the survey's photoop.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from skygen.params import Box, Circle, SelectionParams, SurveyParams
from skygen.sky.archive.crowded import CROWDED
from skygen.sky.archive.download import RERUN, SurveyError, UnreachableError, download_field_list
from skygen.sky.archive.transfer import PAUSE_S
from skygen.sky.field import FieldId
from skygen.sky.footprint import chord, on_sphere

HALF_DIAGONAL_DEG = 0.15  # of a frame (2048 by 1489 px), with 36" for the bands' offsets and the list's trimmed centres
_R = 2  # the place of r among the bands
_CELLS = 115  # of a degree or so from south to north, alike in sin(Dec); with 360 in RA each is a square degree


IntegerT = TypeVar("IntegerT", int, NDArray[np.int64])


@dataclass(frozen=True)
class FieldList:
    """The fields of rerun 301, [N] each: names, centres (J2000), width of the PSF in r (FWHM) and score."""

    run: NDArray[np.int64]
    camcol: NDArray[np.int64]
    field: NDArray[np.int64]
    ra_deg: NDArray[np.float64]
    dec_deg: NDArray[np.float64]
    seeing_arcsec: NDArray[np.float64]
    score: NDArray[np.float64]

    def names(self, rows: NDArray[np.intp]) -> list[FieldId]:
        """The fields in `rows`, in their order."""
        columns = (self.run[rows].tolist(), self.camcol[rows].tolist(), self.field[rows].tolist())
        return [FieldId(*name) for name in zip(*columns, strict=True)]

    def numbers(self) -> NDArray[np.uint64]:
        """A number for each field, its own and the same whatever else is listed."""
        return _number(self.run, self.camcol, self.field).astype(np.uint64)


def choose_fields(survey: SurveyParams, count: int, downloads: Path, pause_s: float = PAUSE_S) -> list[FieldId]:
    """The fields that `survey.choose` asks for: for `selection`, `count` of them.

    The list of all fields is downloaded to `downloads` where it is needed and not there. Where no connection to its
    server comes about, `selection` falls back to `survey.fields`, and says so on stderr. Raises `SurveyError` (offline
    `UnreachableError`) where the fields asked for cannot be named.
    """
    listed = _parse("fields", survey.fields)
    if survey.choose == "fields":
        return listed
    try:
        path = download_field_list(survey, downloads, pause_s)
    except UnreachableError as error:
        if survey.choose == "region":
            raise UnreachableError(f"{error}; offline a region's fields are not known: set choose: fields") from error
        sys.stderr.write(f"{error}; offline, the {len(listed)} fields listed in frames.sdss.fields serve\n")
        return listed
    fields = read_field_list(path)
    return in_region(fields, survey.region) if survey.choose == "region" else select(fields, survey.selection, count)


def read_field_list(path: Path) -> FieldList:
    """The fields of rerun 301 that have a place on the sky, from the survey's list.

    The file is mapped, not loaded: of its half gigabyte only the columns that are needed are copied. Raises
    `SurveyError` where it is not that list.
    """
    names = ("RUN", "RERUN", "CAMCOL", "FIELD", "RA", "DEC", "PSF_FWHM", "SCORE")
    remedy = "remove it, so that it is downloaded again, or mend frames.sdss.field_list_url"
    try:
        with fits.open(path, memmap=True) as hdus:
            table = hdus[1].data
            lacking = [name for name in names if name not in table.names]
            if lacking:
                raise SurveyError(f"{path}: no column {', '.join(lacking)}; {remedy}")
            placed = np.isfinite(table["RA"]) & np.isfinite(table["DEC"])
            rows = np.flatnonzero((np.char.strip(table["RERUN"].astype(str)) == RERUN) & placed)
            run, camcol, field = (table[name][rows].astype(np.int64) for name in ("RUN", "CAMCOL", "FIELD"))
            ra_deg, dec_deg, score = (table[name][rows].astype(np.float64) for name in ("RA", "DEC", "SCORE"))
            seeing_arcsec = table["PSF_FWHM"][:, _R][rows].astype(np.float64)
    except (OSError, IndexError, AttributeError, TypeError) as error:
        raise SurveyError(f"{path} is not the survey's list of fields ({error}); {remedy}") from error
    return FieldList(run, camcol, field, ra_deg, dec_deg, seeing_arcsec, score)


def in_region(fields: FieldList, region: Circle | Box) -> list[FieldId]:
    """The fields whose centre lies in `region`, by name; a place that was taken on several nights gives several.

    A box runs eastward from its first right ascension to its second, also over 0. Raises `SurveyError` where no centre
    does.
    """
    if isinstance(region, Circle):
        centre = on_sphere(np.array([region.ra_deg]), np.array([region.dec_deg]))
        chords = np.linalg.norm(on_sphere(fields.ra_deg, fields.dec_deg) - centre, axis=1)
        inside = chords <= chord(region.radius_deg)
    else:
        west, east = region.ra_deg
        south, north = region.dec_deg
        inside = (fields.ra_deg - west) % 360 <= (east - west) % 360
        inside &= (fields.dec_deg >= south) & (fields.dec_deg <= north)
    if not inside.any():
        raise SurveyError(
            f"frames.sdss.region ({region}): no field's centre lies in it; make it wider (a field is 0.23 by 0.16 deg) "
            "or choose a place that the survey looked at"
        )
    return sorted(fields.names(np.flatnonzero(inside)))


def select(fields: FieldList, wanted: SelectionParams, count: int) -> list[FieldId]:
    """`count` fields as `wanted` asks, by name, spread over the survey's sky.

    None overlaps another or a reserved one, or comes near a place of `skygen.sky.archive.crowded`. The choice depends
    on the list alone, and a larger `count` keeps the fields of a smaller one. Raises `SurveyError` where there are
    fewer, or where a reserved field is not in the list.
    """
    latitude_deg = SkyCoord(fields.ra_deg, fields.dec_deg, unit=u.deg).galactic.b.deg
    good = np.abs(latitude_deg) >= wanted.galactic_latitude_deg
    good &= (fields.seeing_arcsec > 0) & (fields.seeing_arcsec <= wanted.seeing_arcsec) & (fields.score >= wanted.score)
    rows = np.flatnonzero(good)
    places = on_sphere(fields.ra_deg[rows], fields.dec_deg[rows])
    tree = cKDTree(places)
    free = np.ones(len(rows), bool)
    centres, radii_deg = _kept_clear(fields, wanted)
    for neighbours in tree.query_ball_point(centres, chord(radii_deg)):
        free[neighbours] = False
    chosen: list[int] = []
    for row in _spread(fields, rows):
        if len(chosen) == count:
            break
        if free[row]:
            chosen.append(row)
            free[tree.query_ball_point(places[row], chord(2 * HALF_DIAGONAL_DEG))] = False
    if len(chosen) < count:
        raise SurveyError(
            f"{count} fields are asked for; of the {len(good)} listed {len(rows)} are as frames.sdss.selection asks, "
            f"and of these {len(chosen)} overlap no other and nothing kept clear; loosen it, or ask for fewer "
            "(scales.SCALE.frames.fields)"
        )
    return sorted(fields.names(rows[chosen]))


def _kept_clear(fields: FieldList, wanted: SelectionParams) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Directions [N, 3] of reserved fields and crowded places, and how far from each other centres must lie."""
    names = _parse("selection.reserved", wanted.reserved)
    found = [np.flatnonzero(fields.numbers() == _number(name.run, name.camcol, name.field)) for name in names]
    unknown = [str(name) for name, rows in zip(names, found, strict=True) if not len(rows)]
    if unknown:
        raise SurveyError(f"frames.sdss.selection.reserved: the survey's list has no {', '.join(unknown)}; correct it")
    rows = np.concatenate([np.array([], np.intp), *found])
    ra_deg = np.concatenate([fields.ra_deg[rows], [place.ra_deg for place in CROWDED]])
    dec_deg = np.concatenate([fields.dec_deg[rows], [place.dec_deg for place in CROWDED]])
    radii_deg = np.concatenate([np.full(len(rows), HALF_DIAGONAL_DEG), [place.radius_arcmin / 60 for place in CROWDED]])
    return on_sphere(ra_deg, dec_deg), radii_deg + HALF_DIAGONAL_DEG


def _number(run: IntegerT, camcol: IntegerT, field: IntegerT) -> IntegerT:
    return run << 20 | camcol << 16 | field


def _spread(fields: FieldList, rows: NDArray[np.intp]) -> list[int]:
    """Positions in `rows` in the order of choice: one field of each square degree, then a second of each, and so on.

    So a stripe that was scanned eighty times counts as often as one scanned once. Which degree and which field come
    first is drawn by their numbers.
    """
    north = np.floor((np.sin(np.radians(fields.dec_deg[rows])) + 1) / 2 * _CELLS).astype(np.int64)
    cell = north * 360 + np.floor(fields.ra_deg[rows] % 360).astype(np.int64)
    by_cell = np.lexsort((_scramble(fields.numbers()[rows]), cell))
    starts = np.flatnonzero(np.diff(cell[by_cell], prepend=-1))
    turn = np.arange(len(rows)) - np.repeat(starts, np.diff(starts, append=len(rows)))
    order = np.lexsort((_scramble(cell[by_cell].astype(np.uint64)), turn))
    return [int(row) for row in by_cell[order]]


def _scramble(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Numbers as good as random that depend on `numbers` alone: SplitMix64 (doi:10.1145/2660193.2660195, fig. 17)."""
    mixed = numbers + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _parse(key: str, names: Sequence[str]) -> list[FieldId]:
    """The fields that a list in params.yaml names; raises `SurveyError` for one that is no name."""
    try:
        return list(dict.fromkeys(FieldId.parse(name) for name in names))
    except ValueError as error:
        raise SurveyError(f"frames.sdss.{key}: {error}") from error
