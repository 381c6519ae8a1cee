"""One training of an experiment: its folder below `.experiments`, where stages run, and what decides its content.

The folder is named after the hash of recipe, scale, data and code. Cells that differ in none of these share it,
whatever experiment they are of, so that none is trained twice; after a change there is another, and the old one stays.
"""

import hashlib
import json
import re
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from ruamel.yaml import YAML

from skygen.children import run_logged
from skygen.files import link, make_folder, read_json, sha256_file, write_atomically, write_json
from skygen.gan.recipes import Recipe
from skygen.params import Params, TrainingScale
from skygen.provenance import choose_device, device_name
from skygen.stage_files import declared, hashes_of, sources_of
from skygen.tiles.store import TileStore
from skygen.tracking import EXPERIMENTS
from skygen.training.collapse import TROUBLES
from skygen.training.loop import TrainingError

LOG = "log.txt"  # in the folder: all that its stages print
_LOST = re.compile(  # what a stage says last where the training is lost, which is a result
    rf"(?:{re.escape(f'{TrainingError.__module__}.{TrainingError.__qualname__}')}: (.*?)(?:\. Checkpoints: .*)?"
    r"|.*(generated tiles hold NaN or infinity).*)"
)
FoundT = TypeVar("FoundT")


class StageError(ChildProcessError):
    """A stage failed for a reason that says nothing of the recipe; the message has its last word."""


class Clone:
    """What decides results in the clone, as it is when it is first asked for: its parameters, code and data."""

    def __init__(self, params: Params) -> None:
        self.params, self._stages = params, declared()
        self.params_text = Path("params.yaml").read_text(encoding="utf-8")
        self._known: dict[tuple[str, str], Any] = {}

    def code(self, stage: str, tiles: str) -> list[str]:
        """The hashes of the code, and of the encoder, that a stage of a tile set depends on."""
        sources = sources_of({stage: self._stages[stage]}, tiles)
        return self._once(stage, tiles, lambda: hashes_of(sources))

    def data(self, tiles: str) -> str:
        """The hash of a tile set; raises `FileNotFoundError` where it was not cut yet."""
        return self._once("tiles", tiles, lambda: _card(tiles))

    def controls(self, tiles: str) -> str:
        """The hash of what real tiles of a set get; raises `FileNotFoundError` where they were not measured yet."""
        return self._once("controls", tiles, lambda: _controls(tiles))

    def _once(self, what: str, tiles: str, find: Callable[[], FoundT]) -> FoundT:
        if (what, tiles) not in self._known:
            self._known[what, tiles] = find()
        found: FoundT = self._known[what, tiles]
        return found


