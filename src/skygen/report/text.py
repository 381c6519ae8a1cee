"""The comparison as Markdown: what is best, by how much, with pictures, tables and how to read them."""

from collections.abc import Mapping, Sequence
from typing import Any

from skygen.report.tables import (
    NOT_WORSE,
    WORSE,
    Recipes,
    best,
    differences_table,
    headline_table,
    interval,
    metrics_table,
    number,
    own_density_table,
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

HALF = 0.5  # an accuracy under which the report says in its first lines what is wrong with tiles
REMAINING = {  # what is seen first: a lattice in the noise, sources that stand at the same places or have no shape
    "noise_correlation": "correlation of neighbouring pixels",
    "sources.places": "pairs of sources at one place",
    "sources.half_light_radius": "radii of sources apart by px",
}
_LONGER = "More iterations help some of it: `skygen paper iterations` measures how much."

_INTRODUCTION = """\
# Comparison of the recipes

Which generator is better, and is it good enough to use? Every generator was measured on tiles of fields that none was
trained on. The champion is chosen on validation tiles; all numbers are of the test tiles unless they say otherwise.
"""

_MAIN = f"""\
## The main metrics

Beside each value, **bold** for the recipe nearest to perfect, stands its **excess**: 0 is as good as another half of
the same fields, 1 as good as tiles of all training fields under the same conditions, and more is worse. {NOT_WORSE}
says that by this metric the tiles are not worse than real-real, which is what two halves of the real tiles get.
*{WORSE}* says that they are, where no excess can be given: shares have none, nor has a metric that does not tell the
training fields from another half.
"""

_HOW_TO_READ = f"""\
## How to read the tables

**A value** is a mean over random halvings: in each, half of the generated tiles meet the other half of the real ones.
Its 95 % interval is, of one training, the middle of the halvings; of several seeds, Student's interval of their mean.

**It is read against** four controls in the same halvings. *Real-real* is one half of the test tiles against the other.
*Between fields* is what real training tiles get: other sky, seen through another PSF and noise. *Matched* is the same
after both were broadened and given noise until they have the worse PSF and noise of the two: what a generator with a
noise model that is perfect on the training sky would get; one that paints its noise, *between fields*. *Collapsed* is
one typical real tile repeated. Scenes are observed under the conditions of the test tiles, but for their diversity,
which fresh noise would hide: free of noise, perfect scenes reach about 0.9 there.

**Excess** is the squared distance less that of real-real, at least 0, over the same of *matched*. {NOT_WORSE} stands
where a value is worse than real-real in fewer than 97.5 % of the halvings; of several seeds, for each of them.
"""

_TABLE_4 = """\
## Table 4 of the paper

The paper gives an "accuracy" a method and resolution without saying of what, so its figures can be set beside ours but
not compared with them. `accuracy` here is the harmonic mean of precision, recall and coverage, each over what real
tiles get: 1, the most that is written, is as good as real tiles, 0 is unreal or collapsed.
"""

_NEAREST = """\
The ten pairs of a generated and a training tile that are closest in the encoder's features. Two pictures of the same
source would be a copy; `memorised` says how often.
"""

_PARTS = """\
What it is made of, and what else the word could mean: the share of tiles that pass a classifier, 2 (1 - `c2st`), and
the discriminator's own accuracy, which programs of 2018 printed; 0.5 is its equilibrium, and higher is not better.
"""

_OWN_DENSITY = """\
Above, generated tiles have the densities of training fields. Of a process, the test field's own can be asked for: as
one half of its tiles shows it, while the other half is compared with. Nine in ten halvings of real tiles reach the 10th
percentile, one half against the other. No champion is chosen by this.
"""


def write_report(comparison: Mapping[str, Any], shapes: Mapping[str, str]) -> str:
    """The text of comparison.md, which lies beside comparison.json, from the content of that file.

    `shapes` are the tile sets' shapes in words, like "64×64×1". The text links to the pictures of `picture_names`.
    """  # noqa: RUF002
    sets = comparison["sets"]
    parts = [_INTRODUCTION, _rests_on(comparison), _in_short(comparison, shapes), _MAIN]
    for tiles, recipes in sets.items():
        parts += [f"### {tiles}: main metrics\n", headline_table(recipes)]
    parts += [
        _TABLE_4,
        paper_table(sets, shapes),
        _PARTS,
        parts_table(sets, shapes),
        *([_OWN_DENSITY, own_density] if (own_density := own_density_table(sets)) else []),
        _champion(comparison),
        _HOW_TO_READ,
    ]
    for tiles, recipes in sets.items():
        parts += _tile_set(tiles, shapes[tiles], recipes, comparison)
    keys = dict.fromkeys(key for recipes in sets.values() for key in shared_keys(recipes))
    parts += ["## How to read each metric\n", readings_table(list(keys)), _measured_with(comparison)]
    return "\n".join(parts).replace(" %", "\u00a0%")  # no line breaks between a number and its sign


def charts(recipes: Recipes) -> list[str]:
    """The charts of a tile set that its metrics have something for: colours only where there are several bands."""
    has_colours = all({"sources.g_r", "sources.r_i"} <= set(result["test"]) for result in recipes.values())
    return [name for name in CHARTS if name != "colours" or has_colours]


def _rests_on(comparison: Mapping[str, Any]) -> str:
    """How much sky the intervals rest on, and what they do not count."""
    of_sets = []
    for tiles in comparison["sets"]:
        test, validation = (_counted(comparison, tiles, split) for split in ("test", "validation"))
        of_sets.append(f"of `{tiles}` on {test} (validation: {validation})")
    return (
        f"**Intervals** rest {', '.join(of_sets)}. They count tiles, not fields: how much numbers change from field to "
        "field is measured by folds (`skygen folds`).\n"
    )


def _counted(comparison: Mapping[str, Any], tiles: str, split: str) -> str:
    count, fields = comparison["tiles"][tiles][split], comparison["fields"][tiles][split]
    return f"{count} tiles of {fields} field{'' if fields == 1 else 's'}"


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
        passes = sum(tests[name][key].get("exceeds") is False for key in keys)
        metric = recipes[name]["test"]["accuracy"]
        lines.append(
            f"- **{shapes[tiles]}** (`{tiles}`): the champion is **`{name}`**, seed {champion['seed']}{_but(champion)}."
            f" On the test tiles its recipe has an accuracy of {number(metric['mean'])} {interval(metric['interval'])}"
            f"{f' ({others})' if others else ''}; of {ranked} metrics it is the nearest to perfect in {wins}, and not "
            f"worse than real-real in {passes}."
        )
    lines += [_remaining(shapes[tiles], recipes) for tiles, recipes in comparison["sets"].items()]
    if all(len(result["seeds"]) == 1 for recipes in comparison["sets"].values() for result in recipes.values()):
        lines.append("- One training a recipe: how much trainings differ by luck is not known from this.")
    return "\n".join(filter(None, lines)) + "\n"


def _remaining(shape: str, recipes: Recipes) -> str:
    """What the tiles of recipes are not yet like sky in, where their accuracy is under a half; empty where none is."""
    lacking = []
    for recipe, result in recipes.items():
        test = result["test"]
        if test["accuracy"]["mean"] < HALF:
            said = [
                f"{words} {number(test[key]['mean'])} ({number(test[key]['real_real'])})"
                for key, words in REMAINING.items()
                if test[key]["exceeds"]
            ]
            lacking.append(
                f"`{recipe}` (accuracy {number(test['accuracy']['mean'])}{'; ' if said else ''}{', '.join(said)})"
            )
    if not lacking:
        return ""
    return f"- What is not sky yet at {shape}, real-real in brackets: {'; '.join(lacking)}. {_LONGER}"


def _but(champion: Mapping[str, Any]) -> str:
    """A warning where even the best run fails a gate."""
    return f", though it {' and '.join(champion['flaws'])}: every run fails a gate" if champion["flaws"] else ""


def _champion(comparison: Mapping[str, Any]) -> str:
    return f"## How the champion is chosen\n\n{comparison['rule']}\n\n{runs_table(comparison)}"


def _tile_set(tiles: str, shape: str, recipes: Recipes, comparison: Mapping[str, Any]) -> list[str]:
    bundles = comparison["bundles"][tiles]
    seeds = ", ".join(f"`{recipe}` {bundles[recipe]}" for recipe in recipes)
    return [
        f"## {tiles}: {shape}\n",
        f"{_counted(comparison, tiles, 'test')}, and as many generated. Pictures are of each best seed: {seeds}.\n",
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
