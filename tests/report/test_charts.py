from itertools import pairwise

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from skygen.measure.table import MEANINGS
from skygen.report.chart_style import look
from skygen.report.charts import REAL, draw_colours, draw_curves, draw_histograms, draw_spectra, quantity_label
from skygen.report.intervals_chart import draw_intervals
from tests.report.rows import UNCONTROLLED, rows

RECIPES = ("gan", "scene")


def distributions(seed: int) -> dict:
    rng = np.random.default_rng(seed)
    share = rng.dirichlet(np.ones(4)).tolist()
    spectrum = {"cycles": [1, 2, 3], "power": rng.uniform(1, 2, 3).tolist()}
    return {
        "histograms": {
            "flux.r": {"edges": [0, 1, 2, 3, 4, 5, 6], "share": [0.0, *share, 0.0]},
            "number": {"edges": [-0.5, 0.5, 1.5, 2.5, 3.5], "share": share},
        },
        "spectra": {"g": spectrum, "r": spectrum},
        "colours": {"g_r": rng.normal(0.8, 0.3, 400).tolist(), "r_i": rng.normal(0.4, 0.3, 400).tolist()},
    }


@pytest.fixture(scope="module")
def sets() -> dict:
    return {name: distributions(seed) for seed, name in enumerate((REAL, *RECIPES))}


def colours_of(figure: Figure, label: str) -> set[str]:
    handles = [
        handle
        for axes in figure.axes
        for handle, name in zip(*axes.get_legend_handles_labels(), strict=True)
        if name == label
    ]
    handles = [getattr(handle, "lines", [handle])[0] for handle in handles]  # of an error bar its marker
    return {to_hex(h.get_edgecolor() if hasattr(h, "get_edgecolor") else h.get_color()) for h in handles}


def history(scores: list[float]) -> list[dict]:
    return [
        {"images_seen": 1000.0 * (row + 1), "validation_score": score, "validation_diversity": 1.0}
        for row, score in enumerate(scores)
    ]


def test_a_recipe_has_one_colour_in_every_chart(sets):
    figures = [
        draw_histograms(sets),
        draw_spectra(sets),
        draw_curves({recipe: [history([3, 2])] for recipe in RECIPES}),
        draw_intervals({recipe: {"test": rows(0.3)} for recipe in RECIPES}),
    ]
    for place, recipe in enumerate(RECIPES):
        for figure in figures:
            assert colours_of(figure, recipe) == {look(place).colour}


def test_histograms_have_a_panel_a_quantity_that_ends_where_nothing_is(sets):
    flux, number = draw_histograms(sets).axes

    assert flux.get_xlim() == (1, 5)
    assert (flux.get_yscale(), number.get_yscale()) == ("log", "linear")
    assert (flux.get_xlabel(), number.get_xlabel()) == ("flux in r, stretched", "sources a tile")


def test_a_spectrum_is_drawn_as_it_is_and_over_the_real_one(sets):
    power_g, power_r, ratio_g, _ = draw_spectra(sets).axes
    gan, real = (np.array(sets[name]["spectra"]["g"]["power"]) for name in ("gan", REAL))

    assert [line.get_label() for line in power_g.lines] == [REAL, *RECIPES]
    np.testing.assert_allclose(power_g.lines[1].get_ydata(), gan)
    np.testing.assert_allclose(ratio_g.lines[1].get_ydata(), gan / real)
    assert power_r.get_title(loc="left") == "r band"


def test_real_colours_are_contours_that_hold_half_and_nine_tenths_of_them(sets):
    axes = draw_colours(sets | {REAL: sets[REAL] | {"colours": gaussian(20_000)}}).axes[0]
    (lines,) = [drawn for drawn in axes.collections if len(getattr(drawn, "levels", [])) == 2 and not drawn.filled]
    radii = [np.abs(path.vertices).max() for path in lines.get_paths()]

    # Of a round Gaussian, the share p lies within the radius sqrt(-2 ln(1 - p)); the smoothing widens it a little.
    assert sorted(radii) == pytest.approx([np.sqrt(-2 * np.log(0.5)), np.sqrt(-2 * np.log(0.1))], rel=0.15)


def gaussian(count: int) -> dict:
    x, y = np.random.default_rng(5).normal(0, 1, (2, count))
    return {"g_r": x.tolist(), "r_i": y.tolist()}


def test_few_sources_in_one_place_are_drawn_too(sets):
    few = {"colours": {"g_r": [0.5], "r_i": [0.2]}}

    assert len(draw_colours({REAL: few, "gan": {"colours": {"g_r": [], "r_i": []}}}).axes) == 1


