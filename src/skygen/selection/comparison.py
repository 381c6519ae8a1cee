"""Comparing recipes: the metrics of all runs over their seeds, and the champion of each tile set."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from skygen.evaluation.scoring import CONTROLS, entries
from skygen.files import read_json
from skygen.measure import discriminator, student
from skygen.params import ChampionParams, Params

RANKED_BY = "kernel"
GATES = ("diversity", "memorised", "sky_noise")
SAME = {  # what the runs of a tile set must agree in, by key of metrics.json
    "encoder": "features of two encoders cannot be compared",
    "data": "distances from two sets of real tiles cannot be compared",
    "tiles": "distances of few tiles are larger than those of many",
    "fields": "values on other fields are of another sky",
}
RULE = """\
The champion of a tile set is chosen on its validation tiles; the test tiles are for the report alone. First the \
gates: a run's `diversity` is at least {least_diversity:g} (below it, it has collapsed), its `memorised` at most \
{most_memorised:g} (above it, it gives back training tiles), and its `sky_noise` from {least_noise:g} to \
{most_noise:g}. What fails a gate ranks after what does not. Then the least `kernel` is first; of equals, the higher \
`accuracy`. In the registry, a champion stands until another passes the gates and is better by more than chance: both \
are measured anew, on the same validation tiles in the same encoder's features, and the 95 % interval of the \
difference of their `kernel` over the same halvings for both must lie below 0. A standing champion that fails a gate, \
cannot be loaded, or makes other tiles gives way to any that passes the gates."""

# Of a training's discriminator, where it judges tiles; and of a process, which can be given a density.
OWN = {*discriminator.METRIC.meanings, "accuracy_own_density"}
_BESIDE = (*CONTROLS, "real_10th_percentile")  # a metric's value, where it has them

Metrics = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Run:
    """The metrics of one training: sections of metrics.json, with the keys of groups joined by dots."""

    tiles: str
    recipe: str
    seed: int
    measured: Mapping[str, Any]  # "bundle" and the keys of `SAME`: what was measured with what on what
    validation: Metrics
    test: Metrics

    @property
    def name(self) -> str:
        """The run as stages name it."""
        return f"{self.tiles}-{self.recipe}-{self.seed}"

    def flaws(self, gates: ChampionParams) -> list[str]:
        """The gates that it fails on validation, in words; empty where it passes all."""
        return flaws({key: self.validation[key]["value"] for key in GATES}, gates)


def rule(gates: ChampionParams) -> str:
    """How a champion is chosen, in words."""
    least, most = gates.sky_noise
    return RULE.format(
        least_diversity=gates.least_diversity, most_memorised=gates.most_memorised, least_noise=least, most_noise=most
    )


def flaws(values: Mapping[str, float], gates: ChampionParams) -> list[str]:
    """Which of `gates` the `values` of the metrics `GATES` fail, in words; empty where they pass all."""
    found, (least, most) = [], gates.sky_noise
    if not values["diversity"] >= gates.least_diversity:
        found.append(f"collapsed (diversity {values['diversity']:.3g}, under {gates.least_diversity:g})")
    if not values["memorised"] <= gates.most_memorised:
        found.append(f"gives back training tiles (memorised {values['memorised']:.3g}, over {gates.most_memorised:g})")
    if not least <= values["sky_noise"] <= most:
        found.append(f"has {values['sky_noise']:.3g} times the real sky noise (outside {least:g} to {most:g})")
    return found


def read_runs(reports: Path, params: Params) -> list[Run]:
    """The runs that params.yaml names, from `reports`/SET/RECIPE/SEED/metrics.json.

    Raises `FileNotFoundError` where one was not evaluated, `ValueError` where a file lacks something.
    """
    names = product(params.judged, params.compared, params.seeds)
    return [_read(reports, tiles, recipe, seed) for tiles, recipe, seed in names]


def rank(runs: Iterable[Run], gates: ChampionParams) -> list[Run]:
    """The runs, best first, as `RULE` says; equal ones in the order of their names."""

    def place(run: Run) -> tuple[bool, float, float, str, int]:
        value, accuracy = (run.validation[key]["value"] for key in (RANKED_BY, "accuracy"))
        return bool(run.flaws(gates)), value, -accuracy, run.recipe, run.seed

    return sorted(runs, key=place)


def compare(runs: Sequence[Run], gates: ChampionParams) -> dict[str, Any]:
    """The content of comparison.json; raises `ValueError` for runs of a tile set that cannot be compared.

    `rule`: how champions are chosen, in words, and `ranked_by`: by which metric. `champions`: {set: {"recipe", "seed",
    "value" (of `ranked_by`), "interval", "flaws"}} and `bundles`: {set: {recipe: its best seed}}, both by validation.
    `encoder` and `data`: {set: hash}; `tiles` and `fields`: {set: {split: how many}}. `sets`: {set: {recipe: {"seeds",
    "hashes" (of bundles), "values" (of `ranked_by`), "flaws", "validation", "test"}}}, where the lists go by seed and
    each metric of a section is what `_average_metric` says. `differences`: {set: {"scene - gan": {metric: {"mean",
    "interval" (95 %, null for one seed), "seeds"}}}}, of the test tiles, paired by seed.
    """
    sets: dict[str, dict[str, list[Run]]] = {}
    for run in runs:
        sets.setdefault(run.tiles, {}).setdefault(run.recipe, []).append(run)
    every = {tiles: [run for same in recipes.values() for run in same] for tiles, recipes in sets.items()}
    for of_set in every.values():
        _check_comparable(of_set)
    return {
        "rule": rule(gates),
        "ranked_by": RANKED_BY,
        "champions": {tiles: _champion(of_set, gates) for tiles, of_set in every.items()},
        "bundles": {
            tiles: {name: rank(same, gates)[0].seed for name, same in recipes.items()}
            for tiles, recipes in sets.items()
        },
        **{key: {tiles: of_set[0].measured[key] for tiles, of_set in every.items()} for key in SAME},
        "sets": {
            tiles: {name: _over_seeds(same, gates) for name, same in recipes.items()} for tiles, recipes in sets.items()
        },
        "differences": {tiles: _differences(recipes) for tiles, recipes in sets.items()},
    }


def _read(reports: Path, tiles: str, recipe: str, seed: int) -> Run:
    path = reports / tiles / recipe / str(seed) / "metrics.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no metrics; make them with the stage evaluate@{tiles}-{recipe}-{seed}")
    content = read_json(path)
    validation, test = (dict(entries(content.get(split, {}))) for split in ("validation", "test"))
    missing = [key for key in ("bundle", *SAME) if key not in content]
    missing += sorted({RANKED_BY, "accuracy", *GATES} - set(validation)) + sorted(set(validation) ^ set(test))
    if missing:
        raise ValueError(f"{path} lacks {', '.join(missing)}; evaluate the run again")
    return Run(tiles, recipe, seed, {key: content[key] for key in ("bundle", *SAME)}, validation, test)


def _check_comparable(runs: Sequence[Run]) -> None:
    first = runs[0]
    for run in runs:
        for key, reason in SAME.items():
            ours, theirs = first.measured[key], run.measured[key]
            if ours != theirs:
                raise ValueError(
                    f"{first.name} was measured with {key} {ours}, {run.name} with {theirs}: {reason}; "
                    "evaluate them again with dvc repro"
                )
        if different := sorted((set(first.test) ^ set(run.test)) - OWN):
            raise ValueError(f"{first.name} or {run.name} lacks {', '.join(different)}; evaluate them again")


def _champion(runs: Sequence[Run], gates: ChampionParams) -> dict[str, Any]:
    best = rank(runs, gates)[0]
    ranked = best.validation[RANKED_BY]
    return {
        "recipe": best.recipe,
        "seed": best.seed,
        "value": ranked["value"],
        "interval": list(ranked["interval"]),
        "flaws": best.flaws(gates),
    }


def _over_seeds(runs: Sequence[Run], gates: ChampionParams) -> dict[str, Any]:
    return {
        "seeds": [run.seed for run in runs],
        "hashes": [run.measured["bundle"] for run in runs],
        "values": [run.validation[RANKED_BY]["value"] for run in runs],
        "flaws": [run.flaws(gates) for run in runs],
        "validation": _average([run.validation for run in runs]),
        "test": _average([run.test for run in runs]),
    }


def _average(sections: Sequence[Metrics]) -> dict[str, dict[str, Any]]:
    """Each metric of equal sections over seeds."""
    return {key: _average_metric([section[key] for section in sections]) for key in sections[0]}


def _average_metric(seeds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A metric over seeds; the controls, "exceeds" and the excess where metrics.json has them.

    "mean", "spread" (standard deviation over seeds, null for one), "interval" (95 %: of the mean over several seeds,
    of the value over halvings for one), each of `_BESIDE` (means), "exceeds" (whether any seed's is worse than
    real-real), "excess" (mean) and "excess_interval", both null where a seed has none.
    """
    first, values = seeds[0], [metric["value"] for metric in seeds]
    found = {
        "mean": fmean(values),
        "spread": stdev(values) if len(values) > 1 else None,
        "interval": _interval(values, first["interval"]),
        **{name: fmean(metric[name] for metric in seeds) for name in _BESIDE if name in first},
    }
    if "exceeds" not in first:
        return found
    excess = [metric["excess"] for metric in seeds]
    measured = None not in excess
    return found | {
        "exceeds": any(metric["exceeds"] for metric in seeds),
        "excess": fmean(excess) if measured else None,
        "excess_interval": _interval(excess, first["excess_interval"]) if measured else None,
    }


