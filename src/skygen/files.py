"""Files and folders that appear whole or not at all, whatever ends a run, and the hashes that name them.

What is written is flushed to the disk before it gets its name, and the folder that holds the name after: a power cut at
any moment leaves the old or the new. Until then it lies beside its place under a name that begins with `.skygen-`,
which DVC is told to ignore (`.dvcignore`). What a killed run left there is removed by the next that writes the same.
"""

import ctypes
import errno
import fcntl
import glob
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

from skygen.locks import alone, still_names

_OURS = ".skygen-"  # begins the names of what is not yet, or no longer, in its place
_NAME_BYTES = 200  # of a temporary's name that are its target's: the whole must not be longer than a name may be
_SWEPT = 8  # temporary files of one target that are looked for: more are not written at once
_FD_CWD, _EXCHANGE = -100, 2  # of renameat2 (Linux)
_NO_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EACCES}  # folders of file systems that cannot, or that we may not read


@contextmanager
def write_atomically(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`: flushed to disk and renamed to it on success, removed on any error.

    A file that is there already gives its mode; a new one has what the umask leaves of 0666. Write into the temporary
    file, and put no other in its place: it is locked, which keeps it from being removed as a killed run's.
    """
    make_folder(path.parent)
    _sweep(path)
    mode = stat.S_IMODE(path.lstat().st_mode) if path.is_file() and not path.is_symlink() else None
    temporary, lock = _temporary(path, 0o666 if mode is None else mode | stat.S_IRUSR | stat.S_IWUSR)
    try:
        made = stat.S_IMODE(temporary.stat().st_mode)
        yield temporary
        _sync(temporary)
        temporary.chmod(made if mode is None else mode)
        move(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
        os.close(lock)


@contextmanager
def replace_folder(folder: Path, *, wait: bool = False) -> Iterator[Path]:
    """An empty folder beside `folder` that takes its place on success; on any error `folder` stays as it was.

    Of a link it is the target that is replaced. Raises `BlockingIOError` where another run makes the same folder, or
    waits for its end.
    """
    named, folder = folder, folder.resolve()
    make_folder(folder.parent)
    with alone(_beside(folder, "lock"), str(named), wait=wait):
        new = _cleared(folder)
        new.mkdir()
        try:
            yield new
            _sync_all(new)
            _take_place(new, folder)
        finally:
            _remove(new)


@contextmanager
def resume_folder(folder: Path, key: str) -> Iterator[Path]:
    """A folder beside `folder` that takes its place on success, and otherwise waits to be gone on with.

    A run that stopped, even by kill -9, left what it had finished there: the next one with the same `key` (the hash of
    all that decides the content) finds it, and must tell a finished file from none, which `write_atomically` grants.
    What was left under another key is removed at the start. Of a link it is the target that is replaced. Raises
    `BlockingIOError` where another run makes the same folder.
    """
    named, folder = folder, folder.resolve()
    make_folder(folder.parent)
    with alone(_beside(folder, "lock"), str(named)):
        new, building = _cleared(folder), folder.parent / f".{folder.name}.{key[:16]}.part"
        for left in folder.parent.glob(f".{glob.escape(folder.name)}.*.part"):
            if left != building:
                shutil.rmtree(left)
        building.mkdir(exist_ok=True)
        yield building
        _sync_all(building)
        move(building, new)  # from here on it is what `folder` holds that counts, not what is to be gone on with
        _take_place(new, folder)


def copy_folder(source: Path, folder: Path) -> None:
    """Make `folder` a copy of the folder `source`: on the disk as a whole when this returns, or not there at all."""
    with replace_folder(folder) as new:
        shutil.copytree(source, new, dirs_exist_ok=True)


def make_folder(folder: Path) -> None:
    """Make `folder` and what it lies in where they are missing, each on the disk when this returns."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync(folder.parent)


def link(target: Path, place: Path) -> None:
    """Make `place` a link to `target`, relative so that both may move; one that is so already is left."""
    make_folder(place.parent)
    wanted = os.path.relpath(target, place.parent)
    if not place.is_symlink() or str(place.readlink()) != wanted:
        place.unlink(missing_ok=True)
        place.symlink_to(wanted)


def move(source: Path, target: Path) -> None:
    """Rename `source`, which is on the disk, to `target` in the same folder: so it is on the disk too."""
    source.replace(target)
    _sync(target.parent)


def _beside(path: Path, what: str) -> Path:
    name = os.fsencode(path.name)[-_NAME_BYTES:].decode(errors="ignore")
    return path.with_name(f"{_OURS}{what}-{name}")


def _temporary(path: Path, mode: int) -> tuple[Path, int]:
    """A new file beside `path`, and the lock on it, which says that a living run writes it."""
    for number in count():
        temporary = _beside(path, str(number))
        with suppress(FileExistsError):
            lock = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)
            with suppress(OSError):  # a file system without locks: nothing is swept there
                fcntl.flock(lock, fcntl.LOCK_EX)
            if still_names(temporary, lock):  # not swept before it was locked
                return temporary, lock
            os.close(lock)
    raise AssertionError("numbers do not end")


def _sweep(path: Path) -> None:
    """Remove the temporary files that killed runs left of `path`; those of living runs are locked."""
    for number in range(_SWEPT):
        left = _beside(path, str(number))
        with suppress(OSError), left.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if still_names(left, stream.fileno()):
                left.unlink()


def _cleared(folder: Path) -> Path:
    """Where what is to replace `folder` is made, after removing what a killed run left. Call it under the lock."""
    new, retired = _beside(folder, "new"), _beside(folder, "old")
    _remove(new)
    if retired.exists() and not folder.exists():
        move(retired, folder)
    _remove(retired)
    return new


def _take_place(new: Path, folder: Path) -> None:
    if not folder.exists():
        move(new, folder)
    elif _exchange(new, folder):
        _sync(folder.parent)
        _remove(new)
    else:
        retired = _beside(folder, "old")
        move(folder, retired)
        move(new, folder)
        _remove(retired)


def _exchange(first: Path, second: Path) -> bool:
    """Whether the two could change places in one step: macOS and some file systems cannot do it."""
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "renameat2"):
        return False
    return bool(libc.renameat2(_FD_CWD, os.fsencode(first), _FD_CWD, os.fsencode(second), _EXCHANGE) == 0)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _sync_all(folder: Path) -> None:
    """Flush all that is in `folder` to the disk: files, folders, and the names in them."""
    for place, _, names in os.walk(folder, topdown=False):
        for name in names:
            if (path := Path(place, name)).is_file() and not path.is_symlink():
                _sync(path)
        _sync(Path(place))


def _sync(path: Path) -> None:
    """Flush a file, or the names in a folder, to the disk."""
    try:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if not (path.is_dir() and error.errno in _NO_SYNC):
            raise


def write_json(path: Path, content: Any) -> None:
    """Write `content` as indented JSON; NaN and infinity raise `ValueError`, since JSON has neither."""
    with write_atomically(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """The content of a JSON file; raises `FileNotFoundError` where it is missing, `ValueError` where it is not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # of JSON, or of UTF-8
        raise ValueError(f"{path} is not JSON: {error}; make it anew with the stage that writes it") from error


def sha256_file(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_folder(folder: Path, pattern: str = "*") -> str:
    """The SHA-256 of the files below a folder that match `pattern`: of their names and bytes, in the order of names.

    What is being written there, or was left half written, does not count.
    """
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob(pattern) if path.is_file()):
        name = path.relative_to(folder)
        if not any(part.startswith(_OURS) for part in name.parts):
            digest.update(f"{name.as_posix()}\0{sha256_file(path)}\n".encode())
    return digest.hexdigest()
