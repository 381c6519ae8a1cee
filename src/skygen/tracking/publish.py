"""Publishing: records are brought to a store. Again changes nothing, and what fails is left for the next time."""

import json
import logging
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from mlflow.exceptions import MlflowException

from skygen.files import read_json, write_json
from skygen.locks import NoLockError, alone
from skygen.tracking.record import FINISHED, KILLED, RUNNING, SUFFIX, Record, Run, read_metrics, read_run
from skygen.tracking.store import PART_TAG, Store, chosen_store, is_refused

EVALUATION = "evaluation-"  # begins the names of records that add to a training's run
PARENT = "parent-"  # and of those that others belong to
PATIENCE_S = 120.0  # for the last of a run to be taken by a store that answers; a request of its own has 10 s
_SILENT_S = 3.0  # of which it is waited without a word
_PUBLISHED = ".published"  # ends the names of records that are being removed
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 60.0  # between two tries
_logger = logging.getLogger(__name__)


class UnreachableStoreError(ConnectionError):
    """A store does not answer at all."""


def publish(folder: Path, uri: str | None = None) -> int:
    """Bring the records in `folder` to the store at `uri`, or to the one in use; how many of them waited.

    A record that was begun for another store goes there from its start. Those that another process has at hand are left
    to it. One that cannot be published is left for later, and so are the evaluations of its bundle, which belong to its
    run; all others go on. Raises `ConnectionError` at the end, which names each with the cause.
    """
    store, waited, failed, held = uri or chosen_store(), 0, list[str](), set[str]()
    for left in folder.glob(f"*{_PUBLISHED}"):
        shutil.rmtree(left, ignore_errors=True)
    for path in sorted(folder.glob(f"*{SUFFIX}"), key=_turn):
        bundle = ""
        try:
            bundle = read_run(path).bundle
            if not (path.name.startswith(EVALUATION) and bundle in held):
                waited += publish_record(path, store)
        except Exception as error:  # whatever a store, the way to it, or a damaged record comes up with
            if isinstance(error, FileNotFoundError) and not path.exists():  # another process published and removed it
                continue
            held.add(bundle)
            if isinstance(error, BlockingIOError) and not isinstance(error, NoLockError):  # another has it at hand
                continue
            failed.append(f"{store}: {error}; not published: {path}")
            if isinstance(error, UnreachableStoreError):
                break
    if failed:
        raise ConnectionError("\n".join(failed))
    return waited


def _turn(record: Path) -> tuple[bool, bool, str]:
    """Parents first, evaluations last."""
    return record.name.startswith(EVALUATION), not record.name.startswith(PARENT), record.name


def publish_record(folder: Path, uri: str, run: Run | None = None, *, wait: bool = False) -> bool:
    """Bring the record in `folder` to the store at `uri`; whether anything waited. One that has ended well is removed.

    `run` is what its training knows of it, where it still goes on. Raises `BlockingIOError` where another process does
    the same, or waits for its end; and whatever the store comes up with.
    """
    with alone(folder / "publish.lock", f"{uri} with what lies in {folder}", wait=wait):
        run = run or _ended_if_abandoned(folder)
        published = _read_published(folder, uri)
        waited = any(published.done.get(part) != state for part, state, _ in _parts(folder, run, published))
        if waited:
            published = _bring(folder, run, published)
        if run.status == FINISHED and not published.refused:
            gone = folder.with_suffix(_PUBLISHED)
            folder.rename(gone)  # in one step, whatever ends this process in the next
            shutil.rmtree(gone)
        return waited


def publish_and_say(folder: Path) -> None:
    """Publish the records in `folder`, and warn of what could not be."""
    try:
        publish(folder)
    except OSError as error:
        _say(error)


class Publisher:
    """A thread that publishes a run as it goes on, and once what others left beside it."""

    def __init__(self, record: Record) -> None:
        self._record, self._failing = record, False
        self._woken, self._ending = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name="publisher", daemon=True)  # a server holds no stage
        self._thread.start()

    def wake(self) -> None:
        """Say that there is more."""
        self._woken.set()

    def finish(self) -> None:
        """Publish the rest; where the store does not answer, or takes too long, that waits for the next stage.

        So does what an interrupt leaves: a training that is done is not undone by the wait for a server.
        """
        self._ending.set()
        self._woken.set()
        try:
            self._thread.join(_SILENT_S)
            if self._thread.is_alive():
                _logger.warning("waiting for %s, for %g s at most", chosen_store(), PATIENCE_S)
                self._thread.join(PATIENCE_S)
            if self._thread.is_alive():
                _say(f"{chosen_store()} is slow; not published to the end: {self._record.folder}")
        except (KeyboardInterrupt, SystemExit):
            _say(f"interrupted; not published to the end: {self._record.folder}")

    def _work(self) -> None:
        publish_and_say(self._record.folder.parent)
        pause, ending = _FIRST_PAUSE_S, False
        while not ending:
            ending = self._ending.is_set()
            self._woken.clear()
            if self._publish(ending):
                pause = _FIRST_PAUSE_S
                if not ending:
                    self._woken.wait()
            else:
                self._ending.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_S)

    def _publish(self, last: bool) -> bool:
        folder = self._record.folder
        try:
            publish_record(folder, chosen_store(), self._record.run, wait=last)
        except Exception as error:  # as in `publish`
            if isinstance(error, FileNotFoundError) and not folder.exists():
                return True
            if last or not self._failing:
                _say(f"{error}; not published: {folder}")
            self._failing = True
        else:
            self._failing = False
        return not self._failing


