"""How the comparison's charts look: the same colour, line and marker for a recipe in all of them.

Real tiles are black and grey. The colours are those of Okabe and Ito (2008), which colour-blind readers tell apart;
saved as SVG, a chart takes lighter ones where the reader prefers a dark page.
"""

import math
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from skygen.files import write_atomically

INK, REAL_FILL, FAINT = "#24292f", "#c9cdd2", "#8c959f"
COLOURS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#b58900", "#7d5fff")
# What each becomes on a dark page.
DARK = {INK: "#e6edf3", REAL_FILL: "#4a525b", FAINT: "#7d8590"} | dict(
    zip(COLOURS, ("#ff9248", "#58b6f0", "#2fd0a0", "#eaa6cd", "#f0c648", "#b0a0ff"), strict=True)
)
_LINES = ("-", (0, (5, 1.5)), (0, (3, 1.5, 1, 1.5)), (0, (1, 1.2)))
_MARKERS = "os^Dv"
_MOST_IN_A_ROW = 4  # entries of a legend
_STYLE: Any = {
    "axes.edgecolor": FAINT,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "grid.alpha": 0.3,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "svg.fonttype": "path",
    "svg.hashsalt": "skygen",  # the same numbers give the same bytes
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


class Look(NamedTuple):
    """How a recipe is drawn."""

    colour: str
    line: Any
    marker: str


def look(place: int) -> Look:
    """The look of the recipe at `place` of those compared; 60 in a row differ."""
    return Look(COLOURS[place % len(COLOURS)], _LINES[place % len(_LINES)], _MARKERS[place % len(_MARKERS)])


def panels(count: int, columns: int, width: float = 3.1, height: float = 2.4) -> tuple[Figure, list[Axes]]:
    """A figure with `count` axes, so many a row, `width` x `height` inches each."""
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(columns * width, rows * height), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).ravel())
    for unused in axes[count:]:
        unused.remove()
    return figure, axes[:count]


def legend(figure: Figure, axes: Axes) -> None:
    """Put one legend of all that `axes` shows above the whole figure, in rows that fit it."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=min(len(labels), _MOST_IN_A_ROW))


def plain_numbers(axes: Axes) -> None:
    """Write 0.2, 0.5, 1, 2, 5 at a logarithmic y axis, and no powers of ten."""
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_locator(NullLocator())


def styled() -> Any:
    """The context in which charts are drawn and saved."""
    return mpl.rc_context(_STYLE)


def save_chart(figure: Figure, path: Path) -> None:
    """Write `figure` as SVG on no ground, which a browser shows in other colours on a dark page."""
    with styled(), write_atomically(path) as temporary:
        figure.savefig(temporary, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
        text = temporary.read_text(encoding="utf-8")
        temporary.write_text(text.replace("<defs>", f"<style>{_dark_rules()}</style>\n<defs>", 1), encoding="utf-8")


def _dark_rules() -> str:
    """CSS that recolours what has one of our colours; where it is not understood the chart stays as on a light page."""
    rules = (
        f'[style*="{part}: {light}"]{{{part}:{dark}!important}}'
        for light, dark in DARK.items()
        for part in ("fill", "stroke")
    )
    return f"@media (prefers-color-scheme: dark){{{''.join(rules)}}}"
