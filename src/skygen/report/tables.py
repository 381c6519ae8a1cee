"""The tables of the report, as Markdown, from the content of comparison.json."""

from collections.abc import Mapping, Sequence
from typing import Any

from skygen.evaluation.scoring import CONTROLS
from skygen.measure.accuracy import PARTS
from skygen.measure.table import MEANINGS

# The accuracies of table 4 in Zhang, Wang, Duan 2019, which do not say of what: the recipe that is theirs, by shape.
PAPER = {
    "gan": {"64×64×1": 0.73, "128×128×3": 0.86},  # noqa: RUF001
    "improved": {"64×64×1": 0.84, "128×128×3": 0.97},  # noqa: RUF001
}
METHODS = {"gan": "original GAN, `gan`", "improved": "the paper's, `improved`"}
AS_REAL = "✓"
_UNRANKED = ("discriminator_accuracy",)  # its ideal is an equilibrium of the training, not a better generator
_TIMES, _NONE = "×", "–"  # noqa: RUF001
_MOST_TIMES = 1000  # a larger ratio says no more than that

Metric = Mapping[str, Any]
Recipes = Mapping[str, Mapping[str, Any]]  # of one tile set


def markdown_table(titles: Sequence[str], rows: Sequence[Sequence[str]], numbers: range = range(0)) -> str:
    """A Markdown table; the columns in `numbers` are set to the right."""
    rules = ["---:" if place in numbers else "---" for place in range(len(titles))]
    return "".join(f"| {' | '.join(line)} |\n" for line in (titles, rules, *rows))


def shared_keys(recipes: Recipes) -> list[str]:
    """The metrics that the recipes of a tile set have in common, in the order of THE table."""
    return [key for key in MEANINGS if all(key in result["test"] for result in recipes.values())]


def metrics_table(recipes: Recipes) -> str:
    """A row a metric: the test values of every recipe, what they are to be read against, and what the metric is."""
    controls = ["real-real", "between fields", "collapsed"]
    titles = ["metric", *(f"`{recipe}`" for recipe in recipes), *controls, "perfect", "what it is"]
    rows = []
    for key in shared_keys(recipes):
        found = {recipe: result["test"][key] for recipe, result in recipes.items()}
        nearest = best(key, found)
        cells = [metric_cell(key, metric, recipe in nearest) for recipe, metric in found.items()]
        against = [_controls([metric[name] for metric in found.values()]) for name in CONTROLS]
        rows.append([f"`{key}`", *cells, *against, number(MEANINGS[key].ideal), MEANINGS[key].caption])
    return markdown_table(titles, rows, range(1, len(titles) - 1))


def best(key: str, found: Mapping[str, Metric]) -> list[str]:
    """The recipes whose mean is nearest to perfect; none where the metric does not rank generators."""
    if key in _UNRANKED:
        return []
    off = {recipe: abs(metric["mean"] - MEANINGS[key].ideal) for recipe, metric in found.items()}
    return [recipe for recipe, distance in off.items() if distance == min(off.values())]


def is_as_real(key: str, metric: Metric) -> bool:
    """Whether the interval reaches what real tiles have, and the mean is no worse than real tiles of other fields have.

    The second is asked for since an interval of few seeds is so wide that it reaches anything.
    """
    ideal, (low, high) = MEANINGS[key].ideal, metric["interval"]
    nearest = abs(min(max(ideal, low), high) - ideal)
    real_real, between_fields = (abs(metric[name] - ideal) for name in ("real_real", "between_fields"))
    is_near = abs(metric["mean"] - ideal) <= max(real_real, between_fields)
    return key not in _UNRANKED and nearest <= real_real and is_near


def metric_cell(key: str, metric: Metric, is_best: bool) -> str:
    """The mean, bold where it is the best, its interval, its ratio to real-real for a distance, and the mark."""
    mean = f"**{number(metric['mean'])}**" if is_best else number(metric["mean"])
    parts = [f"{mean} {interval(metric['interval'])}"]
    if MEANINGS[key].ideal == 0:
        parts.append(times(metric["mean"], metric["real_real"]))
    return " ".join(filter(None, [*parts, AS_REAL if is_as_real(key, metric) else ""]))


def paper_table(sets: Mapping[str, Recipes], shapes: Mapping[str, str]) -> str:
    """Table 4: a row a recipe, a column a tile set; the paper's figure and our accuracy."""
    recipes = dict.fromkeys(recipe for of_set in sets.values() for recipe in of_set)
    titles = [f"{shapes[name]}, {whose}" for name in sets for whose in ("paper", "here")]
    rows = []
    for recipe in recipes:
        row = [METHODS.get(recipe, f"ours, `{recipe}`")]
        for name, of_set in sets.items():
            row += [_paper(recipe, shapes[name]), _accuracy(of_set[recipe]["test"]) if recipe in of_set else _NONE]
        rows.append(row)
    return markdown_table(["method", *titles], rows, range(1, len(titles) + 1))


