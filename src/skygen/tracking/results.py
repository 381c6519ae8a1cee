"""What comes after a training: the evaluation of its bundle."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from skygen.tracking.delivery import EVALUATION, NAMED_BY, Courier
from skygen.tracking.journal import SUFFIX, Journal
from skygen.tracking.places import checkpoints
from skygen.tracking.run import say_what_waits


def log_evaluation(
    tiles: str, recipe: str, seed: int, sha256: str, metrics: Mapping[str, float], artifacts: Sequence[Path]
) -> None:
    """Add an evaluation's metrics and files to the run that made the bundle `sha256`, or to a new run without one.

    As a training does: through a journal, so that a store that does not answer is none of the evaluation's business.
    """
    journals = checkpoints()
    journal = Journal(journals / f"{EVALUATION}{sha256[:NAMED_BY]}{SUFFIX}")
    journal.append("evaluation", sha256=sha256, name=f"{tiles}-{recipe}-{seed}")
    journal.append("metrics", values={key.replace(".", "/"): float(value) for key, value in metrics.items()}, step=0)
    for artifact in artifacts:
        journal.append_file(artifact.read_bytes(), artifact.name)
    journal.append("done")
    journal.close()
    Courier(journals).finish()
    say_what_waits(journal.folder)
