"""What DVC shows: the numbers of the report's charts for `dvc plots`, and the main metrics for `dvc metrics`."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from skygen.files import write_json
from skygen.report.charts import CURVES, REAL, filled, quantity_label

Rows = list[dict[str, Any]]
# What `dvc metrics show` has a column for; all metrics are in metrics.json and in the report.
VALUES = ("accuracy", "kernel", "memorised", "sky_noise", "diversity")
EXCESSES = ("kernel", "c2st.pixels", "pixel_w1", "power_spectrum", "sources.number")


def write_plots(
    folder: Path,
    tiles: str,
    distributions: Mapping[str, Mapping[str, Any]],
    histories: Mapping[str, Sequence[Sequence[Mapping[str, float]]]],
) -> None:
    """Write `folder`/`tiles`-{curves,spectra,histograms}.json: a row a point, the recipe in a column.

    `distributions` are contents of distributions.json by recipe, those of real tiles among them, `histories` the rows
    of history.json of each recipe's trainings.
    """
    write_json(folder / f"{tiles}-curves.json", curves(histories))
    write_json(folder / f"{tiles}-spectra.json", spectra(distributions))
    write_json(folder / f"{tiles}-histograms.json", histograms(distributions))


def write_scores(folder: Path, tiles: str, recipes: Mapping[str, Mapping[str, Any]]) -> None:
    """Write `folder`/`tiles`-RECIPE.json: main values of the test tiles, and `excess.KEY` of metrics that have one."""
    for recipe, result in recipes.items():
        test = result["test"]
        excesses = {f"excess.{key}": test[key]["excess"] for key in EXCESSES if test[key]["excess"] is not None}
        write_json(folder / f"{tiles}-{recipe}.json", {key: test[key]["mean"] for key in VALUES} | excesses)


def curves(histories: Mapping[str, Sequence[Sequence[Mapping[str, float]]]]) -> Rows:
    """The validation score and its parts over images seen; `training` numbers a recipe's trainings.

    Real tiles are a level line, in the panels where they have one value.
    """
    seen = [row["images_seen"] for trainings in histories.values() for rows in trainings for row in rows]
    level = [
        {"recipe": REAL, "training": 0, "panel": title, "images_seen": end, "value": aim}
        for title, aim in CURVES.values()
        for end in (min(seen), max(seen))
        if aim is not None
    ]
    return level + [
        {
            "recipe": recipe,
            "training": number,
            "panel": title,
            "images_seen": row["images_seen"],
            "value": row[key],
        }
        for recipe, trainings in histories.items()
        for number, rows in enumerate(trainings)
        for key, (title, _) in CURVES.items()
        for row in rows
        if key in row
    ]


def spectra(distributions: Mapping[str, Mapping[str, Any]]) -> Rows:
    """The power of every band's rings."""
    return [
        {"recipe": name, "training": 0, "panel": f"{band} band", "cycles_a_tile": cycles, "value": power}
        for name, found in distributions.items()
        for band, spectrum in found["spectra"].items()
        for cycles, power in zip(spectrum["cycles"], spectrum["power"], strict=True)
    ]


def histograms(distributions: Mapping[str, Mapping[str, Any]]) -> Rows:
    """The share in every bin, at the bin's middle, from the first to the last in which any set has something."""
    rows: Rows = []
    for name, found in distributions.items():
        for quantity, histogram in found["histograms"].items():
            first, last = filled([others["histograms"][quantity] for others in distributions.values()])
            rows += [
                {
                    "recipe": name,
                    "training": 0,
                    "panel": quantity_label(quantity),
                    "middle": (low + high) / 2,
                    "value": share,
                }
                for (low, high), share in zip(pairwise(histogram["edges"]), histogram["share"], strict=True)
                if first <= low and high <= last
            ]
    return rows
