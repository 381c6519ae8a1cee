"""Charts of a tile set: distributions, power spectra, colours and learning curves, beside the real ones."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from skygen.report.chart_style import INK, REAL_FILL, Look, legend, look, panels, plain_numbers, styled

REAL = "real"  # the key of real tiles beside the recipes
# Title, and what real tiles have, where that is one number for all trainings.
CURVES: dict[str, tuple[str, float | None]] = {
    "validation_score": ("validation score (1: as real)", 1.0),
    "validation_pixel_w1": ("pixel_w1 (0: as real)", None),
    "validation_power_spectrum": ("power_spectrum (0: as real)", None),
    "validation_diversity": ("diversity / real", 1.0),
    "validation_peaks": ("peaks a tile / real", 1.0),
}
_MOST_POINTS = 1000  # drawn of a recipe's sources
_QUANTITIES = {
    "flux": "flux in {band}, stretched",
    "sky_noise": "sky noise in {band} (nmgy)",
    "number": "sources a tile",
    "magnitude": "r magnitude of sources (mag)",
    "half_light_radius": "half-light radius (px)",
    "ellipticity": "ellipticity",
    "g_r": "g - r of sources (mag)",
    "r_i": "r - i of sources (mag)",
}


def draw_histograms(sets: Mapping[str, Mapping[str, Any]]) -> Figure:
    """A panel a quantity: the histogram of real tiles filled, those of the recipes as lines.

    `sets` are contents of distributions.json by recipe, with those of real tiles under `REAL`. Panels end where no set
    has anything; flux has a logarithmic axis, since its tail is the sources.
    """
    histograms = {name: found["histograms"] for name, found in sets.items()}
    with styled():
        figure, places = panels(len(histograms[REAL]), 3)
        for axes, quantity in zip(places, sorted(histograms[REAL], key=_rank), strict=True):
            real = histograms[REAL][quantity]
            edges = np.asarray(real["edges"])
            axes.stairs(real["share"], edges, fill=True, color=REAL_FILL, label=REAL)
            for place, recipe in enumerate(name for name in sets if name != REAL):
                style = look(place)
                share = histograms[recipe][quantity]["share"]
                axes.stairs(share, edges, color=style.colour, linestyle=style.line, linewidth=1.5, label=recipe)
            axes.set_xlim(*filled([found[quantity] for found in histograms.values()]))
            axes.set(xlabel=quantity_label(quantity), yscale="log" if quantity.startswith("flux.") else "linear")
            axes.set_ylabel("share of pixels" if quantity.startswith("flux.") else _share_of(quantity))
        legend(figure, places[0])
    return figure


def draw_spectra(sets: Mapping[str, Mapping[str, Any]]) -> Figure:
    """For each band the radial power spectra of `sets` (as in `draw_histograms`), and below them over the real one."""
    spectra = {name: found["spectra"] for name, found in sets.items()}
    bands = list(spectra[REAL])
    with styled():
        figure, places = panels(2 * len(bands), max(2, len(bands)), width=4.6 if len(bands) == 1 else 3.1)
        for column, band in enumerate(bands):
            above, below = places[column], places[len(bands) + column]
            real = np.asarray(spectra[REAL][band]["power"])
            above.plot(spectra[REAL][band]["cycles"], real, color=INK, linewidth=2.2, label=REAL)
            below.axhline(1, color=INK, linewidth=2.2)
            for place, recipe in enumerate(name for name in sets if name != REAL):
                colour, line, _ = look(place)
                cycles, power = spectra[recipe][band]["cycles"], np.asarray(spectra[recipe][band]["power"])
                above.plot(cycles, power, color=colour, linestyle=line, linewidth=1.5, label=recipe)
                below.plot(cycles, power / real, color=colour, linestyle=line, linewidth=1.5)
            above.set(title=f"{band} band", yscale="log", ylabel="power", xlabel="cycles a tile")
            below.set(title=f"{band} band", yscale="log", ylabel="power / real", xlabel="cycles a tile")
            plain_numbers(below)
        legend(figure, places[0])
    return figure


def draw_colours(sets: Mapping[str, Mapping[str, Any]]) -> Figure:
    """A panel a recipe: the colours of its sources as points, over contours that hold 50 and 90 % of the real ones."""
    real = sets[REAL]["colours"]
    recipes = [name for name in sets if name != REAL]
    limits = [_limits(np.asarray(real[colour])) for colour in ("g_r", "r_i")]
    with styled():
        figure, places = panels(len(recipes), 3, height=3.1)
        for place, (axes, recipe) in enumerate(zip(places, recipes, strict=True)):
            if len(real["g_r"]):
                _draw_contours(axes, np.asarray(real["g_r"]), np.asarray(real["r_i"]), limits)
            style, colours = look(place), sets[recipe]["colours"]
            x, y = (np.asarray(colours[key][:_MOST_POINTS]) for key in ("g_r", "r_i"))
            axes.scatter(x, y, s=9, marker=style.marker, color=style.colour, alpha=0.6, linewidth=0)
            axes.set(xlim=limits[0], ylim=limits[1], title=recipe, xlabel="g - r (mag)", ylabel="r - i (mag)")
    return figure


def draw_curves(histories: Mapping[str, Sequence[Sequence[Mapping[str, float]]]]) -> Figure:
    """The validation score and its parts over images seen: a line a training, a dot on the checkpoint that it kept.

    `histories` are the rows of history.json of each recipe's trainings, an item a seed.
    """
    with styled():
        figure, places = panels(len(CURVES), 3)
        for axes, (key, (title, aim)) in zip(places, CURVES.items(), strict=True):
            for place, (recipe, trainings) in enumerate(histories.items()):
                for number, rows in enumerate(trainings):
                    _draw_curve(axes, rows, key, look(place), None if number else recipe)
            if aim is not None:
                axes.axhline(aim, color=INK, linewidth=1)
            axes.set(title=title, yscale="log", xlabel="thousand images seen")
            plain_numbers(axes)
        legend(figure, places[0])
    return figure


def quantity_label(quantity: str) -> str:
    """The name of a quantity of distributions.json in words, with its unit; the quantity itself where it is unknown."""
    name, _, band = quantity.partition(".")
    return _QUANTITIES.get(name, quantity).format(band=band)


def filled(histograms: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """Where the bins that any of the `histograms`, which have the same edges, has something in begin and end."""
    edges = histograms[0]["edges"]
    found = np.flatnonzero(np.max([histogram["share"] for histogram in histograms], axis=0) > 0)
    return (edges[found[0]], edges[found[-1] + 1]) if found.size else (edges[0], edges[-1])


def _rank(quantity: str) -> int:
    """The place of a quantity in a chart: the bands of one beside each other, what is unknown last."""
    name = quantity.partition(".")[0]
    return list(_QUANTITIES).index(name) if name in _QUANTITIES else len(_QUANTITIES)


def _share_of(quantity: str) -> str:
    return "share of tiles" if quantity.partition(".")[0] in ("number", "sky_noise") else "share of sources"


def _draw_curve(axes: Axes, rows: Sequence[Mapping[str, float]], key: str, style: Look, label: str | None) -> None:
    rows = [row for row in rows if key in row]
    if not rows:
        return
    seen, values = [row["images_seen"] / 1000 for row in rows], [max(row[key], 1e-3) for row in rows]
    kept = min(range(len(rows)), key=lambda place: rows[place]["validation_score"])
    axes.plot(seen, values, color=style.colour, linestyle=style.line, linewidth=1.3, label=label)
    axes.plot(seen[kept], values[kept], style.marker, color=style.colour, markersize=6)


def _limits(real_mag: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where an axis of colours ends: beyond nearly all real ones; real sources lie about here where there are none."""
    ends = np.quantile(real_mag, [0.01, 0.99]) if real_mag.size else np.array([-0.3, 1.5])
    return np.asarray(ends + np.array([-0.7, 0.7]))


def _draw_contours(
    axes: Axes, x: NDArray[np.float64], y: NDArray[np.float64], limits: Sequence[NDArray[np.float64]]
) -> None:
    """Lines within which the densest 50 and 90 % of points lie: a histogram smoothed by a Gaussian of two cells."""
    counts, x_edges, y_edges = np.histogram2d(x, y, bins=60, range=[tuple(limit) for limit in limits])
    kernel = np.exp(-0.5 * (np.arange(-8, 9) / 2.5) ** 2)
    for axis in (0, 1):
        counts = np.apply_along_axis(np.convolve, axis, counts, kernel / kernel.sum(), "same")
    densest = np.sort(counts.ravel())[::-1]
    share = np.cumsum(densest) / densest.sum()
    levels = sorted({float(densest[np.searchsorted(share, wanted)]) for wanted in (0.9, 0.5)})
    middles = [(edges[:-1] + edges[1:]) / 2 for edges in (x_edges, y_edges)]
    axes.contourf(*middles, counts.T, levels=[levels[0], densest[0] * 1.01], colors=[REAL_FILL], alpha=0.6)
    axes.contour(*middles, counts.T, levels=levels, colors=[INK], linewidths=[1.0, 1.6][-len(levels) :])
