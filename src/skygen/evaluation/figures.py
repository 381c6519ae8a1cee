"""Pictures of a comparison: sheets of tiles side by side, and every metric's interval over its real-real value."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from skygen.files import write_atomically
from skygen.formats.png import contact_sheet

SHEET_PX = 640  # side of a sheet of tiles, about: 10 x 10 tiles of 64 px, 5 x 5 of 128 px
_TITLE_PX, _GAP_PX = 36, 16
_COLUMNS = 2  # so that sheets stay large where a page is narrow
_LEFT = 0.05  # of the interval plot: smaller ratios, and 0, are drawn here
_TINY = 1e-6  # a real-real value below it counts as it


def sheet(tiles: NDArray[np.float32], bands: Sequence[str]) -> Image.Image:
    """A square sheet of the first of `tiles` [N, bands, H, W] in nmgy, as many as fit about 640 px."""
    columns = max(1, SHEET_PX // tiles.shape[-1])
    return contact_sheet(tiles[: columns**2], bands, columns)


def side_by_side(pictures: Mapping[str, Image.Image]) -> Image.Image:
    """The pictures, all of one size, two in a row, on white, each under its title."""
    width, height = (side + _GAP_PX for side in next(iter(pictures.values())).size)
    height += _TITLE_PX
    rows = math.ceil(len(pictures) / _COLUMNS)
    page = Image.new("RGB", (_COLUMNS * width - _GAP_PX, rows * height - _GAP_PX), "white")
    pen = ImageDraw.Draw(page)
    for place, (title, picture) in enumerate(pictures.items()):
        left, top = place % _COLUMNS * width, place // _COLUMNS * height
        pen.text((left, top + 4), title, fill="black", font=ImageFont.load_default(size=22))
        page.paste(picture.convert("RGB"), (left, top + _TITLE_PX))
    return page


def save_picture(picture: Image.Image, path: Path) -> None:
    """Write `picture` as PNG, whole or not at all."""
    with write_atomically(path) as temporary:
        picture.save(temporary, format="PNG", optimize=True)


def save_intervals(sets: Mapping[str, Mapping[str, Mapping[str, Any]]], path: Path) -> None:
    """Draw the test metrics of `sets` (of comparison.json), each over its real-real value, as PNG: 1 is as real.

    A bar marks what real training tiles get, which lie in other fields.
    """
    figure = Figure(figsize=(6 * len(sets), 6), layout="constrained")
    panels = figure.subplots(1, len(sets), squeeze=False)[0]
    for axes, (tiles, recipes) in zip(panels, sets.items(), strict=True):
        _draw_set(axes, recipes)
        axes.set(title=tiles, xscale="log", xlabel="value / real-real (1: as good as real tiles)")
    with write_atomically(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)


def _draw_set(axes: Axes, recipes: Mapping[str, Mapping[str, Any]]) -> None:
    for place, (recipe, result) in enumerate(recipes.items()):
        middle, low, high, others = np.array([_over_real(metric) for metric in result["test"].values()]).T
        rows = np.arange(len(middle)) + 0.2 * (place - (len(recipes) - 1) / 2)
        axes.errorbar(middle, rows, xerr=[middle - low, high - middle], fmt="o", markersize=4, capsize=2, label=recipe)
        axes.plot(others, rows, "k|", markersize=9, label=None if place else "training tiles")
    keys = list(next(iter(recipes.values()))["test"])
    axes.set_yticks(range(len(keys)), keys)
    axes.axvline(1, color="grey", linewidth=1)
    axes.invert_yaxis()
    axes.legend()


def _over_real(metric: Mapping[str, Any]) -> list[float]:
    """A metric's mean, its interval and what training tiles get, over its real-real value, none left of the plot."""
    real = max(metric["real_real"], _TINY)
    return [max(value / real, _LEFT) for value in (metric["mean"], *metric["interval"], metric["between_fields"])]
