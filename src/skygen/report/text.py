"""The comparison as Markdown: what is best, by how much, with pictures, tables and how to read them."""

from collections.abc import Mapping, Sequence
from typing import Any

from skygen.report.tables import (
    AS_REAL,
    Recipes,
    best,
    differences_table,
    interval,
    metrics_table,
    number,
    paper_table,
    parts_table,
    readings_table,
    runs_table,
    shared_keys,
)

CHARTS = {  # the file in figures/, after the set's name, and what it shows; in the order of the report
    "histograms": "Histograms of the test tiles: real in grey, a line a recipe",
    "spectra": "Radial power spectra of the test tiles, and the same over the real one",
    "colours": "Colours of sources on the test tiles; the contours hold 50 and 90 % of the real ones",
    "curves": "What was measured on the validation tiles over a training; the dot is the checkpoint that was kept",
}

_INTRODUCTION = """\
# Comparison of the recipes

Which generator is better, and is it good enough to use? Every generator was measured on tiles of fields that none was
trained on. The champion is chosen on validation tiles; all numbers are of the test tiles unless they say otherwise.
"""

_HOW_TO_READ = f"""\
## How to read the tables

**A cell** holds the value and its 95 % interval: of one training, a bootstrap over tiles; of several seeds, their mean
and Student's interval of it. In round brackets, for distances, how many times the real-real value. **Bold** is the
recipe nearest to perfect. {AS_REAL} says that by this metric the tiles pass for real: the interval reaches a value as
near to perfect as real-real, and the value itself is no farther from perfect than that of real tiles of other fields.

**It is read against** three controls. *Real-real* is the same metric between two disjoint halves of the test tiles.
*Between fields* is what real training tiles get, and so what a perfect generator of the training fields can hope for:
fields differ by themselves. *Collapsed* is one real tile repeated, for scenes one scene under fresh noise. As many
generated tiles are measured as there are in a half; scenes are observed under the conditions of that half's fields, but
for their diversity, which fresh noise would hide: free of noise, perfect scenes reach about 0.9 there.
"""

_TABLE_4 = """\
## Table 4 of the paper

The paper gives an "accuracy" a method and resolution without saying of what, so its figures can be set beside ours but
not compared with them. `accuracy` here is the harmonic mean of precision, recall and coverage, each over what real
tiles get and at most 1: 1 is as good as real tiles, 0 is unreal or collapsed.
"""

_NEAREST = """\
The ten pairs of a generated and a training tile that are closest in the encoder's features. Two pictures of the same
source would be a copy; `memorised` says how often.
"""

_PARTS = """\
What it is made of, and what else the word could mean: the share of tiles that pass a classifier, 2 (1 - `c2st`), and
the discriminator's own accuracy, which programs of 2018 printed; 0.5 is its equilibrium, and higher is not better.
"""


def write_report(comparison: Mapping[str, Any], shapes: Mapping[str, str]) -> str:
    """The text of comparison.md, which lies beside comparison.json, from the content of that file.

    `shapes` are the tile sets' shapes in words, like "64×64×1". The text links to the pictures of `picture_names`.
    """  # noqa: RUF002
    sets = comparison["sets"]
    parts = [_INTRODUCTION, _in_short(comparison, shapes), _TABLE_4, paper_table(sets, shapes)]
    parts += [_PARTS, parts_table(sets, shapes), _champion(comparison), _HOW_TO_READ]
    for tiles, recipes in sets.items():
        parts += _tile_set(tiles, shapes[tiles], recipes, comparison)
    keys = dict.fromkeys(key for recipes in sets.values() for key in shared_keys(recipes))
    parts += ["## How to read each metric\n", readings_table(list(keys)), _measured_with(comparison)]
    return "\n".join(parts).replace(" %", "\u00a0%")  # no line breaks between a number and its sign


def charts(recipes: Recipes) -> list[str]:
    """The charts of a tile set that its metrics have something for: colours only where there are several bands."""
    has_colours = all("sources.g_r" in result["test"] for result in recipes.values())
    return [name for name in CHARTS if name != "colours" or has_colours]


