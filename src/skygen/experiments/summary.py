"""What the cells of an experiment say together, beside the paper's numbers: reports/paper/NAME.json and .md."""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import permutations
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
from scipy import stats

from skygen.evaluation.scoring import rounded
from skygen.experiments.cells import Cell, Result, apart, ranked, value_of
from skygen.experiments.claims import judge
from skygen.experiments.page import page
from skygen.experiments.spec import Experiment
from skygen.files import write_atomically, write_json
from skygen.measure import student

REPORTS = Path("reports/paper")
SHOWN = (  # split and metric
    ("validation", "kernel"),
    ("test", "kernel"),
    ("test", "accuracy"),
    ("test", "noise_correlation"),
    ("test", "sky_noise"),
    ("test", "discriminator_accuracy"),
)
PRINTED = "discriminator_accuracy"  # what code of the paper's time printed: compared with its numbers as it is

Results = Mapping[Cell, Result]


def summarise(experiment: Experiment, total: int, done: Results, failed: Mapping[str, str]) -> dict[str, Any]:
    """The content of the JSON file.

    `sets`: {set: {"training" (iterations and batch before an arm's factors), "seeds" (of all arms), "arms", in our
    order: {arm: {"paper" (null where it gives none), "seeds", "values": {split.metric: {"mean", "spread", "interval",
    "seeds"}}, "lost": {seed: why}, "troubles": {seed: {name: images}}, "score": {seed: best and last},
    "differences": {split.metric: mean and interval of arm - `against`, seed by seed}}}, "correlation":
    {split.metric: {"rho", "p", "arms"}}}}. `cells`: {"done", "total"}. `failed`: {cell: why}. `claims`: as
    `judge` returns them.
    """
    spec, params = experiment.spec, experiment.params
    return {
        "experiment": experiment.name,
        "title": spec.title,
        "rows": spec.rows,
        "scale": params.scale,
        "length": experiment.length,
        "ranked_by": spec.ranked_by,
        "against": spec.against,
        "devices": sorted({result["device"] for result in done.values()}),
        "cells": {"done": len(done), "total": total},
        "failed": dict(failed),
        "claims": judge(experiment, done, complete=len(done) == total),
        "sets": {tiles: _of_set(experiment, tiles, done) for tiles in spec.sets},
    }


def _of_set(experiment: Experiment, tiles: str, done: Results) -> dict[str, Any]:
    spec, paper = experiment.spec, experiment.spec.paper.get(tiles, {})
    found: dict[str, dict[int, Result]] = {arm: {} for arm in experiment.arms}
    for cell, result in done.items():
        if cell.tiles == tiles:
            found[cell.arm][cell.seed] = result
    of_all = {arm: [results[seed] for seed in spec.sets[tiles] if seed in results] for arm, results in found.items()}
    order = [arm for arm in ranked(of_all, spec.ranked_by) if found[arm]]
    reference = found[spec.against] if spec.against else {}
    return {
        "seeds": spec.sets[tiles],
        "arms": {
            arm: {
                "paper": paper.get(arm),
                "iterations": next(
                    cell.training.scale.iterations for cell in done if (cell.arm, cell.tiles) == (arm, tiles)
                ),
                "batch": next(cell.training.scale.batch for cell in done if (cell.arm, cell.tiles) == (arm, tiles)),
                **_of_arm(found[arm], {} if arm == spec.against else reference),
            }
            for arm in order
        },
        "correlation": {key: _correlation(paper, of_all, split, metric) for key, split, metric in _shown()},
    }


