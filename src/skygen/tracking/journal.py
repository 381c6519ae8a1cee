"""What a training reports, on disk before any server hears of it: one event a line, and the files that events name.

A journal is a folder: `events.jsonl`, which only grows; `files/`; and `position.json`, how far it was delivered.
"""

import fcntl
import json
import logging
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from io import FileIO
from pathlib import Path
from threading import Lock
from typing import Any

from skygen.files import read_json, write_atomically, write_json

SUFFIX = ".journal"
METRICS = ("metrics", "system")  # kinds of events that hold values at a step
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Event:
    """One line of a journal."""

    kind: str
    time_ms: int  # since 1970
    content: dict[str, Any]
    end: int  # bytes from the file's start to the end of the line


@dataclass(frozen=True)
class Position:
    """How far a journal was delivered: up to which byte, to which run of which store."""

    end: int = 0
    store: str | None = None
    run_id: str | None = None
    status: str | None = None  # of the run
    last_step: int = -1  # what the run's store knew before this journal was begun; not to be reported twice


class Journal:
    """A journal that this process owns: no other one writes it until `close`."""

    def __init__(self, folder: Path, patience_s: float = 2.0) -> None:
        """Make or go on with the journal in `folder`; raises `BlockingIOError` where another one has it.

        A courier has it for milliseconds, to end or to remove it; a training has it for hours.
        """
        self.folder = folder
        self._stream, self._lock, self._warned = _own(folder, patience_s), Lock(), False
        _mend(self._stream, folder)

    def append(self, kind: str, **content: Any) -> None:
        """Write an event; it is on disk when this returns. Threads may share a journal.

        Where the disk takes no more, the event is lost, which is said once, and who reports goes on.
        """
        line = json.dumps({"kind": kind, "time_ms": time.time_ns() // 1_000_000, **content})
        with self._lock, self.lossy():
            size = os.fstat(self._stream.fileno()).st_size
            try:
                _write_all(self._stream, f"{line}\n".encode())
            except OSError:
                self._stream.truncate(size)  # no half a line before the next event
                raise

    def append_file(self, content: bytes, name: str) -> None:
        """Write an event that brings a file, under its name (with folders) among the run's artifacts."""
        place = uuid.uuid4().hex
        with self.lossy():
            with write_atomically(self.folder / "files" / place / name) as temporary:
                temporary.write_bytes(content)
            self.append("file", place=place, name=name)

    @contextmanager
    def lossy(self) -> Iterator[None]:
        """Within, a disk that takes no more costs what was to be written, with one warning, and not its writer."""
        try:
            yield
        except OSError as error:
            if not self._warned:
                _logger.warning("%s: figures are lost, the training goes on: %s", self.folder, error)
            self._warned = True

    def close(self) -> None:
        """Let others own the journal."""
        self._stream.close()

    def remove(self) -> None:
        """Remove the journal and all that it holds."""
        shutil.rmtree(self.folder)
        self.close()


def events(folder: Path, start: int = 0) -> Iterator[Event]:
    """The events of the journal in `folder` from byte `start` on, but for a last line that is still being written."""
    with (folder / "events.jsonl").open("rb") as stream:
        stream.seek(start)
        end = start
        for line in stream:
            end += len(line)
            if not line.endswith(b"\n"):
                return
            content = json.loads(line)
            yield Event(content.pop("kind"), content.pop("time_ms"), content, end)


def status_after(event: Event, status: str | None) -> str | None:
    """The status of a run after `event`, if it was `status` before."""
    if event.kind in ("start", "evaluation"):
        return "RUNNING"
    return str(event.content["status"]) if event.kind == "end" else "FINISHED" if event.kind == "done" else status


def position(folder: Path) -> Position:
    """How far the journal in `folder` was delivered."""
    path = folder / "position.json"
    return Position(**read_json(path)) if path.is_file() else Position()


def save_position(folder: Path, delivered: Position) -> None:
    """Note that the journal in `folder` was `delivered` so far."""
    write_json(folder / "position.json", asdict(delivered))


def undelivered(folder: Path) -> int:
    """How many events of the journal in `folder` wait; 0 where there is no journal."""
    try:
        return sum(1 for _ in events(folder, position(folder).end))
    except FileNotFoundError:
        return 0


def _own(folder: Path, patience_s: float) -> FileIO:
    path, deadline = folder / "events.jsonl", time.monotonic() + patience_s
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        stream = path.open("ab+", buffering=0)  # what a full disk refused must not come again by itself
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(path.stat(), os.fstat(stream.fileno())):  # not removed meanwhile
                return stream
        except (BlockingIOError, FileNotFoundError):
            pass
        stream.close()
        if time.monotonic() > deadline:
            raise BlockingIOError(f"{folder}: another process trains this; wait for its end")
        time.sleep(0.05)


def _write_all(stream: FileIO, content: bytes) -> None:
    while content:
        content = content[stream.write(content) :]
    os.fsync(stream.fileno())


def _mend(stream: FileIO, folder: Path) -> None:
    """Cut off a last line that a crash left without its end."""
    stream.seek(0)
    content = stream.read()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        _logger.warning("%s: its last line was cut short by a crash; %d bytes are lost", folder, len(content) - whole)
        stream.truncate(whole)
