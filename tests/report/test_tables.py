import pytest

from skygen.measure.table import MEANINGS
from skygen.report.tables import (
    HEADLINES,
    best,
    excess_cell,
    headline_table,
    markdown_table,
    metrics_table,
    number,
    runs_table,
)
from tests.report.rows import UNCONTROLLED, row, rows

SURE = {"exceeds": False}
NO_EXCESS = {"excess": None, "excess_interval": None}


def cells(table: str, first: str) -> list[str]:
    """The cells of the row that begins with `first`."""
    (line,) = [line for line in table.splitlines() if line.startswith(f"| {first} ")]
    return [cell.strip().replace("\u00a0", " ") for cell in line.strip("|").split("|")]


def test_numbers_are_set_to_the_right():
    table = markdown_table(["metric", "gan", "what"], [["a", "1", "words"]], range(1, 2))

    assert table == "| metric | gan | what |\n| --- | ---: | --- |\n| a | 1 | words |\n"


@pytest.mark.parametrize(
    ("key", "nearest"), [("kernel", "far below"), ("accuracy", "above"), ("c2st.features", "half")]
)
def test_the_best_is_the_nearest_to_perfect(key, nearest):
    values = {"far below": 0.1, "half": 0.55, "above": 1.05}

    assert best(key, {recipe: row(value) for recipe, value in values.items()}) == [nearest]


def test_equals_are_both_best_and_what_has_no_controls_ranks_nobody():
    equal = {recipe: rows(0.3) for recipe in ("gan", "scene")}

    assert best("kernel", {recipe: section["kernel"] for recipe, section in equal.items()}) == ["gan", "scene"]
    assert best(UNCONTROLLED, {recipe: section[UNCONTROLLED] for recipe, section in equal.items()}) == []


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        (row(0.3), "2.5 [1.5, 3.5]"),
        (row(0.1, excess=0.02, excess_interval=[0, 0.3], **SURE), "0.02 [0, 0.3] ✓"),
        (row(0.1, **SURE, **NO_EXCESS), "✓"),
        (row(0.3, **NO_EXCESS), "worse"),
        (rows(0.5)[UNCONTROLLED], "–"),  # noqa: RUF001
    ],
)
def test_an_excess_is_a_number_where_there_is_one_and_says_whether_real_tiles_are_better(metric, words):
    assert excess_cell(metric).replace("\u00a0", " ") == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0"),
        (-2e-9, "0"),
        (-1.24e-5, "-0.000012"),
        (0.01234, "0.0123"),
        (-2.5, "-2.5"),
        (999.4, "999"),
        (5156.2, "5156"),
        (-5156.2, "-5156"),
    ],
)
def test_a_number_has_three_digits_and_no_powers_of_ten(value, words):
    assert number(value) == words
    assert number(abs(value), "+").startswith("+")


def test_the_best_value_is_bold_in_the_first_table_and_in_the_full_one():
    recipes = {recipe: {"test": rows(mean)} for recipe, mean in {"gan": 3.0, "scene": 2.0}.items()}

    assert cells(headline_table(recipes), "`kernel`")[1:5] == ["3", "2.5", "**2**", "2.5"]
    assert cells(metrics_table(recipes), "`kernel`")[1:3] == ["3 [2.7, 3.3]", "**2** [1.8, 2.2]"]


def test_the_first_table_has_the_headlines_that_the_set_has():
    colourless, colourful = (headline_table({"gan": {"test": rows(1.0, bands)}}) for bands in ("r", "gri"))
    known = [f"| `{key}` " for key in HEADLINES if key in MEANINGS]

    assert len(colourless.splitlines()) == 2 + len(known) - 1
    assert all(line.startswith(name) for line, name in zip(colourful.splitlines()[2:], known, strict=True))
    assert cells(colourful, "`accuracy`")[1:4] == ["**1**", "worse", "0.1"]


def test_the_full_table_has_four_controls_and_then_the_excess_of_every_recipe():
    recipes = {recipe: {"test": rows(0.3)} for recipe in ("gan", "scene")}
    recipes["scene"]["test"]["pixel_w1"] = row(0.1, excess=0.02, excess_interval=[0, 0.3], **SURE)
    table = metrics_table(recipes)

    assert cells(table, "metric")[3:9] == [
        *("real-real", "between fields", "matched", "collapsed"),
        *("excess, `gan`", "excess, `scene`"),
    ]
    assert cells(table, "`pixel_w1`")[3:9] == ["0.1", "0.2", "0.15", "0.7", "2.5 [1.5, 3.5]", "0.02 [0, 0.3] ✓"]


def test_what_has_no_controls_has_dashes_for_them():
    assert cells(metrics_table({"gan": {"test": rows(0.5)}}), f"`{UNCONTROLLED}`")[2:7] == ["–"] * 5  # noqa: RUF001


def test_trainings_are_listed_by_what_ranks_them():
    recipes = {"gan": {"seeds": [0, 4], "values": [0.25, 0.5], "flaws": [[], ["has too much noise"]]}}
    champions = {"r64": {"recipe": "gan", "seed": 0}}
    table = runs_table({"ranked_by": "kernel", "sets": {"r64": recipes}, "champions": champions})

    assert cells(table, "tiles")[2] == "`kernel`, validation"
    assert "| **`gan`, seed 0, champion** | 0.25 | none |" in table
    assert "| `gan`, seed 4 | 0.5 | has too much noise |" in table
