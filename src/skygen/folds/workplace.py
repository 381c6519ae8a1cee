"""A fold's folder below `.folds`: a DVC project of its own, with the clone's code, frames, parameters and cache.

What makes it a fold is one parameter, `tiles.SET.hold_out`. Its dvc.yaml has the stages from tiles to evaluate and no
other, so that DVC says there what is out of date, and neither frames nor the comparison can run.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML

from skygen.files import link, make_folder, write_atomically
from skygen.sky.field import FieldId
from skygen.sky.footprint import near_any
from skygen.stage_files import MADE, declared
from skygen.tracking import FOLDS

STAGES = ("tiles", "controls", "train", "train_process", "evaluate")  # in their order
_CONFIG = """\
[core]
    no_scm = true
    site_cache_dir = {site_cache}
[cache]
    dir = {cache}
"""


@dataclass(frozen=True)
class Fold:
    """The field that tests and the one that chooses; all others train."""

    test: str
    validation: str

    @property
    def folder(self) -> Path:
        """Where its stages run."""
        return FOLDS / self.test

    def prepare(self, stages: Mapping[str, Any], cache: Path) -> None:
        """Bring its folder to what the clone has now: `stages` of dvc.yaml, parameters, code; `cache` is DVC's."""
        self._configure(cache)
        for path in linked(stages):
            link(Path(path), self.folder / path)
        yaml = YAML()
        params = yaml.load(Path("params.yaml"))
        for name in params["tiles"].keys() - {"scheduler"}:
            params["tiles"][name]["hold_out"] = {"validation": [self.validation], "test": [self.test]}
        with write_atomically(self.folder / "params.yaml") as temporary:
            yaml.dump(params, temporary)
        with write_atomically(self.folder / "dvc.yaml") as temporary:
            yaml.dump({"stages": dict(stages)}, temporary)  # keys in their order, which names the stages

    def _configure(self, cache: Path) -> None:
        """Write DVC's settings: the clone's, and paths, which are absolute: a clone that moved gets new ones."""
        own = self.folder.absolute() / ".dvc"
        site_cache = own / "tmp/site-cache"
        make_folder(site_cache / "repo")  # or DVC would make it, open to all
        site_cache.chmod(0o700)
        shutil.copyfile(".dvcignore", self.folder / ".dvcignore")
        shutil.copyfile(".dvc/config", own / "config")
        with write_atomically(own / "config.local") as temporary:
            temporary.write_text(_CONFIG.format(site_cache=site_cache, cache=cache), encoding="utf-8")


def folds_of(places: Mapping[FieldId, tuple[float, float]]) -> list[Fold]:
    """A fold a field, in their order: it tests, and the next one that shares no sky with it (round the end) chooses.

    `places` are the fields' centres (RA, Dec) in degrees. Raises `ValueError` for a field that shares sky with all.
    """
    fields = sorted(places)
    ra, dec = np.array([places[field] for field in fields]).T
    folds = []
    for number, field in enumerate(fields):
        order = np.roll(np.arange(len(fields)), -number)[1:]
        apart = order[~near_any(ra[order], dec[order], ra[[number]], dec[[number]])]
        if not len(apart):
            raise ValueError(f"field {field} shares sky with all others, so that none can choose; give more fields")
        folds.append(Fold(str(field), str(fields[apart[0]])))
    return folds


def stages_of(matrices: Mapping[str, Mapping[str, Sequence[Any]]]) -> dict[str, Any]:
    """The stages of the clone's dvc.yaml that a fold runs, in their order, each for all of its matrix.

    Those that are of nothing are left out.
    """
    stages = declared()
    return {
        name: stages[name] | {"matrix": {key: list(matrices[name][key]) for key in stages[name]["matrix"]}}
        for name in STAGES
        if name in stages and name in matrices and all(matrices[name].values())
    }


def linked(stages: Mapping[str, Any]) -> list[str]:
    """What stages depend on and none of them makes: whole folders of the clone, and what lies beside what they make."""
    needed = {Path(path) for stage in stages.values() for path in stage["deps"]}
    found = {path.as_posix() if path.parts[0] in MADE else path.parts[0] for path in needed}
    made = [name for stage in stages.values() for out in stage["outs"] for name in _names(out, stage["matrix"])]
    return sorted(path for path in found if "${" not in path and path not in made)


def _names(out: str | Mapping[str, Any], matrix: Mapping[str, Sequence[Any]]) -> list[str]:
    """The names of what a stage writes, one for each of its matrix."""
    (template,) = [out] if isinstance(out, str) else out
    names = [template]
    for key, values in matrix.items():
        names = [name.replace(f"${{item.{key}}}", str(value)) for name in names for value in values]
    return names
