"""Frames whose images are packed in tiles (`.fits.fz`, as fpack and astropy write them), made plain.

The convention: https://fits.gsfc.nasa.gov/registry/tilecompression.html. Astropy decodes the tiles, after what they ask
for in memory and time was found to be a frame's.
"""

import io
import math
import re
import warnings
import zlib

import numpy as np
from astropy.io import fits

from skygen.sky.frame_file import MAX_BYTES, Hdu, UnusableError, check_blocks, keep_significant_bits, walk
from skygen.sky.noise import pixel_noise

_UNPACK = "unpack it with `funpack`, or pack it as .bz2 or .gz"
_PACKINGS = ("RICE_1", "RICE_ONE", "GZIP_1", "GZIP_2", "NOCOMPRESS")
_MAX_TILES = 10_000  # of an image: one for each of the 1489 rows is usual
_HDUS = 5  # an empty one comes before the four
_LARGEST_STEP = 0.5  # of the noise: by it, quantised pixels have 1 % more of it (fpack takes a quarter)
_FORM = re.compile(r"1?(?:([PQ])([BIJED])(?:\([0-9]+\))?|([BIJED]))")
_TYPES = {"B": "u1", "I": ">i2", "J": ">i4", "E": ">f4", "D": ">f8"}


def is_tiled(content: bytes) -> bool:
    """Whether the FITS in `content` begins with the empty HDU that packed images come after."""
    return re.match(rb"(?:.{80}){1,4}NAXIS   = +0 ", content[:480], re.DOTALL) is not None


def without_tiles(content: bytes) -> bytes:
    """The same FITS with plain images; raises `UnusableError` where it is damaged or asks for more than a frame."""
    check_blocks(content)
    steps = [_check(hdu) if "ZIMAGE" in hdu else 0.0 for hdu in walk(content, _HDUS, packed=True)][1:]
    try:
        with warnings.catch_warnings(action="error"), fits.open(io.BytesIO(content), checksum=True) as packed:
            return _plain(packed, steps)
    except UnusableError:
        raise
    except Exception as error:  # astropy says by any of them, and by warnings, that a file is damaged
        raise UnusableError(f"its packed images cannot be decoded ({str(error) or type(error).__name__})") from error


def _plain(packed: fits.HDUList, steps: list[float]) -> bytes:
    """The bytes of `packed` without the empty HDU at its head; fluxes in steps are rounded as the survey rounds its."""
    plain = fits.HDUList()
    for hdu, step in zip(packed[1:], steps, strict=True):
        if isinstance(hdu, fits.CompImageHDU):
            flux = np.asarray(hdu.data, np.float32)
            if step and flux.ndim == 2:
                if step > _LARGEST_STEP * pixel_noise(flux):
                    cause = f"it was packed with loss, in steps of {step:.3g} nmgy, more than half of its noise"
                    raise UnusableError(cause, "pack it again with `fpack -q 4`, or without loss: `fpack -g -q 0`")
                flux = keep_significant_bits(flux)
            plain.append((fits.ImageHDU if plain else fits.PrimaryHDU)(flux, hdu.header))
        else:
            plain.append(hdu)
    stream = io.BytesIO()
    plain.writeto(stream, output_verify="exception")
    return stream.getvalue()


def _check(hdu: Hdu) -> float:
    """The step of a packed image's quantised values, 0 for none.

    Raises `UnusableError` where it asks for more memory or time than a frame's.
    """
    packing = hdu.value("ZCMPTYPE")
    if packing not in _PACKINGS:
        raise UnusableError(f"its images are packed by {packing!r}, not by {', '.join(_PACKINGS)}", _UNPACK)
    axes = hdu.axes("Z")
    tile = [hdu.value(f"ZTILE{axis}") if f"ZTILE{axis}" in hdu else 1 for axis in range(1, len(axes) + 1)]
    if "ZTILE1" not in hdu:
        tile[0] = axes[0]
    whole = all(type(length) is int and 0 < length <= MAX_BYTES for length in tile)
    if hdu.value("ZBITPIX") != -32 or not whole or max(math.prod(axes), math.prod(tile)) * 4 > MAX_BYTES:
        raise UnusableError(f"its packed images have axes {axes} in tiles of {tile}, which are those of no frame")
    count = math.prod(-(-length // side) for length, side in zip(axes, tile, strict=True))
    width, rows = hdu.axes()
    if rows != count or count > _MAX_TILES:
        raise UnusableError(f"its packed images have {rows} rows for {count} tiles; a frame has {_MAX_TILES} at most")
    return _check_heap(hdu, width, rows, math.prod(tile) * 4)


def _check_heap(hdu: Hdu, width: int, rows: int, tile_bytes: int) -> float:
    """The step of a packed image; raises `UnusableError` where tiles lie out of its data, or unpack to too much."""
    dtype, columns = _layout(hdu)
    if dtype.itemsize != width:
        raise UnusableError("its packed images are not laid out as they should be")
    table = np.frombuffer(hdu.data, dtype, rows)
    heap = hdu.data[int(hdu.number("THEAP")) if "THEAP" in hdu else width * rows :]
    for name, size in columns.items():
        places = table[name].astype(np.int64)
        ends = places[:, 1] + places[:, 0] * size
        if (places < 0).any() or (ends > len(heap)).any() or int(places[:, 0].sum()) * size > len(heap):
            raise UnusableError("its packed images lie out of its data: it is cut short, or damaged")
        if name == "GZIP_COMPRESSED_DATA" or (name == "COMPRESSED_DATA" and "GZIP" in hdu.value("ZCMPTYPE")):
            for (_, start), end in zip(places.tolist(), ends.tolist(), strict=True):
                _check_gzip(heap[start:end], tile_bytes)
    return float(np.median(table["ZSCALE"])) if "ZSCALE" in (dtype.names or ()) else 0.0


def _check_gzip(packed: memoryview, tile_bytes: int) -> None:
    decoder = zlib.decompressobj(wbits=31)
    try:
        size = len(decoder.decompress(packed, tile_bytes + 1)) if packed else 0
    except zlib.error as error:
        raise UnusableError(f"its packed images cannot be decoded ({error})") from error
    if size > tile_bytes or decoder.unused_data or (packed and not decoder.eof):
        raise UnusableError("a tile of its packed images holds more than the pixels of a tile, or is cut short")


def _layout(hdu: Hdu) -> tuple[np.dtype[np.void], dict[str, int]]:
    """A row of a packed image's table, and the bytes of a value in each column whose values lie in the heap."""
    fields: list[tuple[str, str, tuple[int, ...]]] = []
    columns: dict[str, int] = {}
    count = hdu.value("TFIELDS")
    for number in range(1, count + 1 if type(count) is int and count < len(hdu.cards) else 1):
        name, form = hdu.value(f"TTYPE{number}"), hdu.value(f"TFORM{number}")
        found = _FORM.fullmatch(str(form))
        if found is None or not isinstance(name, str) or not name or name in dict.fromkeys(f[0] for f in fields):
            raise UnusableError(f"its packed image's column {number} is {name!r} of the form {form!r}")
        pointer, kind, scalar = found.groups()
        if pointer:
            columns[name] = np.dtype(_TYPES[kind]).itemsize
        fields.append((name, {"P": ">i4", "Q": ">i8"}[pointer], (2,)) if pointer else (name, _TYPES[scalar], ()))
    return np.dtype(fields), columns
