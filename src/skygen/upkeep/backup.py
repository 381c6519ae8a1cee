"""Backup and restore of what git does not hold: MLflow's database and artifacts, and DVC's objects.

A backup is a folder with a manifest of hashes, there as a whole or not at all:

    manifest.json       what it is of, and the SHA-256 and size of each file
    mlflow.db           the database (mlflow.dump of PostgreSQL), as it was at one moment
    artifacts/          MLflow's artifacts, copied after it: so all that it names is there
    objects/            DVC's cache, or a remote that is a folder
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from skygen.files import make_folder, read_json, replace_folder, sha256_file, write_atomically, write_json
from skygen.params import Section, validate
from skygen.provenance import git_commit
from skygen.tracking import keep_relative
from skygen.upkeep.databases import database_of
from skygen.upkeep.dvc import DIRECTORY, Objects, md5_of
from skygen.upkeep.hashing import hash_all

MANIFEST, ARTIFACTS, OBJECTS = "manifest.json", "artifacts", "objects"
_FORMAT = 1


class BackupError(ValueError):
    """A folder cannot be backed up to or restored from; the message says why and what to do."""


class Entry(Section):
    """A file of a backup."""

    sha256: str
    bytes: int


class Manifest(Section):
    """What manifest.json holds."""

    format: int
    made_at: str  # ISO 8601, UTC
    commit: str  # of the clone
    versions: dict[str, str]
    database: str  # the name of its dump
    files: dict[str, Entry]

    def __str__(self) -> str:
        size = sum(entry.bytes for entry in self.files.values())
        return f"{len(self.files)} files, {size / 1e6:.1f} MB, of {self.made_at}"


@dataclass(frozen=True)
class Parts:
    """What is backed up: the store's address, the folder of its artifacts, and DVC's objects, of which two may miss."""

    store: str
    artifacts: Path | None
    objects: Objects | None


def back_up(parts: Parts, folder: Path) -> Manifest:
    """Write a backup to `folder`, which must not be there or be empty.

    Raises `BackupError` where it is neither, or what is to be copied is missing or damaged; `DatabaseError` for the
    database.
    """
    if folder.exists() and not _is_empty(folder):
        raise BackupError(f"{folder} is there already, and not empty: name a new folder")
    if parts.artifacts is not None and folder.resolve().is_relative_to(parts.artifacts.resolve()):
        raise BackupError(f"{folder} is in {parts.artifacts}, which is backed up: name a folder outside of it")
    database = database_of(parts.store)
    with replace_folder(folder) as new:
        database.dump(new / database.file)
        if parts.artifacts is not None:
            if not parts.artifacts.is_dir():
                raise BackupError(f"{parts.artifacts}: no such folder; --artifacts names another")
            _copy_all(_below(parts.artifacts), new / ARTIFACTS)
        if parts.objects is not None:
            _copy_all(_sound(parts.objects), new / OBJECTS)
        manifest = _manifest(new, database.file)
        write_json(new / MANIFEST, manifest.model_dump())
    return manifest


def _sound(objects: Objects) -> Mapping[str, Path]:
    """All objects by their hashes; raises `BackupError` where one is damaged."""
    found = objects.found()
    by_path = {path: md5 for md5, path in found.items()}
    for path, md5 in hash_all(list(by_path), md5_of, "objects"):
        if md5 != by_path[path].removesuffix(DIRECTORY):
            raise BackupError(f"{path} is damaged; `skygen verify --cache` says what to do, then back up again")
    return found


def _manifest(folder: Path, database: str) -> Manifest:
    hashes = hash_all(list(_below(folder).values()), sha256_file, "backup")
    return Manifest(
        format=_FORMAT,
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        commit=git_commit(),
        versions={name: metadata.version(name) for name in ("skygen", "mlflow", "dvc")},
        database=database,
        files={
            path.relative_to(folder).as_posix(): Entry(sha256=sha256, bytes=path.stat().st_size)
            for path, sha256 in hashes
        },
    )


def check(folder: Path) -> Manifest:
    """The manifest of the backup in `folder`, all of whose files are there and whole; raises `BackupError`."""
    if not (folder / MANIFEST).is_file():
        raise BackupError(f"{folder / MANIFEST}: no such file; {folder} is no backup")
    manifest = validate(Manifest, read_json(folder / MANIFEST), str(folder / MANIFEST))
    if manifest.format != _FORMAT:
        raise BackupError(f"{folder} is a backup of format {manifest.format}; this skygen reads {_FORMAT}")
    wanted = {folder / name: entry.sha256 for name, entry in manifest.files.items()}
    wrong = [path for path, found in hash_all(list(wanted), sha256_file, "check") if found != wanted[path]]
    if wrong:
        raise BackupError(f"{wrong[0]} is missing or damaged, one of {len(wrong)} such files; restore another backup")
    return manifest


def restore(folder: Path, parts: Parts, over: bool) -> Manifest:
    """Bring a backup back. DVC's objects are added to what is there; all else was there as a whole before, or is now.

    Raises `BackupError` where the backup is damaged or of another kind of database, or where something is there already
    and `over` does not say that it may go; `DatabaseError` for the database.
    """
    manifest, database = check(folder), database_of(parts.store)
    if manifest.database != database.file:
        raise BackupError(f"{folder} has {manifest.database}, which {parts.store} cannot take; give --store")
    if not (over or database.is_empty()):
        raise BackupError(f"{parts.store} is not empty; restore to another, or say --over, and it is replaced")
    artifacts = parts.artifacts
    for wanted, name in ((artifacts, ARTIFACTS), (parts.objects, OBJECTS)):
        if wanted is not None and not (folder / name).is_dir():
            raise BackupError(f"{folder} has no {name}: it was made without; restore without them")
    if not (over or artifacts is None or _is_empty(artifacts)):
        raise BackupError(f"{artifacts} is not empty; restore to another, or say --over, and it is replaced")
    if parts.objects is not None:
        _add_objects(_below(folder / OBJECTS), parts.objects)
    if artifacts is None:
        database.restore(folder / database.file)
    else:
        with replace_folder(artifacts) as new:
            _copy_all(_below(folder / ARTIFACTS), new)
            database.restore(folder / database.file)  # the last that can fail
    keep_relative(parts.store)
    return manifest


def _add_objects(copies: Mapping[str, Path], objects: Objects) -> None:
    for md5, copy in copies.items():
        if not objects.holds(md5):
            with write_atomically(objects.path(md5)) as temporary:
                shutil.copyfile(copy, temporary)


def _copy_all(files: Mapping[str, Path], folder: Path) -> None:
    """Copy files to their names in a folder."""
    make_folder(folder)
    for name, path in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, folder / name)


def _below(folder: Path) -> Mapping[str, Path]:
    """The files in a folder, by their names in it."""
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}


def _is_empty(folder: Path) -> bool:
    return not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
