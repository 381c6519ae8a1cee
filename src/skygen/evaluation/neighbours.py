"""The generated tiles that lie nearest to a training tile, each beside it: a copy would be seen at once."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from skygen.formats.png import contact_sheet
from skygen.formats.sheets import GROUND, INK
from skygen.measure.memorised import nearest
from skygen.tiles.store import TileSplit

PAIRS = 10
_COLUMNS = 2
_SIDE_PX = 128  # of a tile in the picture: smaller ones are enlarged pixel by pixel
_TITLE_PX, _GAP_PX = 24, 16


class Pair(NamedTuple):
    """A generated tile and the training tile nearest to it, by their indices, and their distance in feature space."""

    generated: int
    training: int
    distance: float


def closest(features: NDArray[np.floating], train_features: NDArray[np.floating], count: int = PAIRS) -> list[Pair]:
    """The `count` generated tiles, of the features [N, D], that are nearest to a training tile, the nearest first."""
    found = nearest(features, train_features)
    order = np.argsort(found.distance, kind="stable")[:count]
    return [Pair(int(tile), int(found.tile[tile]), float(found.distance[tile])) for tile in order]


def closest_pairs(
    tiles: NDArray[np.float32],
    features: NDArray[np.floating],
    real_features: NDArray[np.floating],
    train: TileSplit,
    train_features: NDArray[np.floating],
    bands: Sequence[str],
) -> Image.Image:
    """A picture of the ten of the generated `tiles` [N, bands, H, W] that are nearest to a training tile, beside it.

    Each pair's distance is written above it, and at the top, for comparison, that of a real held-out tile in the
    middle of those with `real_features` [M, D].
    """
    pairs = closest(features, train_features)
    generated, training, distances = zip(*pairs, strict=True)
    usual = float(np.median(nearest(real_features, train_features).distance))
    sheets = [
        contact_sheet(np.stack(both), bands, columns=2).convert("RGB")
        for both in zip(tiles[list(generated)], train.batch(training), strict=True)
    ]
    return _page(sheets, distances, f"generated | nearest training tile: distance (of real tiles: {usual:.2f})")


def _page(sheets: Sequence[Image.Image], distances: Sequence[float], title: str) -> Image.Image:
    zoom = max(1, _SIDE_PX // sheets[0].height)
    width, height = (side * zoom for side in sheets[0].size)
    across, down = width + _GAP_PX, height + _TITLE_PX
    rows = -(-len(sheets) // _COLUMNS)
    page = Image.new("RGB", (_COLUMNS * across + _GAP_PX, rows * down + _TITLE_PX + _GAP_PX), GROUND)
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(size=14)
    pen.text((_GAP_PX, 4), title, fill=INK, font=font)
    for place, (sheet, distance) in enumerate(zip(sheets, distances, strict=True)):
        left, top = _GAP_PX + place % _COLUMNS * across, _TITLE_PX + place // _COLUMNS * down
        pen.text((left, top + 4), f"{distance:.2f}", fill=INK, font=font)
        page.paste(sheet.resize((width, height), Image.Resampling.NEAREST), (left, top + _TITLE_PX))
    return page
