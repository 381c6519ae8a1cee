"""The chart of every metric of a tile set at a glance, with its intervals and what real tiles get."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from skygen.evaluation.scoring import CONTROLS
from skygen.measure.table import MEANINGS
from skygen.report.chart_style import FAINT, INK, legend, look, styled
from skygen.report.tables import shared_keys

_RATIOS = (0.01, 200.0)  # distances over the matched control are drawn within, and what lies beyond at the edge
_SHARES = (0.0, 2.0)
_CONTROLS = {  # marker, colour, size, width and label
    "real_real": ("|", INK, 17, 2.2, "real-real"),
    "between_fields": ("|", FAINT, 17, 1.4, "between fields"),
    "matched": ("x", INK, 7, 1.4, "matched"),
}
_SPREAD = 0.66  # of a row's height: the recipes' marks


def draw_intervals(recipes: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Above the distances over the matched control, below the rest as it is; test metrics of comparison.json.

    A thick tick marks the real-real value, a thin one real training tiles, a cross the matched ones, a ring the perfect
    value. What has no controls is left out, and a distance whose matched value is not above 0, which has no ratio.
    """
    tests = {recipe: result["test"] for recipe, result in recipes.items()}
    first = next(iter(tests.values()))
    keys = [key for key in shared_keys(recipes) if set(CONTROLS) <= set(first[key])]
    distances = [key for key in keys if MEANINGS[key].ideal == 0 and first[key]["matched"] > 0]
    shares = [key for key in keys if MEANINGS[key].ideal != 0]
    with styled():
        figure = Figure(figsize=(8.6, 0.34 * len(keys) + 2), layout="constrained")
        above, below = figure.subplots(2, 1, height_ratios=[len(distances) or 1, len(shares) or 1])
        _draw(above, tests, distances, _RATIOS, over_matched=True)
        above.set(xscale="log", xlim=(_RATIOS[0] * 0.9, _RATIOS[1] * 1.1), title="Distances")
        above.set_xlabel("times the matched control's distance (left is better; beyond the ends drawn at them)")
        _draw(below, tests, shares, _SHARES, over_matched=False)
        below.set(xlim=(-0.03, 2.03), title="Shares and ratios")
        below.set_xlabel("value (nearer to the ring is better; beyond 2 drawn at 2)")
        legend(figure, below)
    return figure


def _draw(
    axes: Axes,
    tests: Mapping[str, Mapping[str, Any]],
    keys: Sequence[str],
    limits: tuple[float, float],
    over_matched: bool,
) -> None:
    first = next(iter(tests.values()))
    unit = np.array([first[key]["matched"] if over_matched else 1.0 for key in keys])
    rows = np.arange(len(keys))
    for place, (recipe, section) in enumerate(tests.items()):
        colour, _, marker = look(place)
        values = _columns([[section[key]["mean"], *section[key]["interval"]] for key in keys], unit, limits)
        middle, low, high = values
        shift = _SPREAD * ((place + 0.5) / len(tests) - 0.5)
        reach = np.maximum([middle - low, high - middle], 0)
        axes.errorbar(middle, rows + shift, xerr=reach, fmt=marker, color=colour, markersize=5, capsize=0, label=recipe)
    if not over_matched:
        ideals = [MEANINGS[key].ideal for key in keys]
        axes.plot(ideals, rows, "o", color=INK, fillstyle="none", markersize=8, label="perfect")
    for control, (marker, colour, size, width, label) in _CONTROLS.items():
        (values,) = _columns([[first[key][control]] for key in keys], unit, limits)
        axes.plot(values, rows, marker, color=colour, markersize=size, markeredgewidth=width, label=label)
    axes.set_yticks(rows, keys)
    axes.set_ylim(len(keys) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")


def _columns(rows: Sequence[Sequence[float]], unit: NDArray[Any], limits: tuple[float, float]) -> NDArray[np.float64]:
    """The transposed `rows`, each over its unit, within the limits of the chart."""
    values = np.asarray(rows, dtype=float).reshape(len(unit), -1) / unit[:, None]
    return np.asarray(np.clip(values, *limits).T)
