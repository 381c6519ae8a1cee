"""What may go, since no training, fold, experiment, commit or process needs it. MLflow's store is never touched."""

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from skygen import tracking
from skygen.experiments.cells import Cells
from skygen.experiments.spec import read_experiments
from skygen.experiments.training import Clone
from skygen.locks import alone
from skygen.params import Params
from skygen.sky.manifest import Manifest
from skygen.upkeep.dvc import Objects
from skygen.upkeep.unused import DAY_S, unused_objects

_BENTOS = Path(".bento")  # a folder for each `make serve`, named after its process


@dataclass(frozen=True)
class Waste:
    """Files or folders that may go, why, and the lock that whoever uses them would hold."""

    paths: Sequence[Path]
    why: str
    lock: Path | None = None

    def __str__(self) -> str:
        first, *others = self.paths
        more = f" and {len(others)} more" if others else ""
        return f"{first}{more}, {self.bytes / 1e6:.1f} MB: {self.why}"

    @property
    def bytes(self) -> int:
        """How much of the disk they take."""
        return sum(_size(path) for path in self.paths)

    @property
    def is_free(self) -> bool:
        """Whether no process holds them."""
        with suppress(BlockingIOError), self._held():
            return True
        return False

    def discard(self) -> None:
        """Remove them; raises `BlockingIOError` where a process holds them by now."""
        with self._held():
            for path in self.paths:
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)

    @contextmanager
    def _held(self) -> Iterator[None]:
        if self.lock is None:
            yield
            return
        with alone(self.lock, str(self.paths[0])):
            yield


def find_waste(params: Params, days: float) -> Iterator[Waste]:
    """All that may go and that no process holds: old where it has not been used for `days`.

    Raises `FileNotFoundError` where there are experiments and no tiles, by which the cells in use are known;
    `UnusedError` where it cannot be told what of the cache is in use.
    """
    for waste in (*_checkpoints(days), *_experiments(params, days), *_folds(days), *_bentos(), *_cached(days)):
        if waste.is_free:
            yield waste


def _checkpoints(days: float) -> Iterator[Waste]:
    """Those that nobody has gone on with: a training that finishes removes its own."""
    groups: dict[str, list[Path]] = {}
    for path in sorted(tracking.checkpoints().glob("*.pt")):
        groups.setdefault(path.name.partition(".")[0], []).append(path)
    for key, paths in groups.items():
        if _is_old(paths, days):
            lock = tracking.checkpoints() / f"{key}.lock"
            yield Waste(paths, f"a training that nobody went on with for {days:g} days", lock)


def _experiments(params: Params, days: float) -> Iterator[Waste]:
    """Trainings of cells that, as code, data and parameters are now, no experiment has."""
    folders = [path for path in sorted(tracking.EXPERIMENTS.glob("*")) if path.is_dir()]
    if not folders:
        return
    clone, used = Clone(params), set[Path]()
    for experiment in read_experiments(params).values():
        cells = Cells(experiment, clone)
        used |= {cell.training.folder for cell in (*cells.first, *cells.again())}
    for folder in folders:
        if folder not in used and _is_old([folder], days):
            yield Waste([folder], f"no experiment has it now, nor had for {days:g} days", folder / "lock")


def _folds(days: float) -> Iterator[Waste]:
    """Folds whose field is not among the frames."""
    folders = [path for path in sorted(tracking.FOLDS.glob("*")) if path.is_dir()]
    frames = Path("data/frames")
    if not (folders and frames.is_dir()):
        return
    fields = {str(row.field_id) for row in Manifest.read(frames).frames}
    for folder in folders:
        if folder.name not in fields and _is_old([folder], days):
            yield Waste([folder], f"{frames} has no such field", tracking.FOLDS / "lock")


def _bentos() -> Iterator[Waste]:
    """Those of services that have ended."""
    for folder in sorted(_BENTOS.glob("*")):
        if not (folder.name.isdigit() and psutil.pid_exists(int(folder.name))):
            yield Waste([folder], "its service has ended")


def _cached(days: float) -> Iterator[Waste]:
    """What the cache holds for nobody, as one."""
    if paths := unused_objects(Objects.cache(), days):
        yield Waste(paths, "neither the workspace, a fold nor a commit names it")


def _is_old(paths: Sequence[Path], days: float) -> bool:
    """Whether no file was written for so long; a folder's own time changes with each lock in it."""
    files = (place for path in paths for place in (path, *path.rglob("*")) if not place.is_dir())
    return max((file.lstat().st_mtime for file in files), default=0) < time.time() - days * DAY_S


def _size(path: Path) -> int:
    """Of a file, or of all in a folder; links take none."""
    return sum(
        place.lstat().st_size for place in (path, *path.rglob("*")) if place.is_file() and not place.is_symlink()
    )
