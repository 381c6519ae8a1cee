"""Tiles as pictures: one fixed asinh stretch, so that two pictures can be compared by eye.

Grey for one band; for sets that hold g, r and i the colours of Lupton et al. 2004 (astro-ph/0312483): the stretch acts
on the mean of the three bands, and each band keeps its share of it, so that a bright source keeps its hue.
"""

import math
import struct
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL import Image

BLACK_NMGY = -0.1  # flux shown as black: three times the sky noise below the sky, so that noise is seen whole
WHITE_NMGY = 20.0  # flux shown as white: a pixel in the core of a 17th magnitude star
SOFTENING_NMGY = 0.1  # height above black at which the stretch turns from linear to logarithmic
RGB_BANDS = ("i", "r", "g")
RGB_BALANCE = (4.9 / 5.7, 1.0, 7.8 / 5.7)  # of i, r, g: the balance of the survey's own colour pictures
SEAM_PX = 2
SEAM_LEVEL = 96
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPES = {2: 0, 3: 2}  # of grey [H, W], of colour [H, W, 3]


def to_image8(tiles: NDArray[np.float32], bands: Sequence[str]) -> NDArray[np.uint8]:
    """Tiles `[N, bands, H, W]` in nmgy as pictures: `[N, H, W, 3]` where the bands hold g, r and i, else `[N, H, W]`.

    A set without one of them shows its r band in grey, or its first band. Row 0 of a tile is the bottom row of its
    picture, as in FITS viewers. Computed in float32, a tile at a time, in few arrays, so that all of it stays in the
    cache. Raises
    `ValueError` where the tiles do not have one plane a band.
    """
    if tiles.ndim != 4 or tiles.shape[1] != len(bands):
        raise ValueError(f"tiles have shape {tiles.shape}; wanted [N, {len(bands)}, H, W] for the bands {list(bands)}")
    upright = tiles[:, :, ::-1, :].astype(np.float32, copy=False)
    if not set(RGB_BANDS) <= set(bands):
        shown = upright[:, list(bands).index("r") if "r" in bands else 0]
        return _eight_bits(_stretch(shown - np.float32(BLACK_NMGY)))
    rows = [list(bands).index(band) for band in RGB_BANDS]
    balance = np.array(RGB_BALANCE, dtype=np.float32)[:, None, None]
    pictures = np.empty((len(tiles), *tiles.shape[2:], 3), dtype=np.uint8)
    for picture, tile in zip(pictures, upright, strict=True):
        above_black = tile[rows]
        above_black *= balance
        above_black -= np.float32(BLACK_NMGY)
        picture[:] = np.moveaxis(_eight_bits(_lupton(above_black)), 0, -1)
    return pictures


def contact_sheet(tiles: NDArray[np.float32], bands: Sequence[str], columns: int | None = None) -> "Image.Image":
    """One picture of all tiles `[N, bands, H, W]`, row by row, with seams of 2 px; as square as can be by default."""
    from PIL import Image  # here alone: levels and PNG files do without

    return Image.fromarray(contact_levels(tiles, bands, columns))


def contact_levels(tiles: NDArray[np.float32], bands: Sequence[str], columns: int | None = None) -> NDArray[np.uint8]:
    """The contact sheet as levels [H, W] or [H, W, 3]."""
    pictures = to_image8(tiles, bands)
    count, height, width = pictures.shape[:3]
    columns = min(columns or math.ceil(math.sqrt(count)), count)
    rows = math.ceil(count / columns)
    size = (rows * (height + SEAM_PX) - SEAM_PX, columns * (width + SEAM_PX) - SEAM_PX, *pictures.shape[3:])
    sheet = np.full(size, SEAM_LEVEL, dtype=np.uint8)
    for place, picture in enumerate(pictures):
        top, left = (place // columns) * (height + SEAM_PX), (place % columns) * (width + SEAM_PX)
        sheet[top : top + height, left : left + width] = picture
    return sheet


def encode_png(picture: "Image.Image | NDArray[np.uint8]") -> bytes:
    """The bytes of a PNG file of a picture, or of levels [H, W] or [H, W, 3]; raises `ValueError` for another shape.

    Noise has no shapes to find: what compresses it is a Huffman code of the levels themselves, without a filter, and
    runs for what is flat (zlib's Z_RLE). That takes a fifth of the time of Pillow, which tries five filters a row, and
    makes files a tenth smaller. Other threads run meanwhile.
    """
    levels = np.asarray(picture)
    if levels.dtype != np.uint8 or levels.shape[2:] not in [(), (3,)] or levels.ndim not in _COLOUR_TYPES:
        raise ValueError(f"a picture has levels {levels.dtype} {levels.shape}; wanted uint8 [H, W] or [H, W, 3]")
    height, width = levels.shape[:2]
    rows = np.zeros((height, 1 + levels[0].size), dtype=np.uint8)  # each row begins with its filter: 0, none
    rows[:, 1:] = levels.reshape(height, -1)
    squeezer = zlib.compressobj(1, zlib.DEFLATED, 15, 9, zlib.Z_RLE)
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOUR_TYPES[levels.ndim], 0, 0, 0)
    data = squeezer.compress(rows.data) + squeezer.flush()
    return _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _chunk(name: bytes, content: bytes) -> bytes:
    """A chunk of a PNG file: its length, name, content, and the CRC of the last two."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(content, zlib.crc32(name)))


def _stretch(above_black_nmgy: NDArray[np.float32]) -> NDArray[np.float32]:
    """asinh(x / softening), 0 at black and 1 at white."""
    white = math.asinh((WHITE_NMGY - BLACK_NMGY) / SOFTENING_NMGY)
    return np.asarray(np.arcsinh(above_black_nmgy * np.float32(1 / SOFTENING_NMGY)) * np.float32(1 / white))


def _lupton(above_black_nmgy: NDArray[np.float32]) -> NDArray[np.float32]:
    """Colours `[3, H, W]`: c f(I) / I with I the mean of the three, divided by the largest where that exceeds 1."""
    first, second, third = above_black_nmgy
    intensity = (first + second + third) * np.float32(1 / 3)
    floor = np.maximum(intensity, np.float32(1e-6))  # below it f is linear
    colours = above_black_nmgy * np.where(intensity > 0, _stretch(floor) / floor, np.float32(0))
    colours /= np.maximum(np.maximum(colours[0], colours[1]), np.maximum(colours[2], np.float32(1)))
    return colours


def _eight_bits(levels: NDArray[np.float32]) -> NDArray[np.uint8]:
    scaled = np.clip(levels, 0, 1)
    scaled *= np.float32(255)
    return np.rint(scaled, out=scaled).astype(np.uint8)
