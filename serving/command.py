"""The command and its workers: a folder that they share, and how a worker that cannot start ends the command.

`bentoml serve` loads the service once to judge it and again in each worker. It starts another worker for one that
ends, so a worker with a setting that cannot be honoured would come back for ever: it stops the command instead.
"""

import atexit
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Final, NoReturn

FOLDER: Final = "SKYGEN_COMMAND_FOLDER"  # the variables that the command sets for its workers
PROCESS: Final = "SKYGEN_COMMAND_PROCESS"
BEGAN: Final = "SKYGEN_COMMAND_BEGAN"
MOST_STARTS: Final = 5  # of workers in a row, none of which came to serve
_METRICS: Final = "PROMETHEUS_MULTIPROC_DIR"


def lead() -> None:
    """Make this process the command: with a folder of its own, which goes when it ends, with status 1 if told why.

    The metrics lie in it too: BentoML's own place for them is emptied by whoever starts next with the same home.
    """
    folder = Path(tempfile.mkdtemp(prefix="skygen-"))
    (folder / "metrics").mkdir()
    os.environ.update({FOLDER: str(folder), PROCESS: str(os.getpid()), BEGAN: str(time.time())})
    atexit.register(_end, folder)


def follow() -> None:
    """Keep this process's metrics where its command wants them; call it before prometheus_client counts anything.

    Ends the command where workers have begun many times, and none came to serve: something kills them.
    """
    folder = _folder()
    if folder is None:
        return
    os.environ[_METRICS] = str(folder / "metrics")
    with (folder / "starts").open("ab") as starts:
        starts.write(b".")
    if (folder / "starts").stat().st_size > MOST_STARTS:
        end(f"nothing to serve: {MOST_STARTS} workers ended as they started; see the log, and the kernel's")


def began() -> float:
    """When the command of this worker began, in seconds since 1970; now, of a process without one."""
    return time.time() if _folder() is None else float(os.environ[BEGAN])


def serves() -> None:
    """Note that a worker has come to serve."""
    if (folder := _folder()) is not None:
        (folder / "starts").unlink(missing_ok=True)


def end(sentence: str) -> NoReturn:
    """End this process and its command for the reason in `sentence`, which goes to stderr."""
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()
    if (folder := _folder()) is not None:
        (folder / "reason").write_text(sentence, encoding="utf-8")
        os.kill(os.getppid(), signal.SIGTERM)
    os._exit(1)  # the server would report an exception of a start with a traceback, or serve without its application


def _folder() -> Path | None:
    """The command's folder, in a worker; None in the command itself and in a process without one."""
    folder = os.environ.get(FOLDER)
    return Path(folder) if folder and os.environ.get(PROCESS) == str(os.getppid()) else None


def _end(folder: Path) -> None:
    if os.environ.get(PROCESS) != str(os.getpid()):  # a copy of the command
        return
    failed = (folder / "reason").exists()
    shutil.rmtree(folder, ignore_errors=True)
    if failed:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)
