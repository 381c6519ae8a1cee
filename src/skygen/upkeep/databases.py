"""The databases that MLflow keeps runs and registry in, dumped while they are in use, and restored whole or not at all.

SQLite by its own backup, PostgreSQL by pg_dump and pg_restore, which must be no older than the server.
"""

import os
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit, urlunsplit

from skygen.files import make_folder, write_atomically
from skygen.tracking import sqlite_file

_POSTGRES = {"postgresql", "postgres"}


class DatabaseError(ChildProcessError):
    """A database cannot be dumped or restored; the message says why and what to do."""


class Database(Protocol):
    """What can be dumped into a file and restored from it."""

    file: str  # the name of the dump

    def dump(self, path: Path) -> None:
        """Write all of it, as it is at one moment, to `path`; raises `DatabaseError`."""

    def is_empty(self) -> bool:
        """Whether nothing is there that a restore would take the place of; raises `DatabaseError`."""

    def restore(self, path: Path) -> None:
        """Put a dump in the place of what is there, in one transaction; raises `DatabaseError`."""


def database_of(uri: str) -> Database:
    """The database at the address of an MLflow store; raises `DatabaseError` for one that cannot be backed up."""
    file, kind = sqlite_file(uri), urlsplit(uri).scheme.partition("+")[0]
    if file is not None:
        return Sqlite(file)
    if kind in _POSTGRES:
        return Postgres(uri)
    if kind in {"http", "https"}:
        raise DatabaseError(
            f"{uri} is an MLflow server, whose database only its own address reaches: give --store, as the server "
            "has it in --backend-store-uri, and --artifacts"
        )
    raise DatabaseError(f"{uri}: only SQLite and PostgreSQL can be backed up; use your database's own tools")


class Sqlite:
    """A file."""

    file = "mlflow.db"

    def __init__(self, path: Path) -> None:
        self._path = path

    def dump(self, path: Path) -> None:
        """See `Database`."""
        if not self._path.is_file():
            raise DatabaseError(f"{self._path}: no such file; there is nothing to back up, or --store names another")
        _copy(self._path, path)

    def is_empty(self) -> bool:
        """See `Database`."""
        return not self._path.exists() or self._path.stat().st_size == 0

    def restore(self, path: Path) -> None:
        """See `Database`."""
        make_folder(self._path.parent)
        if self.is_empty():
            with write_atomically(self._path) as temporary:
                _copy(path, temporary)
        else:
            _copy(path, self._path)


def _copy(source: Path, target: Path) -> None:
    """One transaction at each end, whoever else reads or writes."""
    try:
        with closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=rw", uri=True)) as read:
            (said,) = read.execute("PRAGMA quick_check(1)").fetchone()
            if said != "ok":
                raise DatabaseError(f"{source} is damaged: {said}; restore an earlier backup")
            with closing(sqlite3.connect(target, timeout=60)) as written:
                read.backup(written)
    except sqlite3.Error as error:
        raise DatabaseError(f"{source} to {target}: {error}") from error


class Postgres:
    """A database of a server."""

    file = "mlflow.dump"

    def __init__(self, uri: str) -> None:
        parts = urlsplit(uri)
        secret = unquote(parts.password or "")
        self._environment = {**os.environ, **({"PGPASSWORD": secret} if secret else {})}
        place = parts.netloc.replace(f":{parts.password}@", "@") if parts.password else parts.netloc
        self.address = urlunsplit(parts._replace(scheme="postgresql", netloc=place))  # no password for ps to show

    def dump(self, path: Path) -> None:
        """See `Database`."""
        self._run("pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--file={path}")

    def is_empty(self) -> bool:
        """See `Database`."""
        tables = "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()"
        return self._run("psql", "--no-psqlrc", "--tuples-only", f"--command={tables}").strip() == "0"

    def restore(self, path: Path) -> None:
        """See `Database`."""
        whole = ("--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges")
        self._run("pg_restore", *whole, "--clean", "--if-exists", str(path))

    def _run(self, program: str, *arguments: str) -> str:
        command = [program, f"--dbname={self.address}", "--no-password", *arguments]
        try:
            done = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False)
        except FileNotFoundError as error:
            raise DatabaseError(f"{program} is not installed; it comes with Debian's postgresql-client") from error
        if done.returncode:
            lines = [line.removeprefix(f"{program}: ").removeprefix("error: ") for line in done.stderr.splitlines()]
            raise DatabaseError(f"{program} at {self.address}: {'; '.join(lines[:2])}")
        return done.stdout