def _of_arm(results: Mapping[int, Result], reference: Mapping[int, Result]) -> dict[str, Any]:
    values = {key: _values(results, split, metric) for key, split, metric in _shown()}
    theirs = {key: _values(reference, split, metric) for key, split, metric in _shown()}
    pairs = {
        key: [values[key][seed] - theirs[key][seed] for seed in values[key] if seed in theirs[key]] for key in values
    }
    return {
        "seeds": list(results),
        "values": {key: {**_spread(list(found.values())), "seeds": found} for key, found in values.items() if found},
        "differences": {key: _spread(found) for key, found in pairs.items() if found},
        "lost": {seed: result["lost"] for seed, result in results.items() if result["lost"]},
        "troubles": {seed: found for seed, result in results.items() if (found := result.get("troubles"))},
        "score": {seed: result["score"] for seed, result in results.items() if not result["lost"]},
    }


def _shown() -> Iterator[tuple[str, str, str]]:
    for split, metric in SHOWN:
        yield f"{split}.{metric}", split, metric


def _values(results: Mapping[int, Result], split: str, metric: str) -> dict[int, float]:
    values = {seed: value_of(result, split, metric) for seed, result in results.items()}
    return {seed: value for seed, value in values.items() if value is not None}


def _spread(values: Sequence[float]) -> dict[str, Any]:
    """Mean, standard deviation (n - 1) and Student's 95 % interval of the mean; of one value neither of these."""
    if len(values) < 2:
        return {"mean": rounded(values[0]), "spread": None, "interval": None}
    bounds = [rounded(limit) for limit in student.interval(values)]
    return {"mean": rounded(fmean(values)), "spread": rounded(stdev(values)), "interval": bounds}


def _correlation(
    paper: Mapping[str, float], results: Mapping[str, Sequence[Result]], split: str, metric: str
) -> dict[str, Any] | None:
    """Spearman's, of the paper's numbers with ours over the seeds that all arms have; 1 where the orders are the same.

    None where fewer than three arms have both. What is better is larger in both, but for what code printed.
    """
    ours: dict[str, float] = {}
    for arm in paper:
        found = [value for result in results[arm] if (value := value_of(result, split, metric)) is not None]
        if found:
            ours[arm] = fmean(found) if metric == PRINTED else -apart(metric, fmean(found))
    if len(ours) < 3:
        return None
    rho, p = spearman([paper[arm] for arm in ours], list(ours.values()))
    return {"rho": rounded(rho), "p": rounded(p), "arms": list(ours)}


def spearman(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    """Spearman's rank correlation, and the share of all orders of `second` whose correlation is as far from 0.

    The share is the exact two-sided p-value, of at most nine values (9! orders); of two constant ones (0, 1).
    """
    x, y = (stats.rankdata(values) - (len(values) + 1) / 2 for values in (first, second))
    norm = math.sqrt(float(x @ x) * float(y @ y))
    if norm == 0:
        return 0.0, 1.0
    observed = float(x @ y)
    every = np.array(list(permutations(y))) @ x
    return observed / norm, float(np.mean(np.abs(every) >= abs(observed) - 1e-9 * norm))


def write_summary(experiment: Experiment, content: Mapping[str, Any]) -> Path:
    """Write both files; the path of the JSON."""
    path = REPORTS / f"{experiment.name}.json"
    write_json(path, content)
    with write_atomically(path.with_suffix(".md")) as temporary:
        temporary.write_text(page(content), encoding="utf-8")
    return path


def logged(content: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """What MLflow shows of a summary: `SET/ARM/split/metric` are means, `spread/…` what they spread.

    `claim/N/SET/ARM/…` are difference and p-value of the Nth claim beside another arm.
    """
    for tiles, found in content["sets"].items():
        for name, arm in found["arms"].items():
            for key, value in arm["values"].items():
                place = f"{tiles}/{name}/{key.replace('.', '/')}"
                yield place, value["mean"]
                if value["spread"] is not None:
                    yield f"spread/{place}", value["spread"]
    for nth, claim in enumerate(content["claims"], 1):
        for row in claim["rows"]:
            for key in ("difference", "p_holm"):
                if row[key] is not None:
                    yield f"claim/{nth}/{row['set']}/{row['than']}/{key}", row[key]