def _interval(values: Sequence[float], of_one: Sequence[float]) -> list[float]:
    """`of_one` for one value; else Student's, cut off at 0 where no value is negative: most metrics cannot be."""
    if len(values) == 1:
        return list(of_one)
    low, high = student.interval(values)
    return [max(low, min(0.0, *values)), high]


def _differences(recipes: Mapping[str, Sequence[Run]]) -> dict[str, dict[str, Any]]:
    """For every two recipes, the later less the earlier."""
    return {
        f"{second} - {first}": _difference(recipes[first], recipes[second])
        for first, second in combinations(recipes, 2)
    }


def _difference(first: Sequence[Run], second: Sequence[Run]) -> dict[str, dict[str, Any]]:
    """Each metric of the test tiles that both recipes have, of the seeds that both have."""
    by_seed = {run.seed: run.test for run in first}
    pairs = {run.seed: (by_seed[run.seed], run.test) for run in second if run.seed in by_seed}
    return {
        key: _of_pairs({seed: after[key]["value"] - before[key]["value"] for seed, (before, after) in pairs.items()})
        for key in first[0].test
        if pairs and key in second[0].test
    }


def _of_pairs(by_seed: Mapping[int, float]) -> dict[str, Any]:
    values = list(by_seed.values())
    interval = list(student.interval(values)) if len(values) > 1 else None
    return {"mean": fmean(values), "interval": interval, "seeds": list(by_seed)}
