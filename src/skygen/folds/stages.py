"""One stage in one fold's folder, as DVC runs it: what is up to date is left, and the run cache is asked first."""

import subprocess
import sys
import time
from pathlib import Path

from skygen.children import run_logged

LOG = "folds.log"  # in the fold's folder: all that its stages print
_BUSY = "is busy, it is being blocked by"  # of a stage that another process, such as a killed run's, is still making
_PAUSE_S = 5.0


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
    return run_logged(dvc("--wait-for-lock", "repro", "--single-item", stage), folder, folder / LOG, variables)
