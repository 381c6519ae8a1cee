"""What the folds say together: mean and spread of every number over the fields, and how far the mean is luck."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from skygen.evaluation import halvings
from skygen.evaluation.excess import is_seen
from skygen.evaluation.scoring import entries, rounded
from skygen.files import read_json, write_atomically, write_json
from skygen.report.tables import LIMIT, OWN_DENSITY, interval, markdown_table, number

REPORTS = Path("reports/folds")
RESAMPLINGS = 10_000
_FIRST = ("value", "excess")  # columns of the table; the others follow as they come
_MARGINS = ("margin", "matched_margin")  # of which the excess is made
_NO_COLUMNS = {*_MARGINS, LIMIT, "reached"}
AIM = 1.2  # of every excess
_INTRODUCTION = f"""\
# As many folds as there are fields

Every field tested once generators that were trained without it. A cell is the mean over the fields ± their spread (the
standard deviation of a field), with the 95 % interval of the mean by a bootstrap that resamples fields ({RESAMPLINGS:,}
times; of eight fields it holds the truth in about 88 % of cases). A field's number is the mean over its seeds;
`exceeds` is the share of fields and seeds on which a metric sees more than chance. The excess is that of all fields
together: by how much the distances² exceed real-real² in their sum, over the same of the matched control; a dash stands
where the control's own sum may be 0.
"""

Section = Mapping[str, Any]  # of metrics.json, groups nested
Numbers = dict[str, dict[str, float]]  # by metric and quantity


def numbers(sections: Iterable[Section]) -> Numbers:
    """Every number of a fold's metrics, the mean over the `sections` of its seeds; what is null in all is left out."""
    found: dict[tuple[str, str], list[float]] = {}
    for section in sections:
        for key, metric in entries(section):
            for quantity, value in metric.items():
                if isinstance(value, int | float):
                    found.setdefault((key, quantity), []).append(float(value))
    nested: Numbers = {}
    for (key, quantity), values in found.items():
        nested.setdefault(key, {})[quantity] = float(np.mean(values))
    return nested


def over_fields(fields: Mapping[str, Numbers]) -> dict[str, dict[str, Any]]:
    """By metric and quantity: mean, spread and interval over the `fields` that have a number, and these numbers."""
    keys = list(dict.fromkeys(key for found in fields.values() for key in found))
    together: dict[str, dict[str, Any]] = {}
    for key in keys:
        quantities = list(dict.fromkeys(name for found in fields.values() for name in found.get(key, {})))
        for quantity in quantities:
            values = {
                field: rounded(found[key][quantity])
                for field, found in fields.items()
                if quantity in found.get(key, {})
            }
            together.setdefault(key, {})[quantity] = spread(list(values.values())) | {"fields": values}
        together[key].pop("excess", None)  # one field's has little to divide by
        if all(name in together[key] for name in _MARGINS):
            margins, matched = (list(together[key][name]["fields"].values()) for name in _MARGINS)
            together[key] |= {"excess": ratio} if (ratio := excess(margins, matched)) else {}
    return together


