"""The figure of `benchmarks.photometry`: completeness, purity, and total fluxes against magnitude."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from benchmarks.known_sky import Floats
from benchmarks.measured_sky import TOOLS
from benchmarks.photometry import BIN_MAG, EDGES_MAG, Field, completeness, purity, residuals
from skygen.report.chart_style import INK, legend, look, panels, save_chart, styled

LEAST = 10  # objects in a bin that is drawn
MIDDLES_MAG = EDGES_MAG[:-1] + BIN_MAG / 2


def draw(path: Path, of_skies: dict[str, list[Field]]) -> None:
    """Write the figure as SVG: a look a sky and tool."""
    kinds = [(sky, tool) for sky in of_skies for tool in TOOLS]
    with styled():
        figure, axes = panels(4, 2, width=4.2, height=2.9)
        for place, (sky, tool) in enumerate(kinds):
            fields = of_skies[sky]
            for panel, (share, number) in zip(axes, (completeness(fields, tool), purity(fields, tool)), strict=False):
                _line(panel, np.where(number >= LEAST, share, np.nan), place, f"{sky}, {tool}")
            for panel, galaxies in zip(axes[2:], (False, True), strict=True):
                parts = residuals(fields, tool, galaxies)
                middle = [np.median(part) if len(part) >= LEAST else np.nan for part in parts]
                _line(panel, middle, place, f"{sky}, {tool}")
        for panel in axes[2:]:
            panel.axhline(1, color=INK, linewidth=1)
        axes[0].set(title="objects that are found", ylabel="complete", xlabel="true magnitude in r")
        axes[1].set(title="detections that are objects", ylabel="pure", xlabel="measured magnitude in r")
        axes[2].set(title="stars", ylabel="Kron flux / true flux", xlabel="true magnitude in r", ylim=(0.7, 1.3))
        axes[3].set(title="galaxies", ylabel="Kron flux / true flux", xlabel="true magnitude in r", ylim=(0.7, 1.3))
        legend(figure, axes[0])
    save_chart(figure, path)


def _line(axes: Axes, values: Sequence[float] | Floats, place: int, label: str) -> None:
    colour, line, marker = look(place)
    axes.plot(
        MIDDLES_MAG, values, color=colour, linestyle=line, marker=marker, markersize=4, linewidth=1.4, label=label
    )
