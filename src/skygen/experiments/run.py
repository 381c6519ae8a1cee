"""`skygen paper`: the cells of an experiment that are not done, each taken by one process, and what all say."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path

from skygen import tracking
from skygen.children import sigterm_as_exit
from skygen.evaluation.scoring import entries
from skygen.experiments.cells import Cell, Cells, Result, value_of
from skygen.experiments.pictures import draw_arms
from skygen.experiments.spec import Experiment
from skygen.experiments.summary import logged, summarise, write_summary
from skygen.experiments.training import Clone
from skygen.files import make_folder
from skygen.locks import NoLockError, alone
from skygen.report.tables import number

Say = Callable[[str], None]
_PAUSE_S = 2.0  # between two looks whether another process has let go of a cell


def describe(experiments: Sequence[Experiment], clone: Clone) -> Iterator[str]:
    """A line an experiment: its names, how many of its cells are done, and its question."""
    for experiment in experiments:
        cells, done = Cells(experiment, clone), 0
        with suppress(FileNotFoundError):  # without tiles and controls none is
            done = sum(cell.result() is not None for cell in (*cells.first, *cells.again()))
        names = ", ".join([experiment.name, *experiment.spec.aliases])
        yield f"{names}: {done} of {cells.total} cells done. {experiment.spec.title}"


def run_experiment(experiment: Experiment, clone: Clone, say: Say) -> int:
    """Run the cells that nobody has done, until all are; write what they say; how many failed, for which others go on.

    As many processes as you like may do so at once, in clones of the same folder: a cell is taken by a lock that the
    kernel lets go of with its holder.
    """
    with sigterm_as_exit():
        return _Run(Cells(experiment, clone), say).run()


@dataclass
class _Run:
    cells: Cells
    say: Say
    failed: dict[str, str] = field(default_factory=dict)

    def run(self) -> int:
        """Take one cell after another."""
        self._report()  # so that MLflow knows the experiment before its cells
        waiting = waited = False
        while undone := [cell for cell in self._all() if cell.name not in self.failed and cell.result() is None]:
            if any([self._take(cell) for cell in undone]):  # noqa: C419 # each of them is to be tried
                waiting = False
                continue
            if not waiting:
                self.say(f"waiting for what other processes have: {', '.join(cell.name for cell in undone)}")
            waiting = waited = True
            time.sleep(_PAUSE_S)
        if waited:
            self._report()
        return len(self.failed)

    @cached_property
    def identity(self) -> str:
        """The id of the run in MLflow: it goes on while nothing changes that decides the first cells."""
        parts = [self.cells.experiment.name, *(cell.training.evaluation(cell.tiles) for cell in self.cells.first)]
        return sha256(" ".join(parts).encode()).hexdigest()[:32]

    def _all(self) -> list[Cell]:
        return [*self.cells.first, *self.cells.again()]

    def _take(self, cell: Cell) -> bool:
        """Run a cell unless another process has it; whether it was free."""
        training = cell.training
        make_folder(training.folder)
        try:
            with alone(training.folder / "lock", cell.name) as lock:
                if cell.result() is None:
                    part = tracking.Part(self.identity, self._part(cell))
                    self.say(_line(cell, training.run(cell.tiles, lock, {tracking.VARIABLE: str(part)})))
                    self._reported(cell).touch()
        except NoLockError:
            raise
        except BlockingIOError:
            return False
        except (OSError, ValueError) as error:
            self.failed[cell.name] = str(error)
            self.say(f"{cell.name}: {error}")
        self._report()
        return True

    def _part(self, cell: Cell) -> str:
        """The name of a cell among the parts of the run in MLflow; a training's bundles share it, as its runs do."""
        return f"{self.cells.experiment.name}-{cell.arm}-{cell.seed}"

    def _reported(self, cell: Cell) -> Path:
        """The file that is there once MLflow was told of a cell as one of this experiment."""
        return cell.training.folder / f"{cell.tiles}.{self.identity[:8]}.reported"

    def _report(self) -> None:
        """Write what the cells that are done say together, and tell MLflow, one process at a time."""
        experiment = self.cells.experiment
        make_folder(tracking.EXPERIMENTS)
        with alone(tracking.EXPERIMENTS / f"{experiment.name}.lock", f"the summary of {experiment.name}", wait=True):
            done = {cell: result for cell in self._all() if (result := cell.result())}
            content = summarise(experiment, self.cells.total, done, self.failed)
            files = [write_summary(experiment, content), *draw_arms(experiment, content, done)]
            params = {"experiment": experiment.name, "scale": experiment.params.scale}
            with tracking.parent_run(self.identity, f"paper {experiment.name}", params) as run:
                run.summary(dict(logged(content)), *files)
            for cell, result in done.items():
                self._tell(cell, result)

    def _tell(self, cell: Cell, result: Result) -> None:
        """Tell MLflow of a cell that was done for another experiment, or with another store."""
        if self._reported(cell).exists() or result["lost"]:
            return
        values = {
            f"{split}.{key}": metric["value"]
            for split in ("validation", "test")
            for key, metric in entries(result[split])
        }
        training, part = cell.training, tracking.Part(self.identity, self._part(cell))
        files = [training.metrics_file(cell.tiles)]
        tracking.log_evaluation(cell.tiles, training.recipe, cell.seed, result["bundle"], values, files, part)
        self._reported(cell).touch()


def _line(cell: Cell, result: Result) -> str:
    if result["lost"]:
        return f"{cell.name}: {result['minutes']:.1f} min, lost: {result['lost']}"
    kernel = value_of(result, "validation", "kernel")
    troubles = "".join(f", {name} after {images:.0f} images" for name, images in result["troubles"].items())
    return f"{cell.name}: {result['minutes']:.1f} min, kernel {number(kernel or 0.0)} on validation{troubles}"
