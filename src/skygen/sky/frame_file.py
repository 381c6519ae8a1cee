"""The bytes of a frame's file taken apart into its four HDUs, none of them trusted.

Sizes and types are those of the survey's data model, so that a damaged header cannot ask for memory or time. Astropy
reads the cards alone: it warns of damage, or repairs it in silence, where a frame must be refused.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from astropy.io import fits
from astropy.io.fits.verify import VerifyError
from numpy.typing import NDArray

SIGNIFICANT_BITS = 10  # that the survey keeps of every flux, so that bz2 can pack it
MAX_BYTES = 13_000_000  # of a decoded file: a frame has 12,447,360, and headers may grow
Kind = Literal["number", "numbers", "text"]
Row = np.void  # of a table: a value by the column's name
AGAIN = "fetch the file again"
_HDUS = 4
_BLOCK_BYTES = 2880
_CARD_BYTES = 80
_MAX_HEADER_BYTES = 50 * _BLOCK_BYTES  # the survey's have three blocks
_END = "END".ljust(_CARD_BYTES)
_MAX_COLUMNS = 100
_NUMBERS = {"J": ">i4", "E": ">f4", "D": ">f8"}


class UnusableError(ValueError):
    """What was read is not a usable frame: the cause, and what to do."""

    def __init__(self, cause: str, remedy: str = AGAIN) -> None:
        super().__init__(cause, remedy)
        self.cause = cause
        self.remedy = remedy


@dataclass(frozen=True)
class Hdu:
    """One part of a FITS file: the cards of its header by their keywords, and its data, as long as they say."""

    cards: Mapping[str, list[str]]
    data: memoryview

    def __contains__(self, key: str) -> bool:
        return key in self.cards

    def value(self, key: str) -> Any:
        """What the header's card `key` says, text without trailing blanks; raises `UnusableError` where it is none."""
        if key not in self.cards:
            raise UnusableError(f"its header lacks {key}")
        if len(self.cards[key]) > 1:
            raise UnusableError(f"its header says {key} {len(self.cards[key])} times")
        try:
            value = fits.Card.fromstring(self.cards[key][0]).value
        except (VerifyError, ValueError):
            raise UnusableError(f"its header's card {key} cannot be read") from None
        return value.rstrip() if isinstance(value, str) else value

    def number(self, key: str) -> float:
        """What the header's card `key` says, a number; raises `UnusableError` where it is none."""
        value = self.value(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UnusableError(f"its header says {key} = {value!r}, which is no number")
        return value

    def axes(self, prefix: str = "") -> list[int]:
        """The lengths of the data's axes, fastest first; with the prefix Z, those of the image that is packed in it."""
        count = self.value(f"{prefix}NAXIS")
        lengths = [self.value(f"{prefix}NAXIS{axis}") for axis in range(1, count + 1)] if count in (1, 2, 3) else []
        if not lengths or not all(type(length) is int and 0 < length <= MAX_BYTES for length in lengths):
            raise UnusableError(f"its header's NAXIS = {count!r} and lengths {lengths} are those of no frame")
        return lengths


def take_apart(content: bytes) -> list[Hdu]:
    """The HDUs that fill `content`, four at most; raises `UnusableError` where it is not FITS, cut short or goes on."""
    if not content.startswith(b"SIMPLE  ="):
        raise UnusableError(f"it is not FITS, nor bz2 or gzip: it begins with {content[:9]!r}")
    check_blocks(content)
    return list(walk(content, _HDUS))


def check_blocks(content: bytes) -> None:
    """Raise `UnusableError` where `content` is no whole number of FITS blocks long."""
    if len(content) % _BLOCK_BYTES:
        raise UnusableError(
            f"it holds {len(content)} bytes, no whole number of FITS blocks of {_BLOCK_BYTES}: it is cut short"
        )


def walk(content: bytes, most: int, packed: bool = False) -> Iterator[Hdu]:
    """The HDUs in `content`, `most` at most, where `packed` also those of tile-compressed images.

    Raises `UnusableError` where one is not FITS or cut short, or more follow.
    """
    start = 0
    for _ in range(most):
        if start >= len(content):
            return
        cards, begin = _read_header(content, start)
        end = begin + _data_bytes(Hdu(cards, memoryview(b"")), packed)
        if end > len(content):
            raise UnusableError(f"it holds {len(content)} bytes of {end} or more: it is cut short")
        yield Hdu(cards, memoryview(content)[begin:end])
        start = end + -end % _BLOCK_BYTES
        if any(content[end:start]):
            raise UnusableError(f"the bytes from {end} to {start}, where nothing is kept, are not zero")
    if start < len(content):
        raise UnusableError(f"{len(content) - start} bytes follow its four HDUs")


def _read_header(content: bytes, start: int) -> tuple[dict[str, list[str]], int]:
    """The cards with a value of the header at `start`, by their keywords, and where its data begin."""
    cards: dict[str, list[str]] = {}
    for place in range(start, min(start + _MAX_HEADER_BYTES, len(content)), _CARD_BYTES):
        card = content[place : place + _CARD_BYTES].decode("latin-1")
        if card == _END:
            end = place + _CARD_BYTES
            return cards, end + -end % _BLOCK_BYTES
        if not (card.isascii() and card.isprintable()):
            raise UnusableError(f"the header at byte {start} is not FITS")
        if card[8:10] == "= ":
            cards.setdefault(card[:8].rstrip(), []).append(card)
    raise UnusableError(f"the header at byte {start} has no end: it is cut short, or not FITS")


def _data_bytes(hdu: Hdu, packed: bool) -> int:
    if packed and hdu.value("NAXIS") == 0:
        return 0
    bits = hdu.value("BITPIX")
    heap, groups = (hdu.value("PCOUNT") if "PCOUNT" in hdu else 0, hdu.value("GCOUNT") if "GCOUNT" in hdu else 1)
    usual = type(heap) is int and (0 <= heap <= MAX_BYTES if packed and bits == 8 else heap == 0)
    if bits not in (8, 16, 32, -32, -64) or not usual or groups != 1:
        raise UnusableError(f"its header's BITPIX = {bits!r} and PCOUNT, GCOUNT = {heap, groups} are those of no frame")
    return math.prod(hdu.axes()) * int(abs(bits)) // 8 + int(heap)


def image(hdu: Hdu, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The image of `shape` in `hdu`; raises `UnusableError` where it is another shape, or not of unscaled float32."""
    bits, stated = hdu.value("BITPIX"), tuple(hdu.axes()[::-1])
    if bits != -32:
        raise UnusableError(f"its image has BITPIX = {bits}, not the -32 of floats")
    if stated != shape:
        raise UnusableError(f"its image has shape {stated}, not {shape}")
    for key, usual in (("BZERO", 0), ("BSCALE", 1)):
        if key in hdu and hdu.number(key) != usual:
            raise UnusableError(f"its header says {key} = {hdu.value(key)}, not {usual}")
    return np.frombuffer(hdu.data, ">f4").reshape(shape).astype(np.float32)


def row(hdu: Hdu, wanted: Mapping[str, Kind]) -> Row:
    """The only row of the binary table in `hdu`, a value by the column's name.

    Raises `UnusableError` where it is no such table, or one of the columns `wanted` is missing or of another kind.
    """
    columns, axes = hdu.value("TFIELDS"), hdu.axes()
    kind = (hdu.value("XTENSION"), hdu.value("BITPIX"))
    if kind != ("BINTABLE", 8) or type(columns) is not int or not 0 < columns <= _MAX_COLUMNS:
        raise UnusableError("one of its tables is not laid out as the survey's")
    fields = [_column(hdu, number) for number in range(1, columns + 1)]
    distinct = len({name for name, _, _ in fields}) == columns
    if not distinct or axes != [np.dtype(fields).itemsize, 1]:
        raise UnusableError("one of its tables is not laid out as the survey's")
    kinds = {name: "text" if form[0] == "S" else "numbers" if shape else "number" for name, form, shape in fields}
    lacking = [name for name, kind in wanted.items() if kinds.get(name) != kind]
    if lacking:
        raise UnusableError(f"one of its tables lacks {', '.join(lacking)}")
    found: Row = np.frombuffer(hdu.data, np.dtype(fields))[0]
    return found


def _column(hdu: Hdu, number: int) -> tuple[str, str, tuple[int, ...]]:
    name, form = hdu.value(f"TTYPE{number}"), hdu.value(f"TFORM{number}")
    found = re.fullmatch(r"((?:[1-9][0-9]{0,5})?)([AJED])", str(form))
    if not isinstance(name, str) or not name or found is None:
        raise UnusableError(f"its table's column {number} is {name!r} of the form {form!r}, not the survey's")
    length, kind = int(found.group(1) or 1), found.group(2)
    if kind == "A":
        return name, f"S{length}", ()
    return name, _NUMBERS[kind], () if length == 1 else (length,)


def keep_significant_bits(flux: NDArray[np.float32]) -> NDArray[np.float32]:
    """`flux` with its last 14 bits rounded away, as the survey's FLOATCOMPRESS does: right to 0.1 % in every pixel."""
    dropped = 24 - SIGNIFICANT_BITS
    bits = flux.astype(np.float32).view(np.uint32) + np.uint32(1 << (dropped - 1))
    return ((bits >> np.uint32(dropped)) << np.uint32(dropped)).view(np.float32)
