"""Comparing recipes: the metrics of all runs over their seeds, and the champion of each tile set."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from skygen.evaluation.scoring import CONTROLS, entries
from skygen.files import read_json
from skygen.params import Params

# What the score is made of: a distance, and the real-real distance under which luck alone decides.
SCORED = {"pixel_w1": 1e-4, "power_spectrum": 0.01, "sources.number": 0.01}
LEAST_DIVERSITY = 0.3
MOST_SOURCES = 3.0  # times as many sources a tile as real tiles have; a third of that is as wrong


@dataclass(frozen=True)
class Run:
    """The metrics of one training: sections of metrics.json, with the keys of groups joined by dots."""

    tiles: str
    recipe: str
    seed: int
    validation: dict[str, dict[str, Any]]
    test: dict[str, dict[str, Any]]

    @property
    def score(self) -> float:
        """How many times farther from real tiles than other real tiles are, on validation: 1 is perfect, lower better.

        The geometric mean of value / real-real over the metrics in `SCORED`, both at least that metric's floor.
        """
        found = [(self.validation[key], floor) for key, floor in SCORED.items()]
        ratios = [max(metric["value"], floor) / max(metric["real_real"], floor) for metric, floor in found]
        return float(math.prod(ratios) ** (1 / len(ratios)))

    @property
    def is_collapsed(self) -> bool:
        """Whether the tiles hardly differ from each other."""
        return bool(self.validation["diversity"]["value"] < LEAST_DIVERSITY)

    @property
    def flaws(self) -> list[str]:
        """What is plainly wrong with the tiles, in words; empty where nothing is."""
        diversity, sources = (self.validation[key]["value"] for key in ("diversity", "sources.per_tile"))
        flaws = [f"collapsed (diversity {diversity:.2f}, under {LEAST_DIVERSITY})"] if self.is_collapsed else []
        if not 1 / MOST_SOURCES <= sources <= MOST_SOURCES:
            flaws.append(f"holds {sources:.2f} times the real number of sources a tile")
        return flaws


def read_runs(reports: Path, params: Params) -> list[Run]:
    """The runs that params.yaml names, from `reports`/SET/RECIPE/SEED/metrics.json.

    Raises `FileNotFoundError` where one was not evaluated, `ValueError` where a file lacks a metric.
    """
    names = product(params.tiles.sets, params.compared, params.seeds)
    return [_read(reports, tiles, recipe, seed) for tiles, recipe, seed in names]


def rank(runs: Iterable[Run]) -> list[Run]:
    """The runs, best first: by score, those with a flaw after those without, and what looks collapsed last."""
    return sorted(runs, key=lambda run: (run.is_collapsed, bool(run.flaws), run.score, run.recipe, run.seed))


def compare(runs: Sequence[Run]) -> dict[str, Any]:
    """The content of comparison.json.

    `champions`: {set: {"recipe", "seed", "score"}} and `bundles`: {set: {recipe: its best seed}} are chosen on
    validation. `sets`: {set: {recipe: {"seeds", "scores", "flaws", "validation", "test"}}}, where the lists go by seed
    and each metric of a section is {"mean", "spread" (standard deviation over seeds, null for one), "interval" (hull of
    the seeds'), "real_real", "between_fields", "collapsed" (means)}.
    """
    sets: dict[str, dict[str, list[Run]]] = {}
    for run in runs:
        sets.setdefault(run.tiles, {}).setdefault(run.recipe, []).append(run)
    return {
        "champions": {tiles: _champion(run for run in runs if run.tiles == tiles) for tiles in sets},
        "bundles": {
            tiles: {name: rank(same)[0].seed for name, same in recipes.items()} for tiles, recipes in sets.items()
        },
        "sets": {tiles: {name: _over_seeds(same) for name, same in recipes.items()} for tiles, recipes in sets.items()},
    }


def _read(reports: Path, tiles: str, recipe: str, seed: int) -> Run:
    path = reports / tiles / recipe / str(seed) / "metrics.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no metrics; make them with the stage evaluate@{tiles}-{recipe}-{seed}")
    content = read_json(path)
    run = Run(tiles, recipe, seed, *(dict(entries(content.get(split, {}))) for split in ("validation", "test")))
    needed = {*SCORED, "diversity", "sources.per_tile"}
    if missing := sorted(needed - set(run.validation)) + sorted(set(run.validation) ^ set(run.test)):
        raise ValueError(f"{path} lacks {', '.join(missing)}; evaluate the run again")
    return run


def _champion(runs: Iterable[Run]) -> dict[str, Any]:
    best = rank(runs)[0]
    return {"recipe": best.recipe, "seed": best.seed, "score": best.score}


def _over_seeds(runs: Sequence[Run]) -> dict[str, Any]:
    return {
        "seeds": [run.seed for run in runs],
        "scores": [run.score for run in runs],
        "flaws": [run.flaws for run in runs],
        "validation": _average([run.validation for run in runs]),
        "test": _average([run.test for run in runs]),
    }


def _average(sections: Sequence[dict[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Each metric of equal sections over seeds."""
    return {key: _average_metric([section[key] for section in sections]) for key in sections[0]}


def _average_metric(seeds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    values = [metric["value"] for metric in seeds]
    return {
        "mean": fmean(values),
        "spread": stdev(values) if len(values) > 1 else None,
        "interval": [min(metric["interval"][0] for metric in seeds), max(metric["interval"][1] for metric in seeds)],
        **{control: fmean(metric[control] for metric in seeds) for control in CONTROLS},
    }
