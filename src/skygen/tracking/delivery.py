"""Journals brought to their stores: in order, each event at least once, by one courier of a folder at a time."""

import fcntl
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from mlflow.exceptions import MlflowException

from skygen.tracking.journal import (
    METRICS,
    SUFFIX,
    Event,
    Journal,
    Position,
    events,
    position,
    save_position,
    status_after,
    undelivered,
)
from skygen.tracking.store import ERROR_TAG, Store, chosen_store, is_refused, is_unknown

EVALUATION = "evaluation-"  # begins the names of journals that need what the others bring; the bundle's hash follows,
NAMED_BY = 16  # so much of it
ANSWERING_S = 300.0  # a courier that is to finish is waited for as long as an event is taken in this time,
SILENT_S = 5.0  # and this long where the last attempt has failed, as it does by MLflow's limit where nothing answers
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 60.0
_OTHERS_S = 15.0  # for a courier of another process to end its round: longer than a request lasts
_MOST_METRICS = 1000  # of a call of MLflow's
_logger = logging.getLogger(__name__)


class _SilentStoreError(Exception):
    """A store does not answer at all."""


def deliver(folder: Path, uri: str | None = None, note_progress: Callable[[], None] = lambda: None) -> int:
    """Bring all journals in `folder` to the store at `uri`, or to the one in use; how many of them waited.

    A journal that was begun for another store goes there from its start. One that the store does not take is left for
    later, and the evaluations of its bundles with it, which belong to its run; all others go on. Raises
    `ConnectionError` at the end, which names each with the cause, and `BlockingIOError` where another process goes on
    delivering from this folder.
    """
    if not folder.is_dir():
        return 0
    waited, failed, held = 0, list[str](), set[str]()
    store = uri or chosen_store()
    with _alone(folder):
        for path in _journals(folder):
            if path.name.removeprefix(EVALUATION).removesuffix(SUFFIX) in held:
                continue
            try:
                waited += _deliver_one(path, store, note_progress)
            except Exception as error:  # whatever a store, the way to it, or a damaged journal comes up with
                failed.append(f"{store}: {error}; undelivered: {path}")
                if isinstance(error, _SilentStoreError):
                    break
                held |= _bundles(path)
    if failed:
        raise ConnectionError("\n".join(failed))
    return waited


class Courier:
    """A thread that delivers the journals in a folder as they grow, and tries again where a store does not answer."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._grown, self._closing = threading.Event(), threading.Event()
        self._failing, self._left, self._progress = False, False, time.monotonic()
        self._thread = threading.Thread(target=self._work, name="courier", daemon=True)  # a store must not hold a stage
        self._thread.start()

    def wake(self) -> None:
        """Say that a journal has grown."""
        self._grown.set()

    def finish(self) -> None:
        """Wait until all is delivered, or until that takes too long."""
        self._closing.set()
        self._grown.set()
        self._progress = asked = time.monotonic()
        while self._thread.is_alive():
            silent = self._failing and time.monotonic() > asked + SILENT_S
            self._left = silent or time.monotonic() > self._progress + ANSWERING_S
            if self._left:
                return
            self._thread.join(0.05)

    def _work(self) -> None:
        pause = _FIRST_PAUSE_S
        while True:
            last = self._closing.is_set()
            self._grown.clear()
            try:
                deliver(self._folder, note_progress=self._note_progress)
            except OSError as error:
                if not self._failing:
                    _logger.warning("MLflow has not taken what was reported yet, trying again: %s", error)
                self._failing = True
                if self._left:
                    return
                if last:
                    time.sleep(_FIRST_PAUSE_S)
                self._closing.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_S)
            else:
                self._failing, pause = False, _FIRST_PAUSE_S
                if last:
                    return
                self._grown.wait()

    def _note_progress(self) -> None:
        self._failing, self._progress = False, time.monotonic()


def _journals(folder: Path) -> list[Path]:
    found = (path.parent for path in folder.glob(f"*{SUFFIX}/events.jsonl"))
    return sorted(found, key=lambda path: (path.name.startswith(EVALUATION), path.name))


def _bundles(path: Path) -> set[str]:
    """How the journals name the bundles that the one at `path` brings, as far as it can be read."""
    with suppress(ValueError, KeyError, OSError):
        return {event.content["sha256"][:NAMED_BY] for event in events(path) if event.kind == "bundle"}
    return set()


def _deliver_one(path: Path, uri: str, note_progress: Callable[[], None]) -> bool:
    """Bring the journal at `path` to the store at `uri`; whether anything waited."""
    if position(path).store not in (None, uri):
        save_position(path, Position())
    _end_if_abandoned(path)
    at = position(path)
    waiting = list(_batches(events(path, at.end)))
    if waiting:
        try:
            store = Store(uri)
        except Exception as error:
            raise _SilentStoreError(error) from error
        for batch in waiting:
            at = _take(store, batch, at, path)
            save_position(path, at)
            note_progress()
    _remove_if_done(path)
    return bool(waiting)


def _take(store: Store, batch: list[Event], at: Position, path: Path) -> Position:
    try:
        return store.take(batch, at, path / "files")
    except MlflowException as error:
        if is_unknown(error):  # the store was made anew, and the run must be too
            save_position(path, Position())
        if not is_refused(error) or at.run_id is None:
            raise
        _keep_refused(path, batch, error)
        return replace(at, end=batch[-1].end)


def _batches(waiting: Iterator[Event]) -> Iterator[list[Event]]:
    """The events in their order; metrics that follow each other together, as many as one call takes."""
    batch: list[Event] = []
    for event in waiting:
        together = [*batch, event]
        fits = sum(len(one.content["values"]) for one in together if one.kind in METRICS) <= _MOST_METRICS
        if batch and not (fits and all(one.kind in METRICS for one in together)):
            yield batch
            together = [event]
        batch = together
    if batch:
        yield batch


def _keep_refused(path: Path, batch: list[Event], error: Exception) -> None:
    _logger.warning("MLflow refuses an event of %s, kept in refused.jsonl: %s", path, error)
    with (path / "refused.jsonl").open("a", encoding="utf-8") as stream:
        stream.writelines(json.dumps({"kind": event.kind, **event.content}) + "\n" for event in batch)


def _status(path: Path) -> str | None:
    """What has become of the run that the journal at `path` tells of; None before its first word."""
    at = position(path)
    for event in events(path, at.end):
        at = replace(at, status=status_after(event, at.status))
    return at.status


def _end_if_abandoned(path: Path) -> None:
    """Write the end of a training that was killed before it could."""
    if _status(path) == "RUNNING":
        with _owned(path) as journal:
            if journal and _status(path) == "RUNNING":
                journal.append("tag", name=ERROR_TAG, value="the process ended without a word")
                journal.append("end", status="KILLED")


def _remove_if_done(path: Path) -> None:
    """Remove a journal that brought all; that of a training that may be resumed stays."""
    if position(path).status == "FINISHED":
        with _owned(path) as journal:
            if journal and not undelivered(path) and not (path / "refused.jsonl").exists():
                journal.remove()


@contextmanager
def _owned(path: Path) -> Iterator[Journal | None]:
    """The journal at `path`, or None where a training has it."""
    try:
        journal = Journal(path, patience_s=0)
    except BlockingIOError:
        yield None
        return
    try:
        yield journal
    finally:
        journal.close()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    deadline = time.monotonic() + _OTHERS_S
    with (folder / "courier.lock").open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    raise BlockingIOError(f"{folder}: another process delivers its journals; try again") from error
                time.sleep(0.05)
        yield
