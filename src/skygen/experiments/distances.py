"""Section 3.3 of the paper: what the distances of both games say of two distributions that overlap less and less."""

import numpy as np
from matplotlib.figure import Figure
from scipy import stats
from scipy.spatial.distance import jensenshannon

from skygen.report.chart_style import INK, legend, look, panels, styled

SHAPES = {  # of the same standard deviation; the uniform ones share nothing from a distance of 1 on
    "uniform, width 1": stats.uniform(-0.5, 1),
    "normal, the same standard deviation": stats.norm(0, 12**-0.5),
}
_CELL = 5e-4  # of the grid on which densities are compared
_REACH = 3.0  # of a density on either side of its centre
_MOST = 3.0  # distance in the chart


def distances(shape: str, apart: float) -> tuple[float, float]:
    """The Jensen-Shannon divergence in nats and the earth mover's distance of two `SHAPES` whose centres are `apart`.

    Computed on a grid, to about 0.001.
    """
    x = np.arange(-_REACH, apart + _REACH, _CELL) + _CELL / 2
    one, other = SHAPES[shape].pdf(x), SHAPES[shape].pdf(x - apart)
    return float(jensenshannon(one, other) ** 2), float(stats.wasserstein_distance(x, x, one, other))


def draw_distances() -> Figure:
    """A panel a distance, over how far the centres of two distributions are apart."""
    apart = np.linspace(0, _MOST, 61)
    with styled():
        figure, (left, right) = panels(2, 2, width=3.6)
        for place, shape in enumerate(SHAPES):
            both = np.array([distances(shape, distance) for distance in apart])
            for axes, values in zip((left, right), both.T, strict=True):
                axes.plot(apart, values, color=look(place).colour, linestyle=look(place).line, label=shape)
        left.axhline(np.log(2), color=INK, linewidth=1, linestyle=":")
        left.text(_MOST, np.log(2) - 0.02, "log 2", ha="right", va="top")
        left.set(title="Jensen-Shannon divergence (nats)", xlabel="distance of the centres")
        right.set(title="earth mover's distance", xlabel="distance of the centres")
        legend(figure, left)
    return figure