def _say(reason: object) -> None:
    text = "MLflow has not all that was reported: %s\nThe next training, evaluation or `skygen publish` tries again"
    _logger.warning(text, reason)


@dataclass
class _Published:
    """What `published.json` holds: how much of a record a store has."""

    store: str
    run_id: str = ""
    last_step: int = -1  # that the run had before this record, which goes on with another
    done: dict[str, str] = field(default_factory=dict)  # a part of the record → its state when the store took it
    refused: list[str] = field(default_factory=list)  # parts that the store will never take


def _read_published(folder: Path, uri: str) -> _Published:
    with suppress(FileNotFoundError, ValueError, TypeError):  # where it is lost, all is brought again
        found = _Published(**read_json(folder / "published.json"))
        if found.store == uri:
            return found
    return _Published(uri)


def _ended_if_abandoned(folder: Path) -> Run:
    """The run of a record; that of a training which was killed before it could say so has ended."""
    run = read_run(folder)
    if run.id and run.status == RUNNING:
        with suppress(BlockingIOError), alone(folder.with_name(f"{run.key}.lock"), run.key):
            record = Record(folder, read_run(folder))
            if record.run.status == RUNNING:
                record.end(KILLED, "the process ended without a word")
            return record.run
    return run


def _bring(folder: Path, run: Run, published: _Published) -> _Published:
    try:
        store = Store(published.store)
    except Exception as error:
        raise UnreachableStoreError(error) from error
    if not run.id:
        run_id = store.run_of(run.bundle, run.name, run.tags.get(PART_TAG, "")).info.run_id
        if run_id != published.run_id:
            published = _Published(published.store, run_id)
    elif not store.has(published.run_id):  # it is new there, or was lost and is told again
        run_id, last_step = store.begin(run)
        published = _Published(published.store, run_id, last_step)
    for part, state, send in _parts(folder, run, published):
        if published.done.get(part) == state:
            continue
        published.refused = [one for one in published.refused if one != part]
        try:
            send(store)
        except MlflowException as error:
            if not is_refused(error) or not store.has(published.run_id):  # it was deleted: told again the next time
                raise
            _logger.warning("MLflow refuses %s of %s, which stays there: %s", part, folder, error)
            published.refused.append(part)
        published.done[part] = state
        with suppress(OSError):  # a full disk: it is brought again
            write_json(folder / "published.json", asdict(published))
    return published


def _parts(folder: Path, run: Run, published: _Published) -> Iterator[tuple[str, str, Callable[[Store], None]]]:
    """The parts of a record in their order: a name, how it is now, and what brings it to a store."""
    run_id = published.run_id
    if run.params:
        yield "params", json.dumps(run.params), lambda store: store.log_params(run_id, run.params)
    if run.data:
        yield "data", json.dumps(run.data), lambda store: store.log_data(run_id, run.data)
    for name, value in list(run.tags.items()):
        yield f"tag {name}", value, partial(Store.log_tag, run_id=run_id, name=name, value=value)
    new, end = read_metrics(folder, int(published.done.get("metrics", 0)))
    yield "metrics", str(end), lambda store: store.log_metrics(run_id, new, published.last_step)
    artifacts = folder / "artifacts"
    for path in sorted(artifacts.rglob("*")):
        if path.is_file() and not path.name.startswith("."):  # which is still being written
            place = path.relative_to(artifacts)
            send = partial(Store.log_file, run_id=run_id, path=path, folder=place.parent)
            yield f"artifact {place}", str(path.stat().st_mtime_ns), send
    if run.parent:
        yield "parent", run.parent, lambda store: store.log_parent(run_id, run.parent)
    if run.id:
        if run.bundle:
            yield "bundle", run.bundle, lambda store: store.log_bundle(run_id, folder / "bundle", run.bundle)
        yield "status", f"{run.status} {run.error}", lambda store: store.log_status(run_id, run)
