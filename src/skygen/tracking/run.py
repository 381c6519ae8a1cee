"""A training's run: what it reports goes to its journal, and a thread brings it to MLflow."""

import io
import logging
import shutil
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mlflow.data.meta_dataset import MetaDataset
from mlflow.data.sources import LocalArtifactDatasetSource  # type: ignore[attr-defined] # made at import
from mlflow.tracking.context.registry import resolve_tags
from numpy.typing import NDArray

from skygen.formats.png import contact_sheet, encode_png
from skygen.tracking.curves import draw_curves
from skygen.tracking.delivery import Courier
from skygen.tracking.journal import SUFFIX, Journal, events, undelivered
from skygen.tracking.machine import Machine
from skygen.tracking.store import ERROR_TAG

_LONGEST_ERROR = 1000  # characters of a tag
_logger = logging.getLogger(__name__)


class TrainingRun:
    """What a training reports to: a call writes to disk and returns."""

    def __init__(self, journal: Journal, bands: Sequence[str], reported: int, wake: Callable[[], None]) -> None:
        """Report to `journal` what was not `reported` yet: what comes after these images seen."""
        self._journal, self._bands, self._reported, self._wake = journal, bands, reported, wake

    def metrics(self, values: Mapping[str, float], images_seen: int) -> None:
        """Log `values` at the step `images_seen`; what a resumed training measures again is logged once."""
        if images_seen > self._reported:
            self._journal.append(
                "metrics", values={key: float(value) for key, value in values.items()}, step=int(images_seen)
            )
            self._wake()

    def samples(self, flux_nmgy: NDArray[np.float32], images_seen: int) -> None:
        """Log tiles [N, bands, H, W] as a contact sheet."""
        picture = encode_png(contact_sheet(flux_nmgy, self._bands))
        self._journal.append_file(picture, f"samples/{images_seen:09d}.png")
        self._wake()

    def tag(self, name: str, value: str) -> None:
        """Tag the run; a later value takes the place of an earlier one."""
        self._journal.append("tag", name=name, value=value)
        self._wake()

    def curves(self, history: Sequence[Mapping[str, float]]) -> None:
        """Log the learning curves of a `history`, whose rows hold `images_seen` and what was measured then."""
        picture = io.BytesIO()
        draw_curves(history).savefig(picture, format="png")
        self._journal.append_file(picture.getvalue(), "curves.png")

    def bundle(self, folder: Path, sha256: str, files: Sequence[Path]) -> None:
        """Log the finished bundle in `folder` as a model, tag the run with its hash, and log other `files`."""
        with self._journal.lossy():
            shutil.copytree(folder, self._journal.folder / "files" / sha256 / "bundle", dirs_exist_ok=True)
            self._journal.append("bundle", sha256=sha256)
        for file in files:
            self._journal.append_file(file.read_bytes(), file.name)


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

    No call waits for MLflow, but the end does, as `Courier.finish` says. The run ends as FINISHED, by an error as
    FAILED, by an interrupt or SIGTERM as KILLED. Raises `BlockingIOError` where another process trains the same.
    """
    journal = Journal(checkpoint.with_suffix(SUFFIX))
    run = _run_in(journal.folder)
    found_by = {"journal": run.identity, "continues": run.continues, "key": checkpoint.stem}
    described = {"name": name, "tags": resolve_tags(dict(tags))}
    journal.append("start", **found_by, resumed=checkpoint.is_file(), **described)
    journal.append("params", values={key: str(value) for key, value in params.items()})
    journal.append("data", **_dataset(data, data_hash))
    courier = Courier(journal.folder.parent)
    machine = Machine(journal, run.began_ms, courier.wake)
    try:
        with _sigterm_as_exit():
            yield TrainingRun(journal, bands, run.reported, courier.wake)
            _end(journal, machine, "FINISHED")
    except BaseException as error:
        journal.append("tag", name=ERROR_TAG, value=_reason(error))
        _end(journal, machine, "FAILED" if isinstance(error, Exception) else "KILLED")
        raise
    finally:
        journal.close()
        courier.finish()
        say_what_waits(journal.folder)


def say_what_waits(folder: Path) -> None:
    """Warn of events that no store has taken yet."""
    if waiting := undelivered(folder):
        text = "%d events are not in MLflow yet: they wait in %s for the next training, evaluation or `skygen publish`"
        _logger.warning(text, waiting, folder)


@dataclass
class _Run:
    identity: str
    began_ms: int  # since 1970
    reported: int = -1  # images seen of the last metrics
    continues: bool = False


def _run_in(folder: Path) -> _Run:
    """The run in a journal that did not finish; a new one where there is none."""
    run = None
    for event in events(folder):
        if event.kind == "start" and not event.content["continues"]:
            run = _Run(event.content["journal"], event.time_ms, continues=True)
        elif event.kind == "metrics" and run:
            run.reported = max(run.reported, event.content["step"])
        elif event.kind == "end" and event.content["status"] == "FINISHED":
            run = None
    return run or _Run(uuid.uuid4().hex, time.time_ns() // 1_000_000)


def _dataset(data: Path, data_hash: str) -> dict[str, Any]:
    source = LocalArtifactDatasetSource(str(data))
    return MetaDataset(source, name=data.name, digest=data_hash[:36]).to_dict()  # type: ignore[abstract] # it is not


def _end(journal: Journal, machine: Machine, status: str) -> None:
    machine.stop()
    journal.append("end", status=status)


def _reason(error: BaseException) -> str:
    if isinstance(error, SystemExit) and error.code == 128 + signal.SIGTERM:
        return "SIGTERM"
    return f"{type(error).__name__}: {error}"[:_LONGEST_ERROR]


@contextmanager
def _sigterm_as_exit() -> Iterator[None]:
    """SIGTERM ends the block by `SystemExit`, so that what must be written is; only the main thread can ask for it."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
