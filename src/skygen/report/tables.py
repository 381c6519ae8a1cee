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
NOT_WORSE, WORSE = "✓", "worse"  # than real-real
_NONE = "–"  # noqa: RUF001
OWN_DENSITY, LIMIT = "accuracy_own_density", "real_10th_percentile"  # of a process, and what the first is held against
HEADLINES = (  # what the first table of a tile set shows, of what it has
    "accuracy",
    "kernel",
    "c2st.pixels",
    "pixel_w1",
    "power_spectrum",
    "noise_correlation",
    "sources.number",
    "sources.places",
    "sources.magnitude",
    "sources.half_light_radius",
    "sources.g_r",
)

Metric = Mapping[str, Any]
Recipes = Mapping[str, Mapping[str, Any]]  # of one tile set


def markdown_table(titles: Sequence[str], rows: Sequence[Sequence[str]], numbers: range = range(0)) -> str:
    """A Markdown table; the columns in `numbers` are set to the right."""
    rules = ["---:" if place in numbers else "---" for place in range(len(titles))]
    return "".join(f"| {' | '.join(line)} |\n" for line in (titles, rules, *rows))


def shared_keys(recipes: Recipes) -> list[str]:
    """The metrics that the recipes of a tile set have in common, in the order of THE table."""
    return [key for key in MEANINGS if all(key in result["test"] for result in recipes.values())]


def headline_table(recipes: Recipes) -> str:
    """A row for each of `HEADLINES`: test value and excess of every recipe, real-real, and what the metric is."""
    titles = ["metric", *(title for recipe in recipes for title in (f"`{recipe}`", "excess")), "real-real"]
    rows = []
    for key in (key for key in HEADLINES if key in shared_keys(recipes)):
        found = {recipe: result["test"][key] for recipe, result in recipes.items()}
        nearest = best(key, found)
        cells = [
            cell
            for recipe, metric in found.items()
            for cell in (_mean(metric, recipe in nearest), excess_cell(metric, with_interval=False))
        ]
        rows.append([f"`{key}`", *cells, _control(key, recipes, "real_real"), MEANINGS[key].caption])
    return markdown_table([*titles, "what it is"], rows, range(1, len(titles)))


def metrics_table(recipes: Recipes) -> str:
    """A row a metric: test values of every recipe, the controls, the excess of every recipe, and what the metric is."""
    names = [f"`{recipe}`" for recipe in recipes]
    controls = [control.replace("_", "-" if control == "real_real" else " ") for control in CONTROLS]
    titles = ["metric", *names, *controls, *(f"excess, {name}" for name in names), "perfect", "what it is"]
    rows = []
    for key in shared_keys(recipes):
        found = {recipe: result["test"][key] for recipe, result in recipes.items()}
        nearest = best(key, found)
        cells = [
            f"{_mean(metric, recipe in nearest)} {interval(metric['interval'])}" for recipe, metric in found.items()
        ]
        cells += [_control(key, recipes, name) for name in CONTROLS]
        cells += [excess_cell(metric) for metric in found.values()]
        rows.append([f"`{key}`", *cells, number(MEANINGS[key].ideal), MEANINGS[key].caption])
    return markdown_table(titles, rows, range(1, len(titles) - 1))


def best(key: str, found: Mapping[str, Metric]) -> list[str]:
    """The recipes whose mean is nearest to perfect; none where the metric has no controls: it ranks nobody."""
    if not all("exceeds" in metric for metric in found.values()):
        return []
    off = {recipe: abs(metric["mean"] - MEANINGS[key].ideal) for recipe, metric in found.items()}
    return [recipe for recipe, distance in off.items() if distance == min(off.values())]


def excess_cell(metric: Metric, with_interval: bool = True) -> str:
    """The excess, where there is one, and `NOT_WORSE` or, without an excess, `WORSE`; a dash without controls."""
    if "exceeds" not in metric:
        return _NONE
    if metric["excess"] is None:
        return WORSE if metric["exceeds"] else NOT_WORSE
    parts = [number(metric["excess"]), interval(metric["excess_interval"]) if with_interval else ""]
    return " ".join(filter(None, [*parts, "" if metric["exceeds"] else NOT_WORSE]))


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


