"""The comparison as Markdown: pictures, a table a tile set, and what follows from it in words."""

from collections.abc import Mapping, Sequence
from typing import Any

from skygen.evaluation.comparison import LEAST_DIVERSITY, SCORED
from skygen.evaluation.scoring import CONTROLS
from skygen.measure.table import MEANINGS

_INTRODUCTION = f"""\
# Comparison of the recipes

Each cell is the value on the test tiles with its 95 % bootstrap interval over tiles; with several seeds, their mean ±
standard deviation and the hull of their intervals. *Real-real* is the same metric between two disjoint halves of the
test tiles. *Between fields* is what real training tiles get, and so what a perfect generator of the training fields
can hope for: test fields are others, and fields differ by themselves. *Collapsed* is one real tile repeated, for scenes
one scene under fresh noise. As many generated tiles are measured as there are in a half; scenes are observed under the
conditions of that half's fields, but for their diversity, which fresh noise would hide: free of noise, perfect scenes
reach about 0.9 there. The champion is chosen on the validation tiles, by the geometric mean of
{", ".join(f"`{key}`" for key in SCORED)}, each over its real-real value; what holds under a third or over
three times the real number of sources comes after what does not, and what looks collapsed (diversity under
{LEAST_DIVERSITY}) last.

![every metric over its real-real value](figures/intervals.png)
"""


def write_report(comparison: Mapping[str, Any]) -> str:
    """The text of comparison.md, which lies beside comparison.json, from the content of that file."""
    parts = [_INTRODUCTION]
    for tiles, recipes in comparison["sets"].items():
        parts += [f"## {tiles}\n\n![real and generated tiles](figures/{tiles}.png)\n"]
        parts += [_table(recipes), _verdict(tiles, comparison["champions"][tiles], recipes)]
    return "\n".join(parts)


def _table(recipes: Mapping[str, Any]) -> str:
    titles = [
        "metric",
        *(f"`{recipe}`" for recipe in recipes),
        "real-real",
        "between fields",
        "collapsed",
        "what it is",
    ]
    lines = [titles, ["---"] * len(titles)]
    for key in _keys(recipes):
        found = [result["test"][key] for result in recipes.values()]
        controls = [_distinct([row[name] for row in found]) for name in CONTROLS]
        lines.append([f"`{key}`", *map(_cell, found), *controls, MEANINGS[key].caption])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _cell(metric: Mapping[str, Any]) -> str:
    spread = "" if metric["spread"] is None else f" ± {metric['spread']:.2g}"
    low, high = metric["interval"]
    return f"{metric['mean']:.3g}{spread} [{low:.3g}, {high:.3g}]"


def _distinct(values: Sequence[float]) -> str:
    """The values of the recipes, in their order; a single one where all are the same."""
    return " / ".join(dict.fromkeys(f"{value:.3g}" for value in values))


def _verdict(tiles: str, champion: Mapping[str, Any], recipes: Mapping[str, Any]) -> str:
    name, seed, score = champion["recipe"], champion["seed"], champion["score"]
    lines = [f"Champion: **`{name}`**, seed {seed}, at {score:.3g} times the real-real distance."]
    for recipe, result in recipes.items():
        for seed, score, flaws in zip(result["seeds"], result["scores"], result["flaws"], strict=True):
            words = f"; {' and '.join(flaws)}" if flaws else ""
            lines.append(f"[`{recipe}`, seed {seed}]({tiles}/{recipe}/{seed}/metrics.json): score {score:.3g}{words}.")
    first, *others = recipes
    lines += [_contrast(first, other, recipes) for other in others]
    lines += [_beside_training_tiles(recipe, result["test"]) for recipe, result in recipes.items()]
    if len(recipes[first]["seeds"]) == 1:
        lines.append("One training a recipe: how much trainings differ by luck is not known from this.")
    return "\n".join(f"- {line}" for line in lines) + "\n"


def _contrast(first: str, other: str, recipes: Mapping[str, Any]) -> str:
    """In how many metrics `other` is nearer to perfect than `first`, and in how many the intervals are apart."""
    keys, nearer, apart = _keys(recipes), 0, 0
    for key in keys:
        ours, theirs = (recipes[recipe]["test"][key] for recipe in (other, first))
        if abs(ours["mean"] - MEANINGS[key].ideal) < abs(theirs["mean"] - MEANINGS[key].ideal):
            nearer += 1
            apart += ours["interval"][1] < theirs["interval"][0] or theirs["interval"][1] < ours["interval"][0]
    return (
        f"On the test tiles `{other}` is nearer to perfect than `{first}` in {nearer} of {len(keys)} metrics, "
        f"in {apart} of them with intervals that do not overlap."
    )


def _beside_training_tiles(recipe: str, metrics: Mapping[str, Any]) -> str:
    """How many times as far from the test tiles as real training tiles are, in the scored metrics."""
    times = [
        f"{metrics[key]['mean'] / max(metrics[key]['between_fields'], least):.3g} in `{key}`"
        for key, least in SCORED.items()
    ]
    return f"Over what real training tiles get on the test tiles, `{recipe}` has {', '.join(times)}."


def _keys(recipes: Mapping[str, Any]) -> list[str]:
    """The metrics that the recipes of a tile set have in common, in the order of THE table."""
    return [key for key in MEANINGS if all(key in result["test"] for result in recipes.values())]
