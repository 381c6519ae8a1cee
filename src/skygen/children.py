"""Commands that run as children of this process: what they print goes to a log, and they end with it."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

_PATIENCE_S = 120.0  # for what was asked to end


def run_logged(
    command: Sequence[str], folder: Path, log: Path, variables: Mapping[str, str], keep: Collection[int] = ()
) -> tuple[int, str]:
    """The exit status of a command in `folder`, and what it printed, which is added to the file `log`.

    Its environment is ours with `variables`, and `python` there is that of our own installation unless this lies on
    PATH already, maybe after another. It has our files `keep` open too. Whatever ends this process but kill -9 ends the
    command first.
    """
    with log.open("a+b") as stream:
        start = stream.seek(0, os.SEEK_END)
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=_environment() | dict(variables),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
            pass_fds=keep,
        )
        try:
            process.wait()
        finally:
            _end(process)
        stream.seek(start)
        return process.returncode, stream.read().decode(errors="replace")


@contextmanager
def sigterm_as_exit() -> Iterator[None]:
    """SIGTERM ends the block by `SystemExit`, so that what must be done is; only the main thread can ask for it."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _environment() -> dict[str, str]:
    own, path = str(Path(sys.executable).parent), os.environ.get("PATH", "")
    return dict(os.environ) | ({} if own in path.split(os.pathsep) else {"PATH": f"{own}{os.pathsep}{path}"})


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask a command and what it runs to end, and wait until all have: a training saves its state."""
    deadline = time.monotonic() + _PATIENCE_S
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        while time.monotonic() < deadline:
            process.poll()
            os.killpg(process.pid, 0)
            time.sleep(0.1)
