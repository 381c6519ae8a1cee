"""A copy of the project with everything made tiny, in which DVC runs the whole pipeline once for all tests here."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.harness.warm import warm_python

ROOT = Path(__file__).parents[2]
PARTS = (".dvc/config", ".dvcignore", "dvc.yaml", "params.yaml", "pyproject.toml", "requirements.lock")
FOLDERS = ("encoders", "pipelines", "serving", "src", "data/local")
# What no parameter makes tiny, and takes most of the time: the steps of the networks that tell generated from real.
STEPS, FEW_STEPS = "\n_LEAST_STEPS = 100\n", "\n_LEAST_STEPS = 10\n"


class Project:
    """A project's folder and the commands that its users type in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(folder / "src"),
            "BENTOML_DO_NOT_TRACK": "True",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_TRACKING_URI": "",
        }

    def run_first(self, binaries: Path) -> None:
        """Let commands be looked for in `binaries` first."""
        self.environment["PATH"] = f"{binaries}{os.pathsep}{self.environment['PATH']}"

    @property
    def first_champions(self) -> Path:
        """The champions' bundles of the first `dvc repro`, a folder a tile set."""
        return self.folder / "first_champions"

    def run(self, *command: str) -> str:
        """What a command prints; the test fails with it where the command does."""
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def repro(self, *options: str) -> set[str]:
        """The stages that `dvc repro` runs; with `--dry`, those whose own dependencies changed, which it would run."""
        lines = self.run("dvc", "repro", *options).splitlines()
        return {line.split("'")[1] for line in lines if line.startswith("Running stage")}

    def set_param(self, value: object, *keys: str) -> None:
        """Change one value of params.yaml."""
        yaml, path = YAML(), self.folder / "params.yaml"
        params = yaml.load(path)
        section = params
        for key in keys[:-1]:
            section = section[key]
        assert keys[-1] in section
        section[keys[-1]] = value
        yaml.dump(params, path)


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The tiny project after a whole `dvc repro`."""
    folder = tmp_path_factory.mktemp("project")
    for name in PARTS:
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "frame-*"))
    classifier = folder / "src/skygen/measure/two_sample_pixels.py"
    assert STEPS in classifier.read_text()
    classifier.write_text(classifier.read_text().replace(STEPS, FEW_STEPS))
    project = Project(folder)
    project.run("git", "init", "--quiet")
    project.run("dvc", "config", "--local", "core.site_cache_dir", str(folder / ".dvc/tmp/site-cache"))
    laptop = ("scales", "laptop")
    project.set_param(3, *laptop, "frames", "fields")
    project.set_param(10, *laptop, "evaluation", "halvings")
    for tiles in ("r64", "gri128", "sky"):
        project.set_param(60, *laptop, "tiles", tiles, "train_a_field")
        project.set_param(16, *laptop, "tiles", tiles, "held_out_a_field")
        for key, value in {"iterations": 2, "batch": 4, "width": 2, "measurements": 1}.items():
            project.set_param(value, *laptop, "training", tiles, key)
    with warm_python(tmp_path_factory.mktemp("warm"), project.environment) as binaries:
        project.run_first(binaries)
        project.run("dvc", "repro")
        for tiles, champion in json.loads((folder / "reports/comparison.json").read_text())["champions"].items():
            models = folder / "models" / tiles / champion["recipe"] / str(champion["seed"])
            shutil.copytree(models / "bundle", project.first_champions / tiles)
        yield project
