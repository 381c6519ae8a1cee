"""Locks between processes, by files: whoever finds one taken says by whom; the kernel ends it with its holder."""

import errno
import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class NoLockError(BlockingIOError):
    """Nobody can have a lock: the message says why, and what to do."""


@contextmanager
def alone(path: Path, what: str, *, wait: bool = False) -> Iterator[int]:
    """Hold the lock file `path`, which is there while it is held: no other run then makes `what`.

    However this process ends, another can have the lock at once, unless a child of it was given the open file, whose
    number the block gets. Raises `BlockingIOError`, which names the process that
    has it, or says so on stderr and waits for its end; `NoLockError` where another user left the file, or the file
    system knows no locks.
    """
    lock = _take(path, what, wait)
    try:
        yield lock
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
        lock = _open(path, what)
        try:
            _lock(lock, path, what, wait)
            if still_names(path, lock):
                with suppress(OSError):  # a full disk: the lock holds without the name of its holder
                    os.truncate(lock, 0)
                    os.pwrite(lock, str(os.getpid()).encode(), 0)
                return lock
        except BaseException:
            os.close(lock)
            raise
        os.close(lock)


def _open(path: Path, what: str) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        if error.errno not in {errno.EACCES, errno.EPERM, errno.EROFS}:
            raise
        remedy = (
            "another user's run left it, such as root's in a container: remove it when that run has ended"
            if os.path.lexists(path)
            else f"see to the permissions of {path.parent}"
        )
        raise NoLockError(f"{what}: the lock {path} cannot be opened ({error.strerror}); {remedy}") from error


def _lock(lock: int, path: Path, what: str, wait: bool) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(lock, 20, 0).decode()
        said = f"{what}: another run{f', process {holder},' if holder else ''} is making it"
        if not wait:
            raise BlockingIOError(f"{said}; wait until it ends, or end it, and run again") from None
        sys.stderr.write(f"{said}: waiting for its end\n")
        fcntl.flock(lock, fcntl.LOCK_EX)
    except OSError as error:
        raise NoLockError(
            f"{what}: the file system of {path.parent} cannot lock files ({error.strerror}), so that two runs could "
            "spoil each other's work; move the project to a local disk, or mount this one with locks"
        ) from error
