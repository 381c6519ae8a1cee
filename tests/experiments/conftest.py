"""A tiny clone with tiles and controls of r64, in which `skygen paper` runs experiments of its own."""

import subprocess
import sys

import pytest
from click.testing import CliRunner
from mlflow import MlflowClient
from ruamel.yaml import YAML

from skygen.cli import main
from skygen.sky.field import FieldId
from tests.e2e.conftest import FEW_STEPS, STEPS
from tests.folds.conftest import FIELDS, SHAPE, lay_out, replace_text
from tests.harness.warm import warm_python
from tests.tiles.conftest import write_frames

__all__ = ["write_frames"]

COMMAND = "from skygen.cli import main; main()"
EXPERIMENTS = {
    "rates": {  # a lost arm, and more seeds for the other one
        "title": "What do rates do?",
        "aliases": ["table9"],
        "rows": ["P6"],
        "sets": {"r64": [0]},
        "recipes": ["gan"],
        "grid": {"rate": {"usual": {}, "hot": {"discriminator_lr": 1e30}}},
        "again": {"best": 1, "seeds": [0, 1]},
        "against": "usual",
        "paper": {"r64": {"usual": 0.7, "hot": 0.3}},
        "claims": [
            {"text": "The usual rate is better", "better": "usual"},
            {"text": "It is steadier", "better": "usual", "than": "hot", "metric": "trouble"},
        ],
    },
    "twice": {"title": "A cell of the other", "rows": ["P9"], "sets": {"r64": [0]}, "recipes": ["gan"]},
    "shared": {"title": "Cells for two", "rows": ["P9"], "sets": {"r64": [5, 6, 7]}, "recipes": ["gan"]},
    "held": {"title": "Cells of which one is held", "rows": ["P9"], "sets": {"r64": [8, 9]}, "recipes": ["gan"]},
    "long": {
        "title": "One that is killed",
        "rows": ["P9"],
        "sets": {"r64": [0]},
        "recipes": ["gan"],
        "grid": {"budget": {"long": {"iterations_factor": 300}}},
    },
}


@pytest.fixture(scope="session")
def clone(tmp_path_factory, write_frames):
    """The clone, before any cell."""
    clone = lay_out(tmp_path_factory.mktemp("clone"))
    replace_text(clone.folder / "src/skygen/measure/two_sample_pixels.py", STEPS, FEW_STEPS)
    replace_text(clone.folder / "src/skygen/sky/frame.py", "SHAPE = (1489, 2048)", f"SHAPE = {SHAPE}")
    clone.set_param(10, "scales", "laptop", "training", "r64", "measurements")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("skygen.sky.frame.SHAPE", SHAPE)
        available = [(FieldId.parse(field), "r") for field in FIELDS]
        write_frames(clone.folder / "data/frames", available, stars=60, shape=SHAPE)
    for name, content in EXPERIMENTS.items():
        path = clone.folder / f"experiments/{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        YAML().dump(content, path)
    clone.environment |= {"SKYGEN_PROCESSES": "1", "OMP_NUM_THREADS": "1"}
    cold = clone.environment["PATH"]
    with warm_python(tmp_path_factory.mktemp("warm"), clone.environment) as binaries:
        clone.run_first(binaries)
        for stage in ("tiles", "controls"):
            clone.run("python", f"pipelines/{stage}.py", "r64")
        clone.cold = cold
        yield clone


@pytest.fixture
def in_clone(clone, monkeypatch):
    """The clone, which is the current folder, and whose stages are forks of one Python."""
    monkeypatch.chdir(clone.folder)
    for name in ("PATH", "PYTHONPATH", "MLFLOW_TRACKING_URI", "MLFLOW_DISABLE_TELEMETRY", "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, clone.environment[name])
    return clone


@pytest.fixture
def paper(in_clone):
    """A function: the lines that `skygen paper` prints in this process, and its exit status."""

    def run(*arguments):
        done = CliRunner().invoke(main, ["paper", *arguments])
        assert done.exit_code in (0, 1), done.exception
        return done.output.splitlines(), done.exit_code

    return run


@pytest.fixture
def begin(in_clone):
    """A function: a process of `skygen paper`, whose stages are forks of one Python, or not."""

    def start(*arguments, forked=True):
        return subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", COMMAND, "paper", *arguments],
            env=in_clone.environment | ({} if forked else {"PATH": in_clone.cold}) | {"PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return start


@pytest.fixture
def runs(in_clone):
    """A function: the runs of the clone's MLflow store whose name begins so, or whose part does."""

    def find(name="", part=""):
        client = MlflowClient(f"sqlite:///{in_clone.folder}/mlflow.db")
        found = client.search_runs([client.get_experiment_by_name("skygen").experiment_id])
        return [
            run
            for run in found
            if run.info.run_name.startswith(name) and run.data.tags.get("skygen.part", "").startswith(part)
        ]

    return find
