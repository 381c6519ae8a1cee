"""The chart of every metric of a tile set at a glance, with its intervals and what real tiles get."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from skygen.measure.table import MEANINGS
from skygen.report.chart_style import FAINT, INK, legend, look, styled

_RATIOS = (0.05, 1000.0)  # distances over their real-real value are drawn within, and what lies beyond at the edge
_SHARES = (0.0, 2.0)
_SPREAD = 0.66  # of a row's height: the recipes' marks


def draw_intervals(recipes: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Above the distances over real-real, below the shares and ratios as they are; test metrics of comparison.json.

    A thick tick marks the real-real value, a thin one real training tiles, a ring the perfect value. A distance whose
    real-real value is not above 0 has no ratio, and is left out.
    """
    tests = {recipe: result["test"] for recipe, result in recipes.items()}
    first = next(iter(tests.values()))
    keys = [key for key in MEANINGS if all(key in section for section in tests.values())]
    distances = [key for key in keys if MEANINGS[key].ideal == 0 and first[key]["real_real"] > 0]
    shares = [key for key in keys if MEANINGS[key].ideal != 0]
    with styled():
        figure = Figure(figsize=(8.6, 0.34 * len(keys) + 2), layout="constrained")
        above, below = figure.subplots(2, 1, height_ratios=[len(distances) or 1, len(shares) or 1])
        _draw(above, tests, distances, _RATIOS, over_real=True)
        above.set(xscale="log", xlim=(_RATIOS[0] * 0.9, _RATIOS[1] * 1.1), title="Distances")
        above.set_xlabel("times the real-real distance (left is better; beyond the ends drawn at them)")
        _draw(below, tests, shares, _SHARES, over_real=False)
        below.set(xlim=(-0.03, 2.03), title="Shares and ratios")
        below.set_xlabel("value (nearer to the ring is better; beyond 2 drawn at 2)")
        legend(figure, below)
    return figure


def _draw(
    axes: Axes,
    tests: Mapping[str, Mapping[str, Any]],
    keys: Sequence[str],
    limits: tuple[float, float],
    over_real: bool,
) -> None:
    first = next(iter(tests.values()))
    real = np.array([first[key]["real_real"] if over_real else 1.0 for key in keys])
    rows = np.arange(len(keys))
    for place, (recipe, section) in enumerate(tests.items()):
        colour, _, marker = look(place)
        values = _columns([[section[key]["mean"], *section[key]["interval"]] for key in keys], real, limits)
        middle, low, high = values
        shift = _SPREAD * ((place + 0.5) / len(tests) - 0.5)
        reach = np.maximum([middle - low, high - middle], 0)
        axes.errorbar(middle, rows + shift, xerr=reach, fmt=marker, color=colour, markersize=5, capsize=0, label=recipe)
    aims = [1.0 if over_real else first[key]["real_real"] for key in keys]
    axes.plot(aims, rows, "|", color=INK, markersize=17, markeredgewidth=2.2, label="real-real")
    if not over_real:
        ideals = [MEANINGS[key].ideal for key in keys]
        axes.plot(ideals, rows, "o", color=INK, fillstyle="none", markersize=8, label="perfect")
    (others,) = _columns([[first[key]["between_fields"]] for key in keys], real, limits)
    axes.plot(others, rows, "|", color=FAINT, markersize=17, markeredgewidth=1.4, label="real, other fields")
    axes.set_yticks(rows, keys)
    axes.set_ylim(len(keys) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")


def _columns(rows: Sequence[Sequence[float]], real: NDArray[Any], limits: tuple[float, float]) -> NDArray[np.float64]:
    """The transposed `rows`, each over its real value, within the limits of the chart."""
    values = np.asarray(rows, dtype=float).reshape(len(real), -1) / real[:, None]
    return np.asarray(np.clip(values, *limits).T)