def _in_short(comparison: Mapping[str, Any], shapes: Mapping[str, str]) -> str:
    lines = ["## In short\n"]
    for tiles, recipes in comparison["sets"].items():
        champion = comparison["champions"][tiles]
        name, keys = champion["recipe"], shared_keys(recipes)
        accuracy = {recipe: result["test"]["accuracy"]["mean"] for recipe, result in recipes.items()}
        others = ", ".join(f"`{recipe}` {number(value)}" for recipe, value in accuracy.items() if recipe != name)
        tests = {recipe: result["test"] for recipe, result in recipes.items()}
        nearest = [best(key, {recipe: test[key] for recipe, test in tests.items()}) for key in keys]
        wins, ranked = sum(name in first for first in nearest), sum(map(bool, nearest))
        metric = recipes[name]["test"]["accuracy"]
        lines.append(
            f"- **{shapes[tiles]}** (`{tiles}`): the champion is **`{name}`**, seed {champion['seed']}{_but(champion)}."
            f" On the test tiles its recipe has an accuracy of {number(metric['mean'])} {interval(metric['interval'])}"
            f"{f' ({others})' if others else ''}, and is the nearest to perfect in {wins} of {ranked} metrics."
        )
    if all(len(result["seeds"]) == 1 for recipes in comparison["sets"].values() for result in recipes.values()):
        lines.append("- One training a recipe: how much trainings differ by luck is not known from this.")
    return "\n".join(lines) + "\n"


def _but(champion: Mapping[str, Any]) -> str:
    """A warning where even the best run fails a gate."""
    return f", though it {' and '.join(champion['flaws'])}: every run fails a gate" if champion["flaws"] else ""


def _champion(comparison: Mapping[str, Any]) -> str:
    table = runs_table(comparison["sets"], comparison["champions"])
    return f"## How the champion is chosen\n\n{comparison['rule']}\n\n{table}"


def _tile_set(tiles: str, shape: str, recipes: Recipes, comparison: Mapping[str, Any]) -> list[str]:
    bundles, count = comparison["bundles"][tiles], comparison["tiles"][tiles]["test"]
    seeds = ", ".join(f"`{recipe}` {bundles[recipe]}" for recipe in recipes)
    return [
        f"## {tiles}: {shape}\n",
        f"{count} generated and {count} real test tiles. Pictures are of each recipe's best seed: {seeds}.\n",
        f"![Real test tiles, then those of {', '.join(recipes)}, under one stretch](figures/{tiles}-tiles.png)\n",
        f"### {tiles}: metrics\n",
        metrics_table(recipes),
        f"![Every metric of {tiles} with its interval](figures/{tiles}-intervals.svg)\n",
        f"### {tiles}: differences between recipes\n",
        _differences(comparison["differences"][tiles]),
        f"### {tiles}: distributions and learning curves\n",
        *(f"![{CHARTS[chart]}](figures/{tiles}-{chart}.svg)\n" for chart in charts(recipes)),
        f"### {tiles}: nearest training tiles\n",
        _NEAREST,
        *(f"![Nearest pairs of {recipe}]({tiles}/{recipe}/{bundles[recipe]}/neighbours.png)\n" for recipe in recipes),
    ]


def _differences(differences: Mapping[str, Mapping[str, Any]]) -> str:
    if not differences:
        return "There is one recipe.\n"
    seeds = max(len(entry["seeds"]) for found in differences.values() for entry in found.values())
    words = (
        f"paired by seed, over {seeds} seeds, with the 95 % interval of the mean; bold where it leaves out 0"
        if seeds > 1
        else "of one seed, which says nothing of luck: give `seeds` in params.yaml several for an interval"
    )
    text = f"Test values of the first recipe less the second's, {words}. For a distance, below 0 the first is better."
    return f"{text}\n\n{differences_table(differences)}"


def _measured_with(comparison: Mapping[str, Any]) -> str:
    lines = [
        f"- `{tiles}`: encoder {comparison['encoder'][tiles][:12]}, tiles {comparison['data'][tiles][:12]}, "
        f"{_bundles(recipes)}."
        for tiles, recipes in comparison["sets"].items()
    ]
    return "\n".join(["## What was measured\n", "The beginnings of the SHA-256:\n", *lines]) + "\n"


def _bundles(recipes: Recipes) -> str:
    runs: Sequence[str] = [
        f"`{recipe}` seed {seed} {sha256[:12]}"
        for recipe, result in recipes.items()
        for seed, sha256 in zip(result["seeds"], result["hashes"], strict=True)
    ]
    return "bundles " + ", ".join(runs)
