"""Catalogues of generated tiles: as astropy's table, and as files, FITS, ECSV and CSV."""

from collections.abc import Sequence
from io import BytesIO, StringIO
from typing import Final, Literal

import numpy as np
from astropy.io import fits
from astropy.table import Table
from astropy.units import Unit

from skygen.formats.cards import Kind, numbers
from skygen.formats.fits import fits_header
from skygen.formats.origin import Origin, Truth
from skygen.formats.truth import Rows, described, table_cards, table_hdu, truth_numbers, truth_rows

CatalogueFormat = Literal["fits", "ecsv", "csv"]
CATALOGUE_TYPES: Final[dict[CatalogueFormat, str]] = {
    "fits": "application/fits",
    "ecsv": "text/plain; charset=utf-8",
    "csv": "text/csv; charset=utf-8",
}
_OF_ALL: Final = ("SEED", "TOWARDS")  # numbers that are the same for all tiles of an origin


def truth_table(truths: Sequence[Truth], origin: Origin) -> Table:
    """The truths of all tiles of an origin as one table, with units and meanings, and in `meta` where it comes from.

    Its first column is the tile's `index`, unless it is of a rectangle of the seed's own plane. Raises as `truth_rows`.
    """
    rows, filled, without = _together(truths, origin)
    table = Table(rows)
    table.convert_bytestring_to_unicode()
    columns = described(tuple(origin.bands))
    for column in table.itercols():
        unit, column.description = columns[column.name]
        column.unit = Unit(unit) if unit else None
    table.meta = {key: filled.get(key, value) for key, value, _ in table_cards(Kind.of(origin), without)}
    return table


def catalogue(truths: Sequence[Truth], origin: Origin, name: CatalogueFormat) -> bytes:
    """The bytes of a catalogue file of all tiles of an origin; CSV has no room for units and where it comes from.

    Raises as `truth_rows`.
    """
    if name == "fits":
        rows, filled, without = _together(truths, origin)
        return fits_header() + table_hdu(rows, Kind.of(origin), filled, without=without)
    stream, table = StringIO(), truth_table(truths, origin)
    if name == "csv":
        table.write(stream, format="ascii.csv")
    else:
        table.write(stream, format="ascii.ecsv", delimiter=",")
    return stream.getvalue().encode("utf-8")


def read_truth(content: bytes) -> list[Table]:
    """The tables TRUTH in the bytes of a FITS file, in their order, with nanomaggies as a unit that astropy knows.

    Raises `ValueError` where there is none.
    """
    with fits.open(BytesIO(content), checksum=True) as hdus:
        found = [Table.read(hdu, unit_parse_strict="silent") for hdu in hdus if hdu.name == "TRUTH"]
    if not found:
        raise ValueError("the file holds no table TRUTH; ask for the truth, which bundles of a process alone have")
    for table in found:  # FITS has no nanomaggy among its units
        table.convert_bytestring_to_unicode()
        for column in table.itercols():
            if str(column.unit) == "nanomaggy":
                column.unit = Unit("nanomaggy")
    return found


def _together(truths: Sequence[Truth], origin: Origin) -> tuple[Rows, dict[str, int | float], frozenset[str]]:
    """The rows of all tiles, the numbers of their header, and the keywords that it lacks, as tiles differ in them."""
    if origin.places is None or len(truths) != len(origin.places):
        raise ValueError(f"{len(truths)} truths of {len(origin.places or ())} places on a plane; wanted one each")
    of_tiles = not origin.is_of_seed_alone
    rows = [truth_rows(truth, origin, place, with_index=of_tiles) for place, truth in enumerate(truths)]
    if not rows:
        raise ValueError("there are no tiles to make a catalogue of")
    filled = numbers(origin, 0)
    without = frozenset(filled).difference(_OF_ALL) if of_tiles else frozenset()
    filled = {key: value for key, value in filled.items() if key not in without} | truth_numbers(truths, origin)
    return np.concatenate(rows), filled, without
