"""A training's run: what it reports goes to its record, and a thread publishes that."""

import io
import signal
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from mlflow.data.meta_dataset import MetaDataset
from mlflow.data.sources import LocalArtifactDatasetSource  # type: ignore[attr-defined] # made at import
from mlflow.tracking.context.registry import resolve_tags
from numpy.typing import NDArray

from skygen.children import sigterm_as_exit
from skygen.files import make_folder
from skygen.formats.png import contact_sheet, encode_png
from skygen.locks import NoLockError, alone
from skygen.tracking.curves import draw_curves
from skygen.tracking.machine import Machine
from skygen.tracking.parts import current_part
from skygen.tracking.places import checkpoints
from skygen.tracking.publish import PARENT, Publisher
from skygen.tracking.record import (
    FAILED,
    FINISHED,
    KILLED,
    RUNNING,
    SUFFIX,
    Record,
    Run,
    now_ms,
    read_metrics,
    unfinished,
)
from skygen.tracking.store import PART_TAG, SYSTEM

_LONGEST_ERROR = 1000  # characters of a tag
_MOMENT_S = 2.0


class TrainingRun:
    """What a training reports to: a call writes to disk and returns."""

    def __init__(self, record: Record, bands: Sequence[str], publisher: Publisher) -> None:
        self._record, self._bands, self._publisher = record, bands, publisher
        known, _ = read_metrics(record.folder)
        steps = (row["step"] for row in known if not any(key.startswith(SYSTEM) for key in row["values"]))
        self._reported = max(steps, default=-1)

    def metrics(self, values: Mapping[str, float], images_seen: int) -> None:
        """Log `values` at the step `images_seen`; what a resumed training measures again is logged once."""
        if images_seen > self._reported:
            self._record.metrics(values, images_seen)
            self._publisher.wake()

    def samples(self, flux_nmgy: NDArray[np.float32], images_seen: int) -> None:
        """Log tiles [N, bands, H, W] as a contact sheet."""
        picture = encode_png(contact_sheet(flux_nmgy, self._bands))
        self._record.artifact(picture, f"samples/{images_seen:09d}.png")
        self._publisher.wake()

    def tag(self, name: str, value: str) -> None:
        """Tag the run; a later value takes the place of an earlier one."""
        self._record.tag(name, value)
        self._publisher.wake()

    def curves(self, history: Sequence[Mapping[str, float]]) -> None:
        """Log the learning curves of a `history`, whose rows hold `images_seen` and what was measured then."""
        picture = io.BytesIO()
        draw_curves(history).savefig(picture, format="png")
        self._record.artifact(picture.getvalue(), "curves.png")

    def bundle(self, folder: Path, sha256: str, files: Sequence[Path]) -> None:
        """Log the finished bundle in `folder` as a model, tag the run with its hash, and log other `files`."""
        self._record.add_bundle(folder, sha256)
        for file in files:
            self._record.artifact(file.read_bytes(), file.name)


@contextmanager
def training_run(
    checkpoint: Path,
    name: str,
    params: Mapping[str, Any],
    tags: Mapping[str, str],
    data: Path,
    data_hash: str,
    bands: Sequence[str],
) -> Iterator[TrainingRun]:
    """The MLflow run of the training that `checkpoint` belongs to: a new one, or that which it began and did not end.

    No call waits for MLflow; the end does, for as long as it answers. The run ends as FINISHED, by an error as FAILED,
    by an interrupt or SIGTERM as KILLED. Raises `BlockingIOError` where another process trains the same.
    """
    make_folder(checkpoint.parent)
    with _owned(checkpoint), sigterm_as_exit():
        record, part = _record(checkpoint, name), current_part()
        of_part = {PART_TAG: part.name} if part else {}
        record.begin(
            params={key: str(value) for key, value in params.items()},
            tags=resolve_tags({**tags, **of_part}),
            data=_dataset(data, data_hash),
            parent=part.parent if part else "",
        )
        with _published(record) as publisher:

            def report(values: Mapping[str, float], step: int) -> None:
                record.metrics(values, step)
                publisher.wake()

            machine = Machine(record.run.began_ms, report)
            try:
                yield TrainingRun(record, bands, publisher)
            finally:
                machine.stop()


class ParentRun:
    """What its parts, folds or cells, report together: a call writes to disk and returns."""

    def __init__(self, record: Record, publisher: Publisher) -> None:
        self._record, self._publisher = record, publisher

    def summary(self, values: Mapping[str, float], *files: Path) -> None:
        """Log what the parts say together, and the files that say and show it; a later summary is the newer one."""
        self._record.metrics(values, step=0)
        for file in files:
            self._record.artifact(file.read_bytes(), file.name)
        self._publisher.wake()


@contextmanager
def parent_run(identity: str, name: str, params: Mapping[str, Any]) -> Iterator[ParentRun]:
    """The MLflow run that those of its parts belong to: `identity`, a hash, names it, and the same goes on with it.

    Its end is as a training's. Raises `BlockingIOError` where another process has it.
    """
    folder, key = checkpoints(), f"{PARENT}{identity[:16]}"
    make_folder(folder)
    with _owned(folder / key), sigterm_as_exit():
        record = Record(folder / f"{key}{SUFFIX}", Run(name, id=identity, key=key, began_ms=now_ms()))
        record.begin(params={key: str(value) for key, value in params.items()}, tags=resolve_tags())
        with _published(record) as publisher:
            yield ParentRun(record, publisher)


@contextmanager
def _published(record: Record) -> Iterator[Publisher]:
    """Publish a record while the block goes on, say in it how that ended, and publish the rest."""
    publisher = Publisher(record)
    try:
        yield publisher
        record.end(FINISHED)
    except BaseException as error:
        record.end(FAILED if isinstance(error, Exception) else KILLED, _reason(error))
        raise
    finally:
        publisher.finish()


@contextmanager
def _owned(checkpoint: Path) -> Iterator[None]:
    """Hold the training of `checkpoint`: who ends an abandoned record has it for a moment, a training for hours."""
    deadline = time.monotonic() + _MOMENT_S
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(alone(checkpoint.with_suffix(".lock"), str(checkpoint)))
                break
            except NoLockError:
                raise
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        yield


def _record(checkpoint: Path, name: str) -> Record:
    """The record that goes on with the checkpoint; a new one where there is none, whatever was begun before."""
    key, folder = checkpoint.stem, checkpoint.parent
    kept = any(path.is_file() for path in (checkpoint, checkpoint.with_suffix(f".previous{checkpoint.suffix}")))
    begun, identity = unfinished(folder, key), uuid.uuid4().hex
    if begun and kept:
        return begun
    if begun and begun.run.status == RUNNING:
        begun.end(KILLED, "the process ended without a word")
    run = Run(name, id=identity, key=key, began_ms=now_ms(), resumed=kept)
    return Record(folder / f"{key}-{identity[:8]}{SUFFIX}", run)


def _dataset(data: Path, data_hash: str) -> dict[str, Any]:
    source = LocalArtifactDatasetSource(str(data))
    return MetaDataset(source, name=data.name, digest=data_hash[:36]).to_dict()  # type: ignore[abstract] # it is not


def _reason(error: BaseException) -> str:
    if isinstance(error, SystemExit) and error.code == 128 + signal.SIGTERM:
        return "SIGTERM"
    return f"{type(error).__name__}: {error}"[:_LONGEST_ERROR]
