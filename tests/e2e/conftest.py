"""A copy of the project with everything made tiny, in which DVC runs the whole pipeline once for all tests here."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.harness.warm import warm_python
from tools.rehearse import project as small

ROOT = Path(__file__).parents[2]
# What no parameter makes tiny, and takes most of the time: the steps of the networks that tell generated from real.
STEPS, FEW_STEPS = "\n_LEAST_STEPS = 100\n", "\n_LEAST_STEPS = 10\n"


class Project(small.Project):
    """The small project of a rehearsal, smaller still."""

    def run_first(self, binaries: Path) -> None:
        """Let commands be looked for in `binaries` first."""
        self.environment["PATH"] = f"{binaries}{os.pathsep}{self.environment['PATH']}"

    @property
    def first_champions(self) -> Path:
        """The champions' bundles of the first `dvc repro`, a folder a tile set."""
        return self.folder / "first_champions"

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
    project = Project(ROOT, folder, tracking="")
    classifier = folder / "src/skygen/measure/two_sample_pixels.py"
    assert STEPS in classifier.read_text()
    classifier.write_text(classifier.read_text().replace(STEPS, FEW_STEPS))
    project.set_param(2, "scales", "laptop", "training", "sky", "iterations")
    with warm_python(tmp_path_factory.mktemp("warm"), project.environment) as binaries:
        project.run_first(binaries)
        project.run("dvc", "repro")
        for tiles, champion in json.loads((folder / "reports/comparison.json").read_text())["champions"].items():
            models = folder / "models" / tiles / champion["recipe"] / str(champion["seed"])
            shutil.copytree(models / "bundle", project.first_champions / tiles)
        yield project
