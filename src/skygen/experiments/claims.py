"""The verdicts on what the paper claims: the arm that it prefers beside each other one, seed by seed."""

from collections.abc import Mapping, Sequence
from itertools import product
from statistics import fmean
from typing import Any

from skygen.evaluation.scoring import rounded
from skygen.experiments.cells import Cell, Result, apart, value_of
from skygen.experiments.paired import ALPHA, Compared, compare_means, compare_shares, holm
from skygen.experiments.spec import STEADINESS, Claim, Experiment

AGREES, DISAGREES, UNDECIDED = "agrees", "disagrees", "undecided"
INCOMPARABLE, UNFINISHED = "cannot be compared", "not all trained yet"
Arms = Mapping[str, Mapping[int, Result]]  # the results of an arm by seed, on one tile set
Row = dict[str, Any]


def judge(experiment: Experiment, done: Mapping[Cell, Result], complete: bool) -> list[dict[str, Any]]:
    """The claims of an experiment with their verdicts; `complete` says that none of its cells is missing.

    A list of {"text", "metric", "split" (null of a steadiness), "better", "verdict" (on all rows together), "rows":
    [{"set", "than", "seeds" (from which both arms have a value), "lost": {arm: seeds}, "means": {arm: value},
    "difference" (of the mean distances from perfect, that of `better` less that of `than`), "interval", "effect", "p",
    "p_holm", "seeds_needed" (null where p is below 0.05, or more than 1,000), "verdict"}]}. What is not known is null.
    """
    claims = [_judged(experiment, claim, done, complete) for claim in experiment.spec.claims]
    judged = (AGREES, DISAGREES, UNDECIDED)
    rows = [row for claim in claims for row in claim["rows"] if row["verdict"] in judged]
    for row, p in zip(rows, holm([row["p"] for row in rows]), strict=True):
        row["p_holm"] = rounded(p)
    return [{**claim, "verdict": _together(claim["rows"])} for claim in claims]


def _judged(experiment: Experiment, claim: Claim, done: Mapping[Cell, Result], complete: bool) -> dict[str, Any]:
    spec, rows = experiment.spec, list[Row]()
    metric = claim.metric or spec.ranked_by
    others = claim.than or [arm for arm in experiment.arms if arm != claim.better]
    for tiles, than in product(claim.sets or spec.sets, others):
        arms: dict[str, dict[int, Result]] = {claim.better: {}, than: {}}
        for cell, result in done.items():
            if cell.tiles == tiles and cell.arm in arms:
                arms[cell.arm][cell.seed] = result
        first_are = all(seed in results for results in arms.values() for seed in spec.sets[tiles])
        row = _compared(arms, metric, claim.split)
        verdict = _verdict(row) if first_are and (complete or not spec.again) else UNFINISHED
        rows.append({"set": tiles, "than": than, **row, "verdict": verdict})
    split = None if metric in STEADINESS else claim.split
    return {"text": claim.text, "metric": metric, "split": split, "better": claim.better, "rows": rows}


def _compared(arms: Arms, metric: str, split: str) -> Row:
    """Two arms beside each other, the one that the paper prefers first."""
    found = {
        arm: {seed: value for seed, result in results.items() if (value := _value(result, metric, split)) is not None}
        for arm, results in arms.items()
    }
    lost = {arm: [seed for seed, result in results.items() if result["lost"]] for arm, results in arms.items()}
    ours, theirs = found.values()
    seeds = sorted(ours.keys() & theirs.keys())
    means = {arm: rounded(fmean(values[seed] for seed in seeds)) for arm, values in found.items()} if seeds else None
    compared = _paired([ours[seed] for seed in seeds], [theirs[seed] for seed in seeds], metric)
    return {
        "seeds": seeds,
        "lost": {arm: which for arm, which in lost.items() if which and metric != "trouble"},
        "means": means,
        "difference": _rounded(compared.difference),
        "interval": None if compared.interval is None else [rounded(bound) for bound in compared.interval],
        "effect": _rounded(compared.effect),
        "p": _rounded(compared.p),
        "p_holm": None,
        "seeds_needed": compared.seeds_needed,
    }


def _value(result: Result, metric: str, split: str) -> float | None:
    """A metric of a result, or how steady its training was; None where it has none."""
    if metric == "trouble":
        return float(bool(result["lost"] or result["troubles"]))
    if metric not in STEADINESS:
        return value_of(result, split, metric)
    if result["lost"]:
        return None
    score: Mapping[str, float] = result["score"]
    return score["best_after"] if metric == "best_after" else score["last"] / score["best"]


def _paired(ours: Sequence[float], theirs: Sequence[float], metric: str) -> Compared:
    if metric == "trouble":
        return compare_shares([value > 0 for value in ours], [value > 0 for value in theirs])
    if metric not in STEADINESS:
        ours, theirs = ([apart(metric, value) for value in values] for values in (ours, theirs))
    return compare_means([our - their for our, their in zip(ours, theirs, strict=True)])


def _verdict(row: Row) -> str:
    """What all seeds of two arms say: less is better."""
    if row["lost"] or len(row["seeds"]) < 2:
        return INCOMPARABLE
    low, high = row["interval"] or (0.0, 0.0)
    return AGREES if high < 0 else DISAGREES if low > 0 else UNDECIDED


def _together(rows: Sequence[Row]) -> str:
    """The verdict on a claim of several rows: it holds where each of them does.

    It needs no correction then (an intersection-union test: Berger 1982, Technometrics 24, 295). It fails with one row,
    which may be chance where there are many, so there the corrected p-value counts.
    """
    verdicts = [row["verdict"] for row in rows]
    if len(rows) == 1 or len(set(verdicts)) == 1:
        return str(verdicts[0])
    if UNFINISHED in verdicts:
        return UNFINISHED
    if any(row["verdict"] == DISAGREES and row["p_holm"] < ALPHA for row in rows):
        return DISAGREES
    return INCOMPARABLE if INCOMPARABLE in verdicts else UNDECIDED


def _rounded(value: float | None) -> float | None:
    return None if value is None else rounded(value)
