import copy
import re

from skygen.measure.table import MEANINGS
from skygen.report.text import charts, write_report
from tests.report.rows import row, rows

SHAPES = {"r64": "64×64×1", "gri128": "128×128×3"}  # noqa: RUF001
RECIPES = {"gan": 0.4, "improved": 0.3, "scene": 0.2}
BANDS = {"r64": "r", "gri128": "gri"}


def comparison(seeds: int = 1) -> dict:
    runs = list(range(seeds))
    sets = {
        tiles: {
            recipe: {
                "seeds": runs,
                "hashes": [f"{seed}{recipe}".ljust(64, "0") for seed in runs],
                "values": [mean + seed for seed in runs],
                "flaws": [[] for _ in runs],
                "validation": rows(mean, BANDS[tiles]),
                "test": rows(mean, BANDS[tiles]),
            }
            for recipe, mean in RECIPES.items()
        }
        for tiles in SHAPES
    }
    pairs = ("improved - gan", "scene - gan", "scene - improved")
    entry = {"mean": -0.1, "interval": [-0.2, -0.05] if seeds > 1 else None, "seeds": runs}
    champion = {"recipe": "scene", "seed": 0, "value": 0.2, "interval": [0.1, 0.3], "flaws": []}
    return {
        "rule": "The least `kernel` is first.",
        "ranked_by": "kernel",
        "champions": {tiles: copy.deepcopy(champion) for tiles in sets},
        "bundles": {tiles: {"gan": 0, "improved": seeds - 1, "scene": 0} for tiles in sets},
        "encoder": dict.fromkeys(sets, "e" * 64),
        "data": dict.fromkeys(sets, "d" * 64),
        "tiles": {tiles: {"validation": 90, "test": 80} for tiles in sets},
        "fields": {tiles: {"validation": 1, "test": 2} for tiles in sets},
        "sets": sets,
        "differences": {
            tiles: {pair: {key: dict(entry) for key in sets[tiles]["gan"]["test"]} for pair in pairs} for tiles in sets
        },
    }


def row_of(text: str, first: str, title: str) -> list[str]:
    """The cells of the row of a table that begins with `first`, in the section whose heading is `title`."""
    _, _, below = text.partition(f"# {title}\n")
    (line,) = re.findall(rf"^\| {re.escape(first)} \|.*$", re.split(r"^##", below, flags=re.MULTILINE)[0], re.MULTILINE)
    return [cell.strip().replace("\u00a0", " ") for cell in line.strip("|").split("|")]


def test_the_first_lines_say_what_is_not_sky_yet():
    found = comparison()
    found["sets"]["r64"]["gan"]["test"]["accuracy"]["mean"] = 0.02
    found["sets"]["r64"]["gan"]["test"]["noise_correlation"] |= {"mean": 0.15, "real_real": 0.005}
    found["sets"]["r64"]["gan"]["test"]["sources.places"]["exceeds"] = False
    for recipe in ("improved", "scene"):
        found["sets"]["r64"][recipe]["test"]["accuracy"]["mean"] = 0.6
    for recipe in RECIPES:
        found["sets"]["gri128"][recipe]["test"]["accuracy"]["mean"] = 0.9
    (line,) = [line for line in write_report(found, SHAPES).splitlines() if "not sky yet" in line]

    assert "not sky yet at 64×64×1" in line  # noqa: RUF001
    assert "`gan` (accuracy 0.02; correlation of neighbouring pixels 0.15 (0.005), radii" in line
    assert "improved" not in line
    assert "places" not in line


def test_every_metric_of_every_set_is_shown_and_said_how_to_read():
    text = write_report(comparison(), SHAPES)

    for tiles in SHAPES:
        for key in rows(1, BANDS[tiles]):
            assert MEANINGS[key].caption in row_of(text, f"`{key}`", f"{tiles}: metrics")
    for key in MEANINGS:
        assert row_of(text, f"`{key}`", "How to read each metric")[1] == MEANINGS[key].reading


def test_the_first_tables_show_value_and_excess_of_every_recipe():
    found = comparison()
    found["sets"]["r64"]["scene"]["test"]["kernel"] |= {"excess": 0.04, "exceeds": False}
    cells = row_of(write_report(found, SHAPES), "`kernel`", "r64: main metrics")

    assert cells[1:8] == ["0.4", "2.5", "0.3", "2.5", "**0.2**", "0.04 ✓", "0.1"]


def test_the_top_says_how_many_tiles_and_fields_the_intervals_rest_on():
    top, _, _ = write_report(comparison(), SHAPES).partition("## In short")

    for tiles in SHAPES:
        assert f"of `{tiles}` on 80 tiles of 2 fields (validation: 90 tiles of 1 field)" in top
    assert "They count tiles, not fields" in top


def test_what_is_not_worse_than_real_real_is_counted():
    found = comparison()
    for key in ("kernel", "accuracy"):
        found["sets"]["r64"]["scene"]["test"][key]["exceeds"] = False
    short = write_report(found, SHAPES).partition("## In short")[2]

    assert [int(count) for count in re.findall(r"not worse than real-real in (\d+)\.", short)] == [2, 0]


