"""The record of a run: what a training or an evaluation reported, as plain files in a folder of its own.

    run.json        what the run is, and how it stands
    metrics.jsonl   a line for each report of values: when, at which step, the values
    artifacts/      pictures and files, as they are to lie among the run's artifacts
    bundle/         the bundle that the training made
    published.json  how much of this a store has, which `publish` keeps

Reporting writes here and nowhere else, so that it waits for no server. Where the disk takes no more, figures are lost,
which is said once, and who reports goes on.
"""

import json
import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import Any

from skygen.files import copy_folder, make_folder, read_json, write_atomically, write_json

SUFFIX = ".run"  # ends the names of the folders
RUNNING, FINISHED, FAILED, KILLED = "RUNNING", "FINISHED", "FAILED", "KILLED"  # as MLflow calls them
_logger = logging.getLogger(__name__)


@dataclass
class Run:
    """What `run.json` holds. An evaluation has no `id`: it adds to the run that made its bundle."""

    name: str
    bundle: str = ""  # its hash; of a training, once it is made
    id: str = ""
    key: str = ""  # the hash of what is trained on what: names the checkpoint
    resumed: bool = False  # from a checkpoint: goes on with an unfinished run of the same key that the store may have
    began_ms: int = 0  # since 1970
    ended_ms: int | None = None
    status: str = RUNNING
    error: str = ""  # why it did not finish
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)  # MLflow's description of a data set
    parent: str = ""  # the `id` of the run that this is a part of


class Record:
    """A record that this process writes; threads may share it."""

    def __init__(self, folder: Path, run: Run) -> None:
        self.folder, self.run = folder, run
        self._lock, self._lost, self._cut = Lock(), False, True  # another process may have left half a line

    def begin(self, **known: Any) -> None:
        """Say that the run goes on, and what is `known` of it: fields of `Run`."""
        self.run = replace(self.run, status=RUNNING, error="", ended_ms=None, **known)
        self._save()

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Add values at a step."""
        line = json.dumps({"time_ms": now_ms(), "step": int(step), "values": {k: float(v) for k, v in values.items()}})
        with self._lock, self._lossy(), (self.folder / "metrics.jsonl").open("ab", buffering=0) as stream:
            content, self._cut = (b"\n" if self._cut else b"") + line.encode() + b"\n", True
            while content:
                content = content[stream.write(content) :]
            self._cut = False
            os.fsync(stream)

    def artifact(self, content: bytes, name: str) -> None:
        """Add a file, or a newer one of its name (with folders)."""
        with self._lossy(), write_atomically(self.folder / "artifacts" / name) as temporary:
            temporary.write_bytes(content)

    def tag(self, name: str, value: str) -> None:
        """Tag the run; a later value takes the place of an earlier one."""
        self.run.tags[name] = value
        self._save()

    def add_bundle(self, folder: Path, sha256: str) -> None:
        """Keep a copy of the bundle in `folder`."""
        with self._lossy():
            copy_folder(folder, self.folder / "bundle")
            self.run.bundle = sha256
        self._save()

    def end(self, status: str, error: str = "") -> None:
        """Say how the run ended."""
        self.run.status, self.run.error, self.run.ended_ms = status, error, now_ms()
        self._save()

    def _save(self) -> None:
        with self._lock, self._lossy():
            make_folder(self.folder)
            write_json(self.folder / "run.json", asdict(self.run))

    @contextmanager
    def _lossy(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if not self._lost:
                _logger.warning("%s: figures are lost, the run goes on: %s", self.folder, error)
            self._lost = True


def now_ms() -> int:
    """The time in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def read_run(folder: Path) -> Run:
    """What `run.json` in a record's folder says; raises `ValueError` where it is damaged, which names it."""
    path = folder / "run.json"
    try:
        return Run(**read_json(path))
    except TypeError as error:
        raise ValueError(f"{path}: not the record of a run: {error}") from error


def read_metrics(folder: Path, start: int = 0) -> tuple[list[dict[str, Any]], int]:
    """The whole lines of `metrics.jsonl` in a record's folder from byte `start` on, and where they end.

    Those that a crash or a full disk cut short are left out.
    """
    path, lines = folder / "metrics.jsonl", list[dict[str, Any]]()
    if not path.is_file():
        return lines, start
    with path.open("rb") as stream:
        stream.seek(start)
        content = stream.read()
    whole = content[: content.rfind(b"\n") + 1]
    for line in whole.splitlines():
        with suppress(ValueError):
            lines.append(json.loads(line))
    return lines, start + len(whole)


def unfinished(folder: Path, key: str) -> Record | None:
    """The newest record in `folder` of a training of `key` that was begun and did not finish."""
    found = list[tuple[int, Record]]()
    for path in folder.glob(f"{key}-*{SUFFIX}"):
        with suppress(ValueError, OSError):  # one that cannot be read is named by publishing
            run = read_run(path)
            if run.status != FINISHED:
                found.append((run.began_ms, Record(path, run)))
    return max(found, key=lambda one: one[0])[1] if found else None
