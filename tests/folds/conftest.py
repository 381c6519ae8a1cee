"""A tiny clone with frames of four small fields, in which `skygen folds` runs the real stages of r64."""

import os
import subprocess
import sys

import pytest

from skygen.sky.field import FieldId
from tests.e2e.conftest import FEW_STEPS, ROOT, STEPS, Project
from tests.harness.warm import warm_python
from tests.tiles.conftest import write_frames

__all__ = ["write_frames"]

SHAPE = (328, 400)  # 30 tiles of 64 px on a grid
FIELDS = ["94-1-12", "94-2-13", "94-3-14", "1035-4-15"]
COMMAND = [sys.executable, "-W", "ignore", "-c", "from skygen.cli import main; main()", "folds"]


class Clone(Project):
    """The clone, and what its user types."""

    def folds(self, *options):
        """The lines that `skygen folds` prints, and its exit status."""
        with self.begin(*options) as process:
            return process.communicate()[0].splitlines(), process.wait()

    def begin(self, *options, forked=True):
        """The process of `skygen folds`, which prints into a pipe; its stages are forks of one Python, or not."""
        path = self.environment["PATH"] if forked else self.environment["PATH"].partition(os.pathsep)[2]
        return subprocess.Popen(
            [*COMMAND, *options],
            cwd=self.folder,
            env=self.environment | {"PATH": path, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


def lay_out(folder):
    """A clone in `folder`, but for frames."""
    clone = Clone(ROOT, folder, tracking="")
    clone.compare(["gan"], [])
    clone.set_param("local", "frames", "source")
    clone.set_param(16, "scales", "laptop", "tiles", "r64", "train_a_field")
    return clone


def replace_text(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.fixture(scope="session")
def clone(tmp_path_factory, write_frames):
    """The clone with its frames, before any fold."""
    clone = lay_out(tmp_path_factory.mktemp("clone"))
    replace_text(clone.folder / "src/skygen/measure/two_sample_pixels.py", STEPS, FEW_STEPS)
    replace_text(clone.folder / "src/skygen/sky/frame.py", "SHAPE = (1489, 2048)", f"SHAPE = {SHAPE}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("skygen.sky.frame.SHAPE", SHAPE)
        available = [(FieldId.parse(field), "r") for field in FIELDS]
        write_frames(clone.folder / "data/frames", available, stars=60, shape=SHAPE)
    clone.environment |= {"SKYGEN_PROCESSES": "1", "OMP_NUM_THREADS": "1"}
    with warm_python(tmp_path_factory.mktemp("warm"), clone.environment) as binaries:
        clone.run_first(binaries)
        yield clone
