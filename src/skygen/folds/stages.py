"""One stage in one fold's folder, as DVC runs it: what is up to date is left, and the run cache is asked first."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

LOG = "folds.log"  # in the fold's folder: all that its stages print
_BUSY = "is busy, it is being blocked by"  # of a stage that another process, such as a killed run's, is still making
_PAUSE_S = 5.0
_PATIENCE_S = 120.0  # for stages that were asked to end


class StageError(ChildProcessError):
    """A stage failed; the message has its last word."""


def dvc(*arguments: str) -> list[str]:
    """The command line of DVC as it is installed beside us."""
    return [sys.executable, "-m", "dvc", *arguments]


def cache_folder() -> Path:
    """The clone's cache; raises `StageError` with DVC's own words where this is no project of DVC's."""
    done = subprocess.run(dvc("cache", "dir"), capture_output=True, text=True, check=False)
    if done.returncode:
        raise StageError(f"no folder of a clone that DVC knows: {done.stderr.strip()}")
    return Path(done.stdout.strip())


def run_stage(folder: Path, stage: str, variables: dict[str, str]) -> bool:
    """Bring a stage in `folder` up to date, with its environment's `variables`; whether there was anything to run.

    Whatever ends this process but kill -9 ends the stage first. Raises `StageError` where it fails.
    """
    while True:
        status, said = _reproduce(folder, stage, variables)
        if status == 0:
            return "Running stage" in said
        if _BUSY not in said:
            raise StageError(f"{stage} failed: {_reason(said)}; all it said is in {folder / LOG}")
        time.sleep(_PAUSE_S)


def _reason(said: str) -> str:
    """The last line of a stage itself; that of DVC where the stage said nothing."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    own = [line for line in lines if not line.startswith(("ERROR: failed to reproduce", "> ", "Running stage"))]
    return (own or lines or ["without a word"])[-1]


def _reproduce(folder: Path, stage: str, variables: dict[str, str]) -> tuple[int, str]:
    """The exit status of `dvc repro` for one stage, and what was printed, which is added to the fold's log."""
    command = dvc("--wait-for-lock", "repro", "--single-item", stage)
    with (folder / LOG).open("a+b") as log:
        start = log.seek(0, os.SEEK_END)
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=_environment() | variables,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            process.wait()
        finally:
            _end(process)
        log.seek(start)
        return process.returncode, log.read().decode(errors="replace")


def _environment() -> dict[str, str]:
    """Ours; `python` is that of our own installation unless this lies on PATH already, maybe after another."""
    own, path = str(Path(sys.executable).parent), os.environ.get("PATH", "")
    return dict(os.environ) | ({} if own in path.split(os.pathsep) else {"PATH": f"{own}{os.pathsep}{path}"})


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask DVC and what it runs to end, and wait until all have: a training saves its state."""
    deadline = time.monotonic() + _PATIENCE_S
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        while time.monotonic() < deadline:
            process.poll()
            os.killpg(process.pid, 0)
            time.sleep(0.1)