def test_no_real_source_leaves_the_points_of_the_recipes(sets):
    none = {"colours": {"g_r": [], "r_i": []}}
    axes = draw_colours({REAL: none, "gan": sets["gan"]}).axes[0]

    assert len(axes.collections[0].get_offsets()) == 400


def test_a_learning_curve_marks_the_checkpoint_of_the_least_score():
    score = draw_curves({"gan": [history([5, 2, 4]), history([3, 6, 9])]}).axes[0]
    dots = [line for line in score.lines if line.get_marker() == look(0).marker]

    assert [(dot.get_xdata()[0], dot.get_ydata()[0]) for dot in dots] == [(2, 2), (1, 3)]
    assert sum(not line.get_label().startswith("_") for line in score.lines) == 1  # one entry, however many seeds


def test_a_history_without_a_part_has_an_empty_panel():
    panels = {axes.get_title(loc="left"): axes for axes in draw_curves({"gan": [history([5, 2])]}).axes}

    assert len(panels["diversity / real"].lines) == 3  # the curve, its dot, the line of real tiles
    assert panels["pixel_w1 (0: as real)"].lines[:] == []


def points(axes: Axes, label: str) -> list[float]:
    """Where a chart of intervals has the marks of a recipe or a control."""
    (drawn,) = [its for its, name in zip(*axes.get_legend_handles_labels(), strict=True) if name == label]
    return list(getattr(drawn, "lines", [drawn])[0].get_xdata())


def names(axes: Axes) -> list[str]:
    return [label.get_text() for label in axes.get_yticklabels()]


def test_intervals_are_over_the_matched_control_for_distances_and_as_they_are_for_shares():
    above, below = draw_intervals({"gan": {"test": rows(0.3)}}).axes
    distances = [key for key in MEANINGS if MEANINGS[key].ideal == 0]
    shares = [key for key in MEANINGS if MEANINGS[key].ideal != 0 and key != UNCONTROLLED]

    assert (names(above), names(below)) == (distances, shares)
    assert points(above, "gan") == pytest.approx([0.3 / 0.15] * len(distances))
    assert points(below, "gan") == pytest.approx([0.3] * len(shares))


def test_intervals_show_three_controls_of_every_metric():
    above, below = draw_intervals({"gan": {"test": rows(0.3)}}).axes

    for label, value in {"real-real": 0.1, "between fields": 0.2, "matched": 0.15}.items():
        assert points(above, label) == pytest.approx([value / 0.15] * len(names(above)))
        assert points(below, label) == pytest.approx([value] * len(names(below)))


def test_the_legend_of_many_recipes_lies_within_the_figure():
    figure = draw_intervals({f"recipe {number}": {"test": rows(0.3)} for number in range(9)})
    figure.draw_without_rendering()
    (legend,) = figure.legends
    box = legend.get_window_extent().transformed(figure.transFigure.inverted())

    assert 0 <= box.x0 < box.x1 <= 1


def test_an_interval_beyond_the_chart_is_drawn_at_its_edge_and_no_ratio_is_made_with_zero():
    far = rows(500.0)
    far["kernel"] |= {"real_real": -0.1}
    far["pixel_w1"] |= {"matched": 0.0}
    above, below = draw_intervals({"gan": {"test": far}}).axes

    assert "pixel_w1" not in names(above)
    assert set(points(above, "gan")) == {200.0}
    assert set(points(below, "gan")) == {2.0}
    assert points(above, "real-real")[names(above).index("kernel")] == 0.01


def test_the_bands_of_a_quantity_stand_beside_each_other(sets):
    number = sets[REAL]["histograms"]["number"]
    mixed = dict.fromkeys(("flux.g", "sky_noise.g", "flux.r", "sky_noise.r", "new", "number"), number)
    axes = draw_histograms({name: {"histograms": mixed} for name in sets}).axes

    words = ["flux in g, stretched", "flux in r, stretched", "sky noise in g (nmgy)", "sky noise in r (nmgy)"]
    assert [place.get_xlabel() for place in axes] == [*words, "sources a tile", "new"]


@pytest.mark.parametrize(
    ("quantity", "words"), [("sky_noise.g", "sky noise in g (nmgy)"), ("number", "sources a tile"), ("new.r", "new.r")]
)
def test_quantities_have_words_with_units(quantity, words):
    assert quantity_label(quantity) == words


def test_panels_are_filled_row_by_row(sets):
    places = [axes.get_position() for axes in draw_histograms(sets).axes]

    assert all(after.x0 > before.x0 for before, after in pairwise(places))