@dataclass(frozen=True)
class Training:
    """A recipe as a row, trained on a tile set at a scale from one seed."""

    clone: Clone
    recipe: str
    row: Recipe
    tiles: str
    scale: TrainingScale
    seed: int

    @property
    def served(self) -> list[str]:
        """The tile sets that it makes bundles for."""
        judged = self.clone.params.judged
        return [self.tiles] if self.tiles in judged else list(judged)

    @cached_property
    def identity(self) -> str:
        """The hash of all that decides what it becomes."""
        tiles = self.clone.params.tiles
        stage = "train" if self.tiles in self.served else "train_process"
        return _hash(
            [self.recipe, self.tiles, self.seed],
            self.row.model_dump(),
            self.scale.model_dump(),
            {name: [self.clone.data(name), tiles[name].model_dump()] for name in (self.tiles, *self.served)},
            self.clone.code(stage, self.tiles),
        )

    @property
    def folder(self) -> Path:
        """Where its stages run."""
        return EXPERIMENTS / f"{self.tiles}-{self.recipe}-{self.seed}-{self.identity[:12]}"

    def evaluation(self, tiles: str) -> str:
        """The hash of all that decides what is measured of it on a tile set."""
        params = self.clone.params
        evaluation = [params.evaluation.seed, params.chosen.evaluation.model_dump()]
        measured_with = [self.clone.controls(tiles), self.clone.code("evaluate", tiles)]
        return _hash(self.identity, tiles, evaluation, measured_with)

    def _prepare(self) -> None:
        """Bring its folder to what the clone has now: links to code and data, and its own parameters."""
        for name in ("data", "encoders", "pipelines"):
            link(Path(name), self.folder / name)
        for tiles in self.served:
            link(Path("reports") / tiles / "controls.json", self.folder / "reports" / tiles / "controls.json")
        yaml = YAML()
        params = yaml.load(self.clone.params_text)
        given = params["recipes"][self.recipe]
        given.update({key: value for key, value in self.row.model_dump().items() if key in given})
        params["scales"][self.clone.params.scale]["training"][self.tiles].update(self.scale.model_dump())
        with write_atomically(self.folder / "params.yaml") as temporary:
            yaml.dump(params, temporary)

    def run(self, tiles: str, lock: int, variables: Mapping[str, str]) -> dict[str, Any]:
        """Train where that is not done, measure on a tile set, and write the result, which is returned.

        Children keep the file `lock` open: as long as one of a killed worker's goes on, nobody else begins. Raises
        `StageError` where a stage fails for another reason than a training that is lost.
        """
        began = time.monotonic()
        self._refuse_changes(tiles)
        make_folder(self.folder)
        self._prepare()
        lost = self._lost
        if training := lost is None and not self._models(tiles).is_dir():
            lost = self._stage("train", self.tiles, lock, variables)
        if lost is None:
            lost = self._stage("evaluate", tiles, lock, variables)
        try:
            self._refuse_changes(tiles)
        except StageError:
            if training:  # by which code, nobody knows
                shutil.rmtree(self.folder / "models", ignore_errors=True)
            raise
        if lost is not None:
            write_json(self._lost_file, lost)
        content = {
            "identity": self.evaluation(tiles),
            "lost": lost,
            "minutes": round((time.monotonic() - began) / 60, 3),
            "device": device_name(choose_device()),
            **({} if lost else self._found(tiles)),
        }
        write_json(self._result_file(tiles), content)
        return content

    def result(self, tiles: str) -> dict[str, Any] | None:
        """What `run` returned here or elsewhere; None where that was not, or was of other code or data."""
        path = self._result_file(tiles)
        if not path.is_file():
            return None
        content: dict[str, Any] = read_json(path)
        return content if content["identity"] == self.evaluation(tiles) else None

    def metrics_file(self, tiles: str) -> Path:
        """What the stage evaluate wrote."""
        return self.folder / "reports" / tiles / self.recipe / str(self.seed) / "metrics.json"

    def grid_file(self, tiles: str) -> Path:
        """The sheet of generated tiles that the stage evaluate drew."""
        return self.metrics_file(tiles).with_name("grid.png")

    def _refuse_changes(self, tiles: str) -> None:
        """Raise `StageError` where code or data are no longer what the command found: its hashes would be false."""
        now = replace(self, clone=Clone(self.clone.params))
        if now.evaluation(tiles) != self.evaluation(tiles):
            raise StageError("code or data changed while the command ran; give it again")

    def _found(self, tiles: str) -> dict[str, Any]:
        """What its stages wrote, as a result has it."""
        metrics = read_json(self.metrics_file(tiles))
        steadiness = _steadiness(read_json(self._models(tiles) / "history.json"))
        return {**steadiness, **{key: metrics[key] for key in ("bundle", "validation", "test")}}

    @property
    def _lost(self) -> str | None:
        """Why the training ended without a generator that can be measured; None where it did not."""
        return str(read_json(self._lost_file)) if self._lost_file.is_file() else None

    @property
    def _lost_file(self) -> Path:
        return self.folder / "lost.json"

    def _models(self, tiles: str) -> Path:
        return self.folder / "models" / tiles / self.recipe / str(self.seed)

    def _result_file(self, tiles: str) -> Path:
        return self.folder / f"{tiles}.json"

    def _stage(self, stage: str, tiles: str, lock: int, variables: Mapping[str, str]) -> str | None:
        """Run the script of a stage; the reason where it says that the training is lost."""
        command = ["python", f"pipelines/{stage}.py", tiles, self.recipe, str(self.seed)]
        status, said = run_logged(command, self.folder, self.folder / LOG, variables, keep=[lock])
        last = next((line.strip() for line in reversed(said.splitlines()) if line.strip()), "without a word")
        if status and (lost := _LOST.fullmatch(last)):
            return lost[1] or lost[2]
        if status:
            raise StageError(f"{stage} failed: {last}; all it said is in {self.folder / LOG}")
        return None


def _card(tiles: str) -> str:
    """The hash of a tile set; raises `FileNotFoundError` where it was not cut yet."""
    try:
        return TileStore.open(Path("data/tiles") / tiles).card.data_hash
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error}; run dvc repro tiles controls") from None


def _controls(tiles: str) -> str:
    path, features = Path("reports") / tiles / "controls.json", Path(f"data/features/{tiles}.safetensors")
    for needed in (path, features):
        if not needed.is_file():
            raise FileNotFoundError(f"{needed}: no such file; run dvc repro controls")
    return sha256_file(path)


def _hash(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def _steadiness(history: list[dict[str, float]]) -> dict[str, Any]:
    """How steady a training was: after how many images it had its troubles, and its best score beside its last.

    The validation score is 1 for tiles as good as real ones, larger for others.
    """
    best = min(history, key=lambda row: row["validation_score"])
    return {
        "troubles": {
            name: min(row["images_seen"] for row in history if row.get(name))
            for name in TROUBLES
            if any(row.get(name) for row in history)
        },
        "images_seen": history[-1]["images_seen"],
        "score": {
            "best": best["validation_score"],
            "best_after": best["images_seen"],
            "last": history[-1]["validation_score"],
        },
    }
