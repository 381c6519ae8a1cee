"""Pictures of tiles: sheets, and sheets side by side."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from skygen.files import write_atomically
from skygen.formats.png import contact_sheet

GROUND, INK = (27, 31, 36), (230, 237, 243)  # behind tiles, and of the titles on it: it suits a light and a dark page
SHEET_PX = 640  # side of a sheet of tiles, about: 10 x 10 tiles of 64 px, 5 x 5 of 128 px
_TITLE_PX, _GAP_PX = 40, 16
_COLUMNS = 2  # so that sheets stay large where a page is narrow


def sheet(tiles: NDArray[np.float32], bands: Sequence[str]) -> Image.Image:
    """A square sheet of the first of `tiles` [N, bands, H, W] in nmgy, as many as fit about 640 px."""
    columns = max(1, SHEET_PX // tiles.shape[-1])
    return contact_sheet(tiles[: columns**2], bands, columns)


def side_by_side(pictures: Mapping[str, Image.Image]) -> Image.Image:
    """The pictures, two in a row, on dark grey, each under its title, which is its key."""
    widest, highest = (max(sides) for sides in zip(*(picture.size for picture in pictures.values()), strict=True))
    width, height = widest + _GAP_PX, highest + _TITLE_PX
    columns = min(_COLUMNS, len(pictures))
    size = (columns * width + _GAP_PX, math.ceil(len(pictures) / columns) * height + _GAP_PX)
    page = Image.new("RGB", size, GROUND)
    pen = ImageDraw.Draw(page)
    for place, (title, picture) in enumerate(pictures.items()):
        left, top = _GAP_PX + place % columns * width, place // columns * height
        pen.text((left, top + 9), title, fill=INK, font=ImageFont.load_default(size=21))
        page.paste(picture.convert("RGB"), (left, top + _TITLE_PX))
    return page


def save_picture(picture: Image.Image, path: Path) -> None:
    """Write `picture` as PNG, whole or not at all."""
    with write_atomically(path) as temporary:
        picture.save(temporary, format="PNG", optimize=True)