def own_density_table(sets: Mapping[str, Recipes]) -> str:
    """A row a tile set and process: its accuracy, that with the field's own density, and the limit; "" without any."""
    rows = []
    for name, recipes in sets.items():
        for recipe, test in ((recipe, result["test"]) for recipe, result in recipes.items()):
            if found := test.get(OWN_DENSITY):
                value = f"{number(found['mean'])} {interval(found['interval'])}"
                reached = "reached" if found["mean"] >= found[LIMIT] else "below"
                rows.append([f"`{name}`", f"`{recipe}`", _accuracy(test), value, number(found[LIMIT]), reached])
    titles = ["tiles", "recipe", "`accuracy`", f"`{OWN_DENSITY}`", "10th percentile of real tiles", "which is"]
    return markdown_table(titles, rows, range(2, len(titles) - 1)) if rows else ""


def differences_table(differences: Mapping[str, Mapping[str, Any]]) -> str:
    """A row a metric, a column a pair of recipes: the mean difference over seeds, bold where it is surely not 0."""
    keys = [key for key in MEANINGS if all(key in found for found in differences.values())]
    rows = [[f"`{key}`", *(_difference_cell(found[key]) for found in differences.values())] for key in keys]
    return markdown_table(["metric", *(f"`{pair}`" for pair in differences)], rows, range(1, len(differences) + 1))


def runs_table(comparison: Mapping[str, Any]) -> str:
    """A row a training: what the champion is chosen by, on the validation tiles."""
    rows, champions = [], comparison["champions"]
    for name, recipes in comparison["sets"].items():
        for recipe, result in recipes.items():
            for seed, value, flaws in zip(result["seeds"], result["values"], result["flaws"], strict=True):
                chosen = (recipe, seed) == (champions[name]["recipe"], champions[name]["seed"])
                run = f"{'**' if chosen else ''}`{recipe}`, seed {seed}{', champion**' if chosen else ''}"
                rows.append([f"`{name}`", run, number(value), "; ".join(flaws) or "none"])
    titles = ["tiles", "training", f"`{comparison['ranked_by']}`, validation", "gates that it fails"]
    return markdown_table(titles, rows, range(2, 3))


def readings_table(keys: Sequence[str]) -> str:
    """A row a metric: how to read it, and who defined it."""
    rows = [[f"`{key}`", MEANINGS[key].reading, MEANINGS[key].source or "this project"] for key in keys]
    return markdown_table(["metric", "how to read it", "defined by"], rows)


def number(value: float, sign: str = "") -> str:
    """Three significant digits, all before the point and six at most behind it; `sign` "+" shows a plus too."""
    if abs(value) < 1e-4:
        return f"{round(value, 6) + 0.0:{sign}f}".rstrip("0").rstrip(".")  # + 0.0: no -0
    return f"{value:{sign}.0f}" if abs(value) >= 999.5 else f"{value:{sign}.3g}"


def interval(bounds: Sequence[float]) -> str:
    """The two bounds in square brackets, which a line does not break."""
    return f"[{number(bounds[0])},\u00a0{number(bounds[1])}]"


def _paper(recipe: str, shape: str) -> str:
    figure = PAPER.get(recipe, {}).get(shape)
    return _NONE if figure is None else f"{figure:.2f}"


def _accuracy(test: Mapping[str, Metric]) -> str:
    return f"{number(test['accuracy']['mean'])} {interval(test['accuracy']['interval'])}"


def _parts(test: Mapping[str, Metric]) -> list[str]:
    over_real = [test[key]["mean"] / (test[key]["real_real"] or float("inf")) for key in PARTS]
    passing = [2 * (1 - test[key]["mean"]) for key in ("c2st.features", "c2st.pixels")]
    own = number(test["discriminator_accuracy"]["mean"]) if "discriminator_accuracy" in test else _NONE
    return [_accuracy(test), *map(number, (*over_real, *passing)), own]


def _difference_cell(difference: Mapping[str, Any]) -> str:
    mean = number(difference["mean"], "+")
    if difference["interval"] is None:
        return mean
    low, high = difference["interval"]
    return f"{f'**{mean}**' if low > 0 or high < 0 else mean} {interval((low, high))}"


def _mean(metric: Metric, is_best: bool) -> str:
    return f"**{number(metric['mean'])}**" if is_best else number(metric["mean"])


def _control(key: str, recipes: Recipes, name: str) -> str:
    """A control, which all recipes of a tile set share; a dash where there is none."""
    metric = next(iter(recipes.values()))["test"][key]
    return number(metric[name]) if name in metric else _NONE
