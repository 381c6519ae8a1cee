"""Two runs of one stage at once: the second ends with a sentence and changes nothing; a kill of the first frees it."""

import errno
import fcntl
import os
import runpy
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
STAGES = {
    "frames": (["frames"], "data/.skygen-lock-frames"),
    "train": (["train", "r64", "gan", "0"], ".checkpoints/*.lock"),
}


@pytest.fixture
def project(tmp_path, write_store):
    """A folder like the project's, with a tile store, in which each stage takes minutes."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    rng = np.random.default_rng(0)
    shape = (64, 1, 64, 64)
    store = {split: rng.normal(size=shape).astype(np.float32) for split in ("train", "validation", "test")}
    write_store(tmp_path / "data" / "tiles" / "r64", store)
    return tmp_path


def start(project, stage):
    name, *arguments = STAGES[stage][0]
    environment = {**os.environ, "SKYGEN_PROCESSES": "1", "MLFLOW_TRACKING_URI": "", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, ROOT / "pipelines" / f"{name}.py", *arguments],
        cwd=project,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_lock(project, stage, process):
    """Wait until `process` has said in the stage's lock file that it has it."""
    deadline = time.monotonic() + 60
    while str(process.pid) not in [path.read_text() for path in project.glob(STAGES[stage][1])]:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.01)


def kill(process):
    process.kill()
    process.communicate()


def hidden(project):
    return {path.relative_to(project) for path in project.rglob(".*") if path.is_dir()}


@pytest.mark.parametrize("stage", STAGES)
def test_the_second_run_of_a_stage_ends_with_a_sentence(project, stage):
    first = start(project, stage)
    try:
        wait_for_lock(project, stage, first)
        first.send_signal(signal.SIGSTOP)  # it has the lock; the work that follows is not needed
        before = hidden(project)
        second = start(project, stage)
        _, errors = second.communicate(timeout=120)
        assert second.returncode == 1
        assert "Traceback" not in errors
        said = errors.strip().splitlines()[-1]
        assert said.startswith(f"{stage}")
        assert said.endswith(
            f": another run, process {first.pid}, is making it; wait until it ends, or end it, and run again"
        )
        assert before <= hidden(project)  # what the first builds is there
        assert first.poll() is None
    finally:
        kill(first)
    third = start(project, stage)  # kill -9 of the holder frees it
    try:
        wait_for_lock(project, stage, third)
    finally:
        kill(third)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_on_a_file_system_without_locks_ends_with_a_sentence(project, stage, monkeypatch):
    def flock(_handle, _how):
        raise OSError(errno.ENOLCK, "No locks available")

    name, *arguments = STAGES[stage][0]
    monkeypatch.setattr(fcntl, "flock", flock)
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    monkeypatch.chdir(project)
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / "pipelines" / f"{name}.py"), run_name="__main__")
    said = ended.value.code
    assert said.startswith(stage)
    assert said.endswith("; move the project to a local disk, or mount this one with locks")