def test_all_rows_of_a_table_have_as_many_cells():
    for block in re.findall(r"(?:^\|.*\n)+", write_report(comparison(2), SHAPES), re.MULTILINE):
        assert len({line.count("|") for line in block.splitlines()}) == 1


def test_table_4_has_the_papers_figures_beside_ours():
    text = write_report(comparison(), SHAPES)
    rows = [
        row_of(text, name, "Table 4 of the paper")
        for name in ("original GAN, `gan`", "the paper's, `improved`", "ours, `scene`")
    ]

    assert [row[1::2] for row in rows] == [["0.73", "0.86"], ["0.84", "0.97"], ["–", "–"]]  # noqa: RUF001
    assert [row[2] for row in rows] == ["0.4 [0.36, 0.44]", "0.3 [0.27, 0.33]", "0.2 [0.18, 0.22]"]


def test_the_parts_of_table_4_are_over_real_and_the_share_that_passes_a_classifier():
    found = comparison()
    found["sets"]["r64"]["scene"]["test"] |= {
        "precision": row(0.3, real_real=0.6),
        "recall": row(0.2, real_real=0.8),
        "coverage": row(0.2, real_real=0.0),
        "c2st.features": row(0.75),
        "c2st.pixels": row(0.95),
    }
    text = write_report(found, SHAPES)

    assert "| `r64` | `scene` | – | 0.2 [0.18,\u00a00.22] | 0.5 | 0.25 | 0 | 0.5 | 0.1 | 0.2 |" in text  # noqa: RUF001


def test_the_accuracy_with_the_field_s_density_stands_apart_of_every_process():
    found = comparison()
    for tiles, value in (("r64", 0.97), ("gri128", 0.9)):
        own = {"mean": value, "interval": [0.8, 1], "real_10th_percentile": 0.96}
        found["sets"][tiles]["scene"]["test"]["accuracy_own_density"] = own
    text = write_report(found, SHAPES)

    assert "| `r64` | `scene` | 0.2 [0.18,\u00a00.22] | 0.97 [0.8,\u00a01] | 0.96 | reached |" in text
    assert "| `gri128` | `scene` | 0.2 [0.18,\u00a00.22] | 0.9 [0.8,\u00a01] | 0.96 | below |" in text
    assert "accuracy_own_density" not in write_report(comparison(), SHAPES)


def test_the_champion_its_rule_and_every_training_are_named():
    text = write_report(comparison(2), SHAPES)

    assert "The least `kernel` is first." in text
    for shape in SHAPES.values():
        assert f"**{shape}**" in text
    assert text.count("the champion is **`scene`**, seed 0.") == 2
    assert text.count(", champion**") == 2
    for recipe, mean in RECIPES.items():
        assert f"`{recipe}`, seed 1 | {mean + 1:.3g} | none |" in text


def test_flaws_are_told_and_a_champion_that_has_one_is_no_secret():
    found = comparison()
    found["sets"]["r64"]["gan"]["flaws"] = [["collapsed (diversity 0.1, under 0.3)"]]
    found["champions"]["r64"]["flaws"] = ["has 1.5 times the real sky noise (outside 0.9 to 1.1)"]
    text = write_report(found, SHAPES)

    assert "| collapsed (diversity 0.1, under 0.3) |" in text
    assert "seed 0, though it has 1.5 times the real sky noise (outside 0.9 to 1.1): every run fails a gate." in text


def test_one_training_a_recipe_is_said_to_say_nothing_of_luck():
    assert "One training a recipe" in write_report(comparison(1), SHAPES)
    assert "which says nothing of luck" in write_report(comparison(1), SHAPES)
    assert "One training a recipe" not in write_report(comparison(2), SHAPES)


def test_differences_are_bold_where_their_interval_leaves_out_zero():
    found = comparison(2)
    found["differences"]["r64"]["scene - gan"]["kernel"]["interval"] = [-0.3, 0.1]
    row = row_of(write_report(found, SHAPES), "`kernel`", "r64: differences between recipes")

    assert row[1:] == ["**-0.1** [-0.2, -0.05]", "-0.1 [-0.3, 0.1]", "**-0.1** [-0.2, -0.05]"]


def test_one_recipe_alone_has_nothing_to_differ_from():
    found = comparison()
    for tiles in SHAPES:
        found["sets"][tiles] = {"scene": found["sets"][tiles]["scene"]}
        found["differences"][tiles] = {}
    text = write_report(found, SHAPES)

    assert text.count("There is one recipe.") == 2
    assert "`gan`" not in text


def test_pictures_are_of_the_best_seed_and_colours_of_several_bands_alone():
    found = comparison(2)
    links = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", write_report(found, SHAPES))

    assert "r64/improved/1/neighbours.png" in links
    assert "r64/gan/0/neighbours.png" in links
    assert "figures/gri128-colours.svg" in links
    assert "figures/r64-colours.svg" not in links
    assert [charts(recipes) for recipes in found["sets"].values()] == [
        ["histograms", "spectra", "curves"],
        ["histograms", "spectra", "colours", "curves"],
    ]
    assert len(links) == len(set(links)) == 2 * (1 + 1 + 3 + 3) + 1
