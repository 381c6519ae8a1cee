"""Files that appear whole or not at all, and the hashes that name them."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_RETIRED = ".retired"  # ends the name that a folder has while another takes its place


@contextmanager
def write_atomically(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`: flushed to disk and renamed to it on success, removed on any error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".", suffix=path.name, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replace_folder(folder: Path) -> Iterator[Path]:
    """An empty folder beside `folder` that takes its place on success; on any error `folder` stays as it was."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        yield temporary
        _take_place(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def resume_folder(folder: Path, key: str) -> Iterator[Path]:
    """A folder beside `folder` that takes its place on success, and otherwise waits to be gone on with.

    A run that stopped, even by kill -9, left what it had finished there: the next one with the same `key` (the hash of
    all that decides the content) finds it, and must tell a finished file from none, which `write_atomically` grants.
    What was left under another key is removed at the start.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    building = folder.parent / f".{folder.name}.{key[:16]}.part"
    for retired in folder.parent.glob(f".{folder.name}.*.part{_RETIRED}"):  # the last run was killed as it ended
        if folder.exists():
            shutil.rmtree(retired)
        else:
            retired.rename(folder)
    for left in folder.parent.glob(f".{folder.name}.*.part"):
        if left != building:
            shutil.rmtree(left, ignore_errors=True)
    building.mkdir(exist_ok=True)
    yield building
    _take_place(building, folder)


def _take_place(new: Path, folder: Path) -> None:
    new.chmod(0o755)
    if folder.exists():
        retired = new.with_name(f"{new.name}{_RETIRED}")
        folder.rename(retired)
        new.rename(folder)
        shutil.rmtree(retired)
    else:
        new.rename(folder)


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
    """The SHA-256 of the files below a folder that match `pattern`: of their names and bytes, in the order of names."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob(pattern) if path.is_file()):
        digest.update(f"{path.relative_to(folder).as_posix()}\0{sha256_file(path)}\n".encode())
    return digest.hexdigest()
