"""What a folder of downloads holds whole, by hash, in the format of sha256sum; and the lock that keeps others out."""

import fcntl
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from skygen.files import sha256_file, write_atomically

SUMS = "SHA256SUMS"


class Sums:
    """The hashes of the finished files below a folder, by their relative paths."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._unwritten = 0
        path = folder / SUMS
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
        # A line that is none does no harm: the file that it stood for is checked and hashed again.
        pairs = [line.split("  ", 1) for line in lines if "  " in line]
        self._by_name = {name: digest for digest, name in pairs}

    def digest_of(self, path: Path, check: Callable[[Path], None]) -> str | None:
        """The hash of a file that is there as it was recorded, or unrecorded and sound by `check`; None without."""
        if not path.exists():
            return None
        digest, recorded = sha256_file(path), self._by_name.get(self._name(path))
        if recorded is not None:
            return digest if digest == recorded else None
        try:
            check(path)
        except ValueError:
            return None
        return digest

    def add(self, path: Path, digest: str) -> None:
        """Record a finished file; the records are written after so many that writing stays in proportion to them."""
        self._unwritten += self._by_name.get(self._name(path)) != digest
        self._by_name[self._name(path)] = digest
        if self._unwritten > max(32, len(self._by_name) // 8):
            self.write()

    def write(self) -> None:
        """Write the records, whole or not at all, where there are new ones."""
        if self._unwritten:
            there = {name: digest for name, digest in self._by_name.items() if (self._folder / name).exists()}
            lines = [f"{digest}  {name}\n" for name, digest in sorted(there.items())]
            with write_atomically(self._folder / SUMS) as temporary:
                temporary.write_text("".join(lines), encoding="utf-8")
            self._unwritten = 0

    def _name(self, path: Path) -> str:
        return path.relative_to(self._folder).as_posix()


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold `folder`, made where it is missing, so that no two runs write the same files; wait for the one before."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.stderr.write(f"waiting for another run that downloads to {folder}\n")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
