import pytest

from skygen.measure.table import MEANINGS
from skygen.report.tables import AS_REAL, best, is_as_real, markdown_table, metric_cell, metrics_table, number, times


def metric(mean: float, reach: float = 0.1, real_real: float = 0.1, between_fields: float = 0.2) -> dict:
    return {
        "mean": mean,
        "interval": [mean - reach, mean + reach],
        "real_real": real_real,
        "between_fields": between_fields,
        "collapsed": 0.7,
    }


def test_numbers_are_set_to_the_right():
    table = markdown_table(["metric", "gan", "what"], [["a", "1", "words"]], range(1, 2))

    assert table == "| metric | gan | what |\n| --- | ---: | --- |\n| a | 1 | words |\n"


@pytest.mark.parametrize(
    ("key", "nearest"), [("frechet", "far below"), ("accuracy", "above"), ("c2st.features", "half")]
)
def test_the_best_is_the_nearest_to_perfect(key, nearest):
    values = {"far below": 0.1, "half": 0.55, "above": 1.05}

    assert best(key, {recipe: metric(value) for recipe, value in values.items()}) == [nearest]


def test_equals_are_both_best_and_the_discriminators_accuracy_ranks_nobody():
    equal = {"gan": metric(0.3), "scene": metric(0.3)}

    assert best("frechet", equal) == ["gan", "scene"]
    assert best("discriminator_accuracy", equal) == []


@pytest.mark.parametrize(
    ("key", "found", "passes"),
    [
        ("frechet", metric(0.05), True),  # nearer than real-real
        ("frechet", metric(0.15), True),  # its interval reaches real-real, and other fields are farther
        ("frechet", metric(0.15, reach=0.01), False),  # surely farther than real-real
        ("frechet", metric(0.5, reach=0.45), False),  # an interval that reaches anything
        ("frechet", metric(0.15, between_fields=0.05), False),  # farther than both controls
        ("sky_noise", metric(0.97, 0.02, real_real=0.98, between_fields=1.2), True),
        ("sky_noise", metric(1.03, 0.02, real_real=0.98, between_fields=1.2), True),  # as far on the other side
        ("sky_noise", metric(1.3, 0.02, real_real=0.98, between_fields=1.2), False),
        ("discriminator_accuracy", metric(0.5, real_real=0.6), False),
    ],
)
def test_as_real_is_what_cannot_be_told_from_real_tiles(key, found, passes):
    assert is_as_real(key, found) == passes
    assert (AS_REAL in metric_cell(key, found, is_best=False)) == passes


@pytest.mark.parametrize(
    ("value", "real", "words"),
    [(0.3, 0.1, "(3×)"), (0.314, 0.1, "(3.1×)"), (52, 0.5, "(104×)"), (1e9, 1, "(over 1000×)")],  # noqa: RUF001
)
def test_a_ratio_is_short(value, real, words):
    assert times(value, real) == words


@pytest.mark.parametrize(
    ("value", "words"), [(0.01234, "0.0123"), (-2.5, "-2.5"), (999.4, "999"), (5156.2, "5156"), (-5156.2, "-5156")]
)
def test_a_number_has_three_digits_and_no_powers_of_ten(value, words):
    assert number(value) == words
    assert number(abs(value), "+").startswith("+")


def test_no_ratio_is_made_with_zero_or_a_negative_distance():
    assert times(0.3, 0.0) == times(0.3, -0.1) == times(-0.1, 0.3) == ""


def test_distances_alone_have_a_ratio():
    assert "×" in metric_cell("frechet", metric(3), is_best=False)  # noqa: RUF001
    assert "×" not in metric_cell("accuracy", metric(3), is_best=False)  # noqa: RUF001


def test_the_best_value_is_bold():
    assert metric_cell("frechet", metric(3), is_best=True).startswith("**3** [2.9,")
    assert metric_cell("frechet", metric(3), is_best=False).startswith("3 [2.9,")


def test_controls_that_differ_by_recipe_are_all_shown():
    recipes = {name: {"test": {key: metric(0.3) for key in MEANINGS}} for name in ("gan", "improved", "scene")}
    recipes["scene"]["test"]["diversity"] = metric(0.3) | {"collapsed": 0.0}
    line = next(line for line in metrics_table(recipes).splitlines() if line.startswith("| `diversity`"))

    assert [cell.strip() for cell in line.split("|")][5:9] == ["0.1", "0.2", "0.7 / 0.7 / 0", "1"]