def parts_table(sets: Mapping[str, Recipes], shapes: Mapping[str, str]) -> str:
    """A row a tile set and recipe: what our accuracy is made of, and other readings of the word."""
    titles = [
        "tiles",
        "recipe",
        "the paper's",
        "`accuracy`",
        *(f"{part} / real-real" for part in PARTS),
        "2 (1 - `c2st`), features",
        "2 (1 - `c2st`), pixels",
        "`discriminator_accuracy`",
    ]
    rows = [
        [f"`{name}`", f"`{recipe}`", _paper(recipe, shapes[name]), *_parts(result["test"])]
        for name, recipes in sets.items()
        for recipe, result in recipes.items()
    ]
    return markdown_table(titles, rows, range(2, len(titles)))


def differences_table(differences: Mapping[str, Mapping[str, Any]]) -> str:
    """A row a metric, a column a pair of recipes: the mean difference over seeds, bold where it is surely not 0."""
    keys = [key for key in MEANINGS if all(key in found for found in differences.values())]
    rows = [[f"`{key}`", *(_difference_cell(found[key]) for found in differences.values())] for key in keys]
    return markdown_table(["metric", *(f"`{pair}`" for pair in differences)], rows, range(1, len(differences) + 1))


def runs_table(sets: Mapping[str, Recipes], champions: Mapping[str, Mapping[str, Any]]) -> str:
    """A row a training: what the champion is chosen by, on the validation tiles."""
    rows = []
    for name, recipes in sets.items():
        for recipe, result in recipes.items():
            for seed, distance, flaws in zip(result["seeds"], result["frechet"], result["flaws"], strict=True):
                chosen = (recipe, seed) == (champions[name]["recipe"], champions[name]["seed"])
                run = f"{'**' if chosen else ''}`{recipe}`, seed {seed}{', champion**' if chosen else ''}"
                rows.append([f"`{name}`", run, number(distance), "; ".join(flaws) or "none"])
    return markdown_table(["tiles", "training", "`frechet`, validation", "gates that it fails"], rows, range(2, 3))


def readings_table(keys: Sequence[str]) -> str:
    """A row a metric: how to read it, and who defined it."""
    rows = [[f"`{key}`", MEANINGS[key].reading, MEANINGS[key].source or "this project"] for key in keys]
    return markdown_table(["metric", "how to read it", "defined by"], rows)


def number(value: float, sign: str = "") -> str:
    """Three significant digits, and all before the point; `sign` "+" shows a plus too."""
    return f"{value:{sign}.0f}" if abs(value) >= 999.5 else f"{value:{sign}.3g}"


def interval(bounds: Sequence[float]) -> str:
    """The two bounds in square brackets, which a line does not break."""
    return f"[{number(bounds[0])},\u00a0{number(bounds[1])}]"


def times(value: float, real: float) -> str:
    """How many times the real-real value, in words of the table; nothing where that is no positive number."""
    if real <= 0 or value < 0:
        return ""
    ratio = value / real
    words = f"{ratio:.2g}" if ratio < 99.5 else f"{ratio:.0f}" if ratio < _MOST_TIMES else f"over {_MOST_TIMES}"
    return f"({words}{_TIMES})"


def _paper(recipe: str, shape: str) -> str:
    figure = PAPER.get(recipe, {}).get(shape)
    return _NONE if figure is None else f"{figure:.2f}"


def _accuracy(test: Mapping[str, Metric]) -> str:
    return f"{number(test['accuracy']['mean'])} {interval(test['accuracy']['interval'])}"


def _parts(test: Mapping[str, Metric]) -> list[str]:
    over_real = [test[key]["mean"] / (test[key]["real_real"] or float("inf")) for key in PARTS]
    passing = [2 * (1 - test[key]["mean"]) for key in ("c2st.features", "c2st.pixels")]
    return [_accuracy(test), *map(number, (*over_real, *passing, test["discriminator_accuracy"]["mean"]))]


def _difference_cell(difference: Mapping[str, Any]) -> str:
    mean = number(difference["mean"], "+")
    if difference["interval"] is None:
        return mean
    low, high = difference["interval"]
    return f"{f'**{mean}**' if low > 0 or high < 0 else mean} {interval((low, high))}"


def _controls(values: Sequence[float]) -> str:
    """The values of the recipes, in their order; a single one where all are the same."""
    words = [number(value) for value in values]
    return words[0] if len(set(words)) == 1 else " / ".join(words)
