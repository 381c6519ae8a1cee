"""Locks between processes, by files: whoever finds one taken says by whom; the kernel ends it with its holder."""

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def alone(path: Path, what: str, *, wait: bool = False) -> Iterator[None]:
    """Hold the lock file `path`, which is there while it is held: no other run then makes `what`.

    However this process ends, another can have the lock at once. Raises `BlockingIOError`, which names the process that
    has it, or says so on stderr and waits for its end.
    """
    lock = _take(path, what, wait)
    try:
        yield
    finally:
        if still_names(path, lock):
            path.unlink()  # while it is held: who waits for it sees that it is gone, and makes another
        os.close(lock)


def still_names(path: Path, handle: int) -> bool:
    """Whether `path` is a name of the open file `handle`: another process may have removed or replaced it."""
    with suppress(FileNotFoundError):
        return os.path.samestat(path.stat(), os.fstat(handle))
    return False


def _take(path: Path, what: str, wait: bool) -> int:
    while True:
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(lock, 20, 0).decode()
            said = f"{what}: another run{f', process {holder},' if holder else ''} is making it"
            if not wait:
                os.close(lock)
                raise BlockingIOError(f"{said}; wait until it ends, or end it, and run again") from None
            sys.stderr.write(f"{said}: waiting for its end\n")
            fcntl.flock(lock, fcntl.LOCK_EX)
        if still_names(path, lock):
            os.truncate(lock, 0)
            os.pwrite(lock, str(os.getpid()).encode(), 0)
            return lock
        os.close(lock)