def excess(margins: Sequence[float], matched: Sequence[float]) -> dict[str, Any] | None:
    """The sum of the fields' `margins` over that of the `matched` control's, at least 0, and its bootstrap interval.

    None where the control's sum is not above 0 in 97.5 % of the resamplings of fields, with a single field too.
    """
    drawn = np.random.default_rng(0).integers(len(margins), size=(RESAMPLINGS, len(margins)))
    ours, theirs = (np.asarray(values)[drawn].sum(axis=1) for values in (margins, matched))
    if len(margins) == 1 or not is_seen(theirs):
        return None
    ratios = np.maximum(ours / np.maximum(theirs, theirs[theirs > 0].min()), 0)
    value = max(0.0, sum(margins) / sum(matched))
    return {"mean": rounded(value), "spread": None, "interval": [rounded(limit) for limit in halvings.interval(ratios)]}


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Mean, standard deviation (n - 1) and the 95 % bootstrap interval of the mean; of one value neither of these."""
    mean, count = rounded(float(np.mean(values))), len(values)
    if count == 1:
        return {"mean": mean, "spread": None, "interval": None}
    drawn = np.random.default_rng(0).choice(np.asarray(values), (RESAMPLINGS, count)).mean(axis=1)
    bounds = [rounded(limit) for limit in halvings.interval(drawn)]
    return {"mean": mean, "spread": rounded(float(np.std(values, ddof=1))), "interval": bounds}


def write_summary(tiles: str, recipe: str, content: Mapping[str, Any]) -> Path:
    """Write the summary of a tile set and recipe, and the page of all that there are; the summary's path."""
    path = REPORTS / tiles / f"{recipe}.json"
    write_json(path, {"tiles": tiles, "recipe": recipe, **content})
    text = "\n".join([_INTRODUCTION, *(_part(read_json(found)) for found in sorted(REPORTS.glob("*/*.json")))])
    with write_atomically(REPORTS.with_suffix(".md")) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def earlier(tiles: str, recipe: str, identity: str, seeds: Sequence[int]) -> dict[str, Numbers]:
    """By field, the numbers of the summary that is there, where it is of the same folds and seeds; else none."""
    path = REPORTS / tiles / f"{recipe}.json"
    content = read_json(path) if path.is_file() else {}
    if (content.get("identity"), content.get("seeds")) != (identity, list(seeds)):
        return {}
    fields: dict[str, Numbers] = {}
    for key, quantities in content["test"].items():
        for quantity, found in quantities.items():
            for field, value in found.get("fields", {}).items():
                fields.setdefault(field, {}).setdefault(key, {})[quantity] = value
    return fields


def logged(together: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, float]]:
    """What MLflow shows of a summary: `test/KEY` and `excess/test/KEY` are means, `spread/…` what they spread."""
    for key, quantities in together.items():
        for prefix, quantity in (("", "value"), ("excess/", "excess")):
            found = quantities.get(quantity, {})
            for before, part in (("", "mean"), ("spread/", "spread")):
                if found.get(part) is not None:
                    yield f"{before}{prefix}test/{key.replace('.', '/')}", found[part]


def _part(summary: Mapping[str, Any]) -> str:
    """A tile set and recipe on the page."""
    test = summary["test"]
    names = list(dict.fromkeys([*_FIRST, *(name for quantities in test.values() for name in quantities)]))
    names = [name for name in names if name not in _NO_COLUMNS and any(name in found for found in test.values())]
    rows = [[f"`{key}`", *(_cell(found.get(name)) for name in names)] for key, found in test.items()]
    seeds = ", ".join(map(str, summary["seeds"]))
    lines = [f"## `{summary['tiles']}`, `{summary['recipe']}`\n", f"{len(summary['fields'])} fields; seeds {seeds}.\n"]
    lines += [f"- {field} failed: {reason}\n" for field, reason in summary["failed"].items()]
    lines += [_above(test), *_own_density(test)]
    titles = ["metric", *(name.replace("_", "-") for name in names)]
    return "\n".join([*lines, markdown_table(titles, rows, range(1, len(titles)))])


def _above(test: Mapping[str, Any]) -> str:
    """Which metrics' excess is above `AIM`, and of which only the upper bound is."""
    excesses = {key: found["excess"] for key, found in test.items() if "excess" in found}
    above = [key for key, found in excesses.items() if found["mean"] > AIM]
    bound = [key for key, found in excesses.items() if key not in above and found["interval"][1] > AIM]
    by_value, by_bound = (", ".join(f"`{key}`" for key in keys) or "none" for keys in (above, bound))
    return f"Excess above {AIM} by point estimate: {by_value}; by upper bound only: {by_bound}.\n"


def _own_density(test: Mapping[str, Any]) -> list[str]:
    """Of a process, how often its accuracy with the field's own density is as good as that of real tiles."""
    if OWN_DENSITY not in test:
        return []
    found = test[OWN_DENSITY]
    return [
        f"`{OWN_DENSITY}` is at or above the 10th percentile of real tiles, {_cell(found[LIMIT])}, in "
        f"{number(100 * found['reached']['mean'])} % of fields and seeds.\n"
    ]


def _cell(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "–"  # noqa: RUF001
    parts = [number(found["mean"])]
    parts += [] if found["spread"] is None else [f"± {number(found['spread'])}"]
    return " ".join(parts + ([] if found["interval"] is None else [interval(found["interval"])]))
