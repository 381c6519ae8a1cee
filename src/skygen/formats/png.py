"""Tiles as pictures: one fixed asinh stretch, so that two pictures can be compared by eye.

Grey for one band; for sets that hold g, r and i the colours of Lupton et al. 2004 (astro-ph/0312483): the stretch acts
on the mean of the three bands, and each band keeps its share of it, so that a bright source keeps its hue.
"""

import io
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

BLACK_NMGY = -0.1  # flux shown as black: three times the sky noise below the sky, so that noise is seen whole
WHITE_NMGY = 20.0  # flux shown as white: a pixel in the core of a 17th magnitude star
SOFTENING_NMGY = 0.1  # height above black at which the stretch turns from linear to logarithmic
RGB_BANDS = ("i", "r", "g")
RGB_BALANCE = (4.9 / 5.7, 1.0, 7.8 / 5.7)  # of i, r, g: the balance of the survey's own colour pictures
SEAM_PX = 2
SEAM_LEVEL = 96


def to_image8(tiles: NDArray[np.float32], bands: Sequence[str]) -> NDArray[np.uint8]:
    """Tiles `[N, bands, H, W]` in nmgy as pictures: `[N, H, W, 3]` where the bands hold g, r and i, else `[N, H, W]`.

    A set without one of them shows its r band in grey, or its first band. Row 0 of a tile is the bottom row of its
    picture, as in FITS viewers. Raises `ValueError` where the tiles do not have one plane a band.
    """
    if tiles.ndim != 4 or tiles.shape[1] != len(bands):
        raise ValueError(f"tiles have shape {tiles.shape}; wanted [N, {len(bands)}, H, W] for the bands {list(bands)}")
    upright = tiles[:, :, ::-1, :].astype(np.float64)
    if not set(RGB_BANDS) <= set(bands):
        return _eight_bits(_stretch(upright[:, list(bands).index("r") if "r" in bands else 0] - BLACK_NMGY))
    planes = [upright[:, list(bands).index(band)] * weight for band, weight in zip(RGB_BANDS, RGB_BALANCE, strict=True)]
    return _eight_bits(_lupton(np.stack(planes, axis=-1) - BLACK_NMGY))


def contact_sheet(tiles: NDArray[np.float32], bands: Sequence[str], columns: int | None = None) -> Image.Image:
    """One picture of all tiles `[N, bands, H, W]`, row by row, with seams of 2 px; as square as can be by default."""
    pictures = to_image8(tiles, bands)
    count, height, width = pictures.shape[:3]
    columns = min(columns or math.ceil(math.sqrt(count)), count)
    rows = math.ceil(count / columns)
    size = (rows * (height + SEAM_PX) - SEAM_PX, columns * (width + SEAM_PX) - SEAM_PX, *pictures.shape[3:])
    sheet = np.full(size, SEAM_LEVEL, dtype=np.uint8)
    for place, picture in enumerate(pictures):
        top, left = (place // columns) * (height + SEAM_PX), (place % columns) * (width + SEAM_PX)
        sheet[top : top + height, left : left + width] = picture
    return Image.fromarray(sheet)


def encode_png(image: Image.Image) -> bytes:
    """The picture as PNG bytes; fast rather than small, since noise hardly compresses."""
    stream = io.BytesIO()
    image.save(stream, format="PNG", compress_level=1)
    return stream.getvalue()


def _stretch(above_black_nmgy: NDArray[np.float64]) -> NDArray[np.float64]:
    """asinh(x / softening), 0 at black and 1 at white."""
    white = math.asinh((WHITE_NMGY - BLACK_NMGY) / SOFTENING_NMGY)
    return np.asarray(np.arcsinh(above_black_nmgy / SOFTENING_NMGY) / white)


def _lupton(above_black_nmgy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Colours `[..., 3]`: c f(I) / I with I the mean of the three, divided by the largest where that exceeds 1."""
    intensity = above_black_nmgy.mean(axis=-1, keepdims=True)
    floor = np.maximum(intensity, np.finfo(np.float64).tiny)
    colours = np.where(intensity > 0, above_black_nmgy * (_stretch(floor) / floor), 0)
    return np.asarray(colours / np.maximum(colours.max(axis=-1, keepdims=True), 1))


def _eight_bits(levels: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.rint(np.clip(levels, 0, 1) * 255).astype(np.uint8)
