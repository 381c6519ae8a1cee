"""A copy of the project in which the pipeline runs in minutes, and the commands that its users type in it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

_FILES = (".dvc/config", ".dvc/plots", ".dvcignore", "dvc.yaml", "params.yaml", "pyproject.toml", "requirements.lock")
_FOLDERS = ("encoders", "pipelines", "serving", "src", "data/local")
_FEW: Mapping[str, Any] = {
    "frames": {"fields": 3},
    "evaluation": {"halvings": 10},
    "tiles": {"train_a_field": 60, "held_out_a_field": 16},  # of each set
    "training": {"iterations": 2, "batch": 4, "width": 2, "measurements": 1},
}
PROCESS_ITERATIONS = 30


class Project:
    """A small copy of the clone at `source` in `folder`, whose runs go to the store at `tracking`."""

    def __init__(self, source: Path, folder: Path, tracking: str) -> None:
        self.folder = folder
        binaries = Path(sys.executable).parent
        self.environment = {
            **os.environ,
            "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(folder / "src"),
            "MLFLOW_TRACKING_URI": tracking,
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "BENTOML_DO_NOT_TRACK": "True",
            "SKYGEN_WHO": "rehearsal",
        }
        for name in (*_FILES, *_FOLDERS):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            if (source / name).is_dir():
                ignored = shutil.ignore_patterns("__pycache__", "frame-*")
                shutil.copytree(source / name, folder / name, ignore=ignored)
            else:
                shutil.copy(source / name, folder / name)
        self._make_small()
        self.run("git", "init", "--quiet")
        self.run("dvc", "config", "--local", "core.site_cache_dir", str(folder / ".dvc/tmp/site-cache"))

    def compare(self, painters: list[str], processes: list[str]) -> None:
        """Have these recipes trained and compared from now on."""
        self._change({"compared": [*painters, *processes], "painters": painters, "processes": processes})

    def run(self, *command: str) -> str:
        """What a command prints; raises `RuntimeError` with all that it said where it fails."""
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        with (self.folder / "commands.log").open("a", encoding="utf-8") as log:
            log.write(f"$ {' '.join(command)}\n{done.stdout}{done.stderr}\n")
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
        return done.stdout

    def _make_small(self) -> None:
        params = YAML().load(self.folder / "params.yaml")
        scale = params["scales"][params["scale"]]
        for section, values in _FEW.items():
            tables = scale[section].values() if section in ("tiles", "training") else [scale[section]]
            for table in tables:
                if lacking := set(values) - set(table):
                    raise RuntimeError(f"params.yaml has no {sorted(lacking)} in {section}")
                table.update(values)
        scale["training"]["sky"]["iterations"] = PROCESS_ITERATIONS
        self._change({"scales": params["scales"]})

    def _change(self, values: Mapping[str, Any]) -> None:
        yaml, path = YAML(), self.folder / "params.yaml"
        params = yaml.load(path)
        params.update(values)
        yaml.dump(params, path)
