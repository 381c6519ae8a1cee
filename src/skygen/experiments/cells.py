"""The cells of an experiment: an arm, a tile set and a seed each. Which there are, and which are done."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from math import inf
from statistics import fmean
from typing import Any

from skygen.evaluation.scoring import entries
from skygen.experiments.spec import Arm, Experiment
from skygen.experiments.training import Clone, Training
from skygen.measure.table import MEANINGS

Result = dict[str, Any]  # of a training on a tile set


@dataclass(frozen=True)
class Cell:
    """An arm on a tile set from a seed."""

    arm: str
    tiles: str
    seed: int
    training: Training

    @property
    def name(self) -> str:
        """Its name within the experiment."""
        return f"{self.arm}-{self.tiles}-{self.seed}"

    def result(self) -> Result | None:
        """What came out; None where it is not done."""
        return self.training.result(self.tiles)


class Cells:
    """The cells of an experiment in a clone."""

    def __init__(self, experiment: Experiment, clone: Clone) -> None:
        self.experiment, self._clone = experiment, clone

    @cached_property
    def first(self) -> list[Cell]:
        """Those that are known from the start, seed by seed, so that a part of them compares all arms."""
        spec, arms = self.experiment.spec, self.experiment.arms.values()
        most = max(len(seeds) for seeds in spec.sets.values())
        return [
            self._cell(arm, tiles, seeds[turn])
            for turn in range(most)
            for tiles, seeds in spec.sets.items()
            if turn < len(seeds)
            for arm in arms
        ]

    @property
    def total(self) -> int:
        """How many there are in all; before the first ones are done, without those that claims alone ask for."""
        spec, again = self.experiment.spec, 0
        with suppress(FileNotFoundError):  # without tiles and controls none is done
            again = len(self.again())
        if spec.again and not again:
            arms = min(spec.again.best, len(self.experiment.arms))
            again = sum(arms * len(set(spec.again.seeds) - set(seeds)) for seeds in spec.sets.values())
        return len(self.first) + again

    def again(self) -> list[Cell]:
        """Those of the best arms, and of what claims prefer, from more seeds; none before all first ones are done."""
        spec = self.experiment.spec
        if not spec.again:
            return []
        results = {(cell.arm, cell.tiles, cell.seed): cell.result() for cell in self.first}
        if None in results.values():
            return []
        cells = []
        for tiles, seeds in spec.sets.items():
            found = {
                arm: [result for seed in seeds if (result := results[arm, tiles, seed])] for arm in self.experiment.arms
            }
            best = ranked(found, spec.ranked_by)[: spec.again.best]
            best += [arm for arm in spec.claimed if arm not in best]
            more = [seed for seed in spec.again.seeds if seed not in seeds]
            cells += [self._cell(self.experiment.arms[arm], tiles, seed) for seed in more for arm in best]
        return cells

    def _cell(self, arm: Arm, tiles: str, seed: int) -> Cell:
        params = self.experiment.params
        trained_on = _trained_on(self._clone, arm.recipe, tiles)
        scale = arm.scaled(params.chosen.training[trained_on], self.experiment.length)
        return Cell(arm.name, tiles, seed, Training(self._clone, arm.recipe, arm.row, trained_on, scale, seed))


def ranked(results: Mapping[str, Sequence[Result]], metric: str) -> list[str]:
    """Arms by the mean of a metric over their results on validation, best first; last those with one that is lost."""

    def place(arm: str) -> float:
        if not results[arm] or any(result["lost"] for result in results[arm]):
            return inf
        values = [value for result in results[arm] if (value := value_of(result, "validation", metric)) is not None]
        return apart(metric, fmean(values)) if values else inf

    return sorted(results, key=place)


def value_of(result: Result, split: str, metric: str) -> float | None:
    """A metric's value in a result; None where that has none."""
    return dict(entries(result.get(split, {}))).get(metric, {}).get("value")


def apart(metric: str, value: float) -> float:
    """How far a value is from what perfect tiles get; below 0 where chance takes it beyond that."""
    meaning = MEANINGS[metric]
    if meaning.more_is_better:
        return meaning.ideal - value
    return value - meaning.ideal if meaning.excess == "itself" else abs(value - meaning.ideal)


def _trained_on(clone: Clone, recipe: str, tiles: str) -> str:
    """The set itself; for a process the one that all of them are trained on."""
    params = clone.params
    if params.recipes[recipe]["generator"] != "process":
        return tiles
    (shared,) = params.tiles.sets.keys() - params.judged.keys()
    return shared
