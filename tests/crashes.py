"""What a crash leaves on a disk: the operations of a piece of code are recorded, and any first part of them replayed.

The disk is harder on the code than most: content that was not flushed is lost, torn or there, and each change of a
folder's names that was not flushed may have happened or not, whatever came before or after it.
"""

import os
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from skygen import files

Tree = dict[str, Any]  # name → bytes of a file, or the tree of a folder
REAL = SimpleNamespace(
    open=os.open,
    mkdir=os.mkdir,
    replace=os.replace,
    unlink=os.unlink,
    rmdir=os.rmdir,
    fsync=os.fsync,
    exchange=files._exchange,
)
CHOICES = 60  # of which unflushed changes happened, where there are too many to try all


@dataclass
class Change:
    """A change of names that happens at once or not at all: (folder, name) → what it then names, None for nothing."""

    names: dict[tuple[int, str], int | None]


class Recorder:
    """The operations below a folder, in their order: a change, or what was flushed or written."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.log: list[tuple[Any, ...]] = []
        paths = list(root.rglob("*"))
        self.first = {self._place(path): path.stat().st_ino for path in paths}
        self.contents = {path.stat().st_ino: path.read_bytes() for path in paths if path.is_file()}
        self.folders = {path.stat().st_ino for path in (root, *paths) if path.is_dir()}
        self.known = set(self.first.values()) | {root.stat().st_ino}

    def made(self, path: Path) -> None:
        """A new file or folder has the name `path`; its number may be that of one that was removed."""
        number = path.stat().st_ino
        self.known.add(number)
        self.log.append(("new", number, path.is_dir()))
        self.changed((path, number))

    def wrote(self, path: Path) -> None:
        """All that is now in `path` was written."""
        self.log.append(("write", path.stat().st_ino, path.read_bytes()))

    def flushed(self, path: Path) -> None:
        if path.stat().st_ino not in self.known:  # what libraries made and wrote is seen here at the latest
            self.made(path)
        if path.is_file():
            self.wrote(path)
        self.log.append(("flush", path.stat().st_ino))

    def changed(self, *pairs: tuple[Path, int | None]) -> None:
        self.log.append(("change", Change({self._place(path): number for path, number in pairs})))

    def open(self, path: Any, flags: int, *more: Any, dir_fd: int | None = None, **options: Any) -> int:
        full = _path(path, dir_fd)
        new = bool(flags & os.O_CREAT) and not full.exists()
        handle = REAL.open(path, flags, *more, dir_fd=dir_fd, **options)
        if new:
            self.made(full)
        return handle

    def mkdir(self, path: Any, *more: Any, **options: Any) -> None:
        REAL.mkdir(path, *more, **options)
        self.made(Path(path))

    def replace(self, source: Any, target: Any) -> None:
        number = Path(source).stat().st_ino
        REAL.replace(source, target)
        self.changed((Path(source), None), (Path(target), number))

    def unlink(self, path: Any, *, dir_fd: int | None = None) -> None:
        self._remove(REAL.unlink, path, dir_fd)

    def rmdir(self, path: Any, *, dir_fd: int | None = None) -> None:
        self._remove(REAL.rmdir, path, dir_fd)

    def _remove(self, remove: Callable[..., None], path: Any, dir_fd: int | None) -> None:
        full = _path(path, dir_fd)
        number = full.stat().st_ino if full.exists() else None
        remove(path, dir_fd=dir_fd)
        self.known.discard(number)
        self.changed((full, None))

    def fsync(self, handle: int) -> None:
        REAL.fsync(handle)
        self.flushed(_opened(handle))

    def exchange(self, first: Path, second: Path) -> bool:
        numbers = first.stat().st_ino, second.stat().st_ino
        if not REAL.exchange(first, second):
            return False
        self.changed((first, numbers[1]), (second, numbers[0]))
        return True

    @staticmethod
    def _place(path: Path) -> tuple[int, str]:
        return path.parent.stat().st_ino, path.name


@contextmanager
def recorded(root: Path) -> Iterator[Recorder]:
    """Record what `skygen.files` does below `root`; what a test itself writes it tells by `wrote`."""
    recorder = Recorder(root)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("open", "mkdir", "replace", "unlink", "rmdir", "fsync"):
            patch.setattr(os, name, getattr(recorder, name))
        if files._exchange is REAL.exchange:
            patch.setattr(files, "_exchange", recorder.exchange)
        yield recorder


def _path(path: Any, dir_fd: int | None) -> Path:
    return Path(path) if dir_fd is None else _opened(dir_fd) / path


def _opened(handle: int) -> Path:
    return Path(f"/proc/self/fd/{handle}").readlink()


def crashes(recorder: Recorder) -> Iterator[tuple[int, Tree]]:
    """What the disk may hold after a crash at each moment, and how many operations came before."""
    for end in range(len(recorder.log) + 1):
        yield from ((end, tree) for tree in _disks(recorder, end))


def _disks(recorder: Recorder, end: int) -> Iterator[Tree]:
    kept, pending = dict(recorder.first), []
    contents, folders = {number: [content] for number, content in recorder.contents.items()}, set(recorder.folders)
    for kind, what, *more in recorder.log[:end]:
        if kind == "new":
            contents[what] = [b""]
            kept = {place: number for place, number in kept.items() if place[0] != what}
            (folders.add if more[0] else folders.discard)(what)
        elif kind == "write":
            contents[what] = [b"", more[0][: len(more[0]) // 2], more[0]]
        elif kind == "change":
            pending.append(what)
        elif what in folders:
            for change in pending:
                kept |= change.names if any(folder == what for folder, _ in change.names) else {}
            pending = [change for change in pending if all(folder != what for folder, _ in change.names)]
        else:
            contents[what] = contents[what][-1:]
    for happened in _choices(len(pending)):
        names = dict(kept)
        for change, did in zip(pending, happened, strict=True):
            names |= change.names if did else {}
        for which in range(3):
            yield _tree(recorder.root.stat().st_ino, names, contents, folders, which)


def _choices(count: int) -> Iterator[tuple[bool, ...]]:
    if 2**count <= CHOICES:
        yield from (tuple(bool(number >> place & 1) for place in range(count)) for number in range(2**count))
        return
    rng = random.Random(count)  # noqa: S311
    for first in range(count + 1):
        yield tuple(place < first for place in range(count))
    for _ in range(CHOICES):
        yield tuple(rng.random() < 0.5 for _ in range(count))


def _tree(
    folder: int,
    names: Mapping[tuple[int, str], int | None],
    contents: Mapping[int, list[bytes]],
    folders: set[int],
    which: int,
) -> Tree:
    found: Tree = {}
    for (place, name), number in names.items():
        if place == folder and number is not None:
            within = _tree(number, names, contents, folders, which) if number in folders else None
            found[name] = contents[number][: which + 1][-1] if within is None else within
    return found


def lay_out(tree: Tree, folder: Path) -> None:
    """Make `folder` hold `tree`."""
    folder.mkdir()
    for name, content in tree.items():
        if isinstance(content, bytes):
            (folder / name).write_bytes(content)
        else:
            lay_out(content, folder / name)


def tree_of(folder: Path) -> Tree:
    return {path.name: tree_of(path) if path.is_dir() else path.read_bytes() for path in folder.iterdir()}
