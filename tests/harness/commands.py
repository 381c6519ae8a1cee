"""The command `skygen` in the process of a test: it starts in no time, and what it writes goes through real pipes."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from skygen.cli import main


def called(
    arguments: Sequence[str], cwd: Path | str = ".", umask: int | None = None
) -> "subprocess.CompletedProcess[bytes]":
    """What `skygen ARGUMENTS` comes to, as `subprocess.run` tells it, typed in `cwd` by a user with this `umask`."""
    former = os.umask(0)
    os.umask(former if umask is None else umask)
    try:
        with (
            contextlib.chdir(cwd),
            ThreadPoolExecutor(2) as readers,
            _piped(1, "stdout", readers) as out,
            _piped(2, "stderr", readers) as err,
        ):
            try:
                main(list(arguments), prog_name="skygen")
            except SystemExit as ended:
                status = ended.code or 0
    finally:
        os.umask(former)
    return subprocess.CompletedProcess(arguments, int(status), out[0].result(), err[0].result())


@contextlib.contextmanager
def _piped(number: int, name: str, readers: ThreadPoolExecutor) -> Iterator[list[Future[bytes]]]:
    """A list that holds what was written to this file descriptor, and to the `sys.stdout` or `sys.stderr` of `name`."""
    reading, writing = os.pipe()
    kept, stream = os.dup(number), getattr(sys, name)
    stream.flush()
    os.dup2(writing, number)
    os.close(writing)
    try:
        with os.fdopen(number, "w", closefd=False) as piped:
            setattr(sys, name, piped)
            yield [readers.submit(_all_of, reading)]
    finally:
        setattr(sys, name, stream)
        os.dup2(kept, number)
        os.close(kept)


def _all_of(reading: int) -> bytes:
    with os.fdopen(reading, "rb") as pipe:
        return pipe.read()
