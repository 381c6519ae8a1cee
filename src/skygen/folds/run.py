"""`skygen folds`: the stages of every fold, one after another, and what they say together."""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from skygen import tracking
from skygen.evaluation.scoring import entries
from skygen.files import read_json, sha256_file
from skygen.folds.plan import Plan
from skygen.folds.stages import cache_folder, run_stage
from skygen.folds.summary import Numbers, earlier, logged, numbers, over_fields, write_summary
from skygen.folds.workplace import Fold
from skygen.locks import alone
from skygen.sky.manifest import FRAMES
from skygen.stage_files import hashes_of, sources_of

Say = Callable[[str], None]


def run_folds(plan: Plan, say: Say) -> int:
    """Run all folds of a plan, write what they say together, and return how many failed; others go on.

    Raises `BlockingIOError` where another process runs folds in this clone.
    """
    cache, stages, failed = cache_folder(), plan.stages(), 0
    tracking.FOLDS.mkdir(exist_ok=True)
    with alone(tracking.FOLDS / "lock", "skygen folds"):
        for tiles in plan.sets:
            for recipe in plan.recipes:
                failed += _Series(plan, stages, cache, tiles, recipe, say).run()
    return failed


class FoldsError(RuntimeError):
    """Some folds of a tile set and recipe failed: the run in MLflow that they belong to did too, and says why."""


@dataclass(frozen=True)
class _Series:
    """The folds of a tile set and recipe: one run in MLflow, with one for each fold and seed below it."""

    plan: Plan
    stages: dict[str, Any]
    cache: Path
    tiles: str
    recipe: str
    say: Say

    def run(self) -> int:
        """Run every fold; how many failed."""
        name, failed = f"folds {self.tiles}-{self.recipe}", dict[str, str]()
        params = {"tiles": self.tiles, "recipe": self.recipe, "scale": self.plan.params.scale}
        try:
            with tracking.parent_run(self.identity, name, params) as run:
                self._run(run, failed)
        except FoldsError as error:
            self.say(f"{name}: {len(failed)} of {len(self.plan.folds)} folds failed: {error}")
        return len(failed)

    def _run(self, run: tracking.ParentRun, failed: dict[str, str]) -> None:
        results = earlier(self.tiles, self.recipe, self.identity, self.plan.seeds)
        for fold in self.plan.folds:
            try:
                results[fold.test] = self._fold(fold)
            except (OSError, ValueError) as error:
                failed[fold.test] = str(error)
                results.pop(fold.test, None)
                self.say(f"{fold.test}: {error}")
            if results:
                self._sum_up(run, results, failed)
        if failed:
            raise FoldsError("; ".join(f"{field}: {reason}" for field, reason in failed.items()))

    @cached_property
    def identity(self) -> str:
        """The hash of what decides the results, as far as it is known before: another makes another run in MLflow."""
        params, scale = self.plan.params, self.plan.params.chosen
        finished, process = self.plan.finished, self.recipe in params.processes
        trained_on = params.tiles.sets.keys() - params.judged.keys() if process else {self.tiles}
        content = {
            "of": [self.tiles, self.recipe, params.scale, params.evaluation.seed],
            "tiles": [params.tiles[self.tiles].model_dump(), scale.tiles[self.tiles].model_dump()],
            "training": [
                params.recipes.get(self.recipe),
                *(scale.training[name].model_dump() for name in sorted(trained_on)),
            ],
            "evaluation": scale.evaluation.model_dump(),
            "frames": sha256_file(Path("data/frames") / FRAMES),
            "code": hashes_of(sources_of(self.stages, self.tiles)),
            "bundle": finished.sha256 if finished else None,
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]

    def _fold(self, fold: Fold) -> Numbers:
        """The numbers of the test section, the mean over seeds, of a fold that is brought up to date."""
        fold.prepare(self.stages, self.cache)
        if self.plan.finished:
            self.plan.finished.lay_into(fold)
        part = tracking.Part(self.identity, fold.test)
        for stage in self.plan.of_set(self.tiles, self.recipe):
            self._stage(fold, stage, part)
        return numbers([self._evaluated(fold, seed, part)["test"] for seed in self.plan.seeds])

    def _evaluated(self, fold: Fold, seed: int, part: tracking.Part) -> dict[str, Any]:
        """What metrics.json holds of a training in a fold."""
        ran = False
        for stage in self.plan.of_training(self.tiles, self.recipe, seed):
            ran = self._stage(fold, stage, part)
        path = fold.folder / "reports" / self.tiles / self.recipe / str(seed) / "metrics.json"
        content: dict[str, Any] = read_json(path)
        if not ran:  # it was evaluated before, maybe in another run of folds or with another store
            values = {
                f"{split}.{key}": metric["value"]
                for split in ("validation", "test")
                for key, metric in entries(content[split])
            }
            tracking.log_evaluation(self.tiles, self.recipe, seed, content["bundle"], values, [path], part)
        return content

    def _stage(self, fold: Fold, stage: str, part: tracking.Part) -> bool:
        """Bring a stage up to date and say how long that took; whether there was anything to run."""
        began = time.monotonic()
        ran = run_stage(fold.folder, stage, {tracking.VARIABLE: str(part)})
        minutes = (time.monotonic() - began) / 60
        self.say(f"{fold.test} {stage}: {f'{minutes:.1f} min' if ran else 'up to date'}")
        return ran

    def _sum_up(self, run: tracking.ParentRun, results: dict[str, Numbers], failed: dict[str, str]) -> None:
        together = over_fields(results)
        content = {
            "identity": self.identity,
            "fields": list(results),
            "failed": failed,
            "seeds": list(self.plan.seeds),
            "test": together,
        }
        path = write_summary(self.tiles, self.recipe, content)
        run.summary(dict(logged(together)), path)
