"""What comes after a training: the evaluation of its bundle."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from skygen.files import make_folder, move
from skygen.tracking.parts import Part, current_part
from skygen.tracking.places import checkpoints
from skygen.tracking.publish import EVALUATION, publish_and_say
from skygen.tracking.record import FINISHED, SUFFIX, Record, Run, now_ms
from skygen.tracking.store import PART_TAG

_NAMED_BY = 16  # characters of a bundle's hash


def log_evaluation(
    tiles: str,
    recipe: str,
    seed: int,
    sha256: str,
    metrics: Mapping[str, float],
    artifacts: Sequence[Path],
    part: Part | None = None,
) -> None:
    """Add an evaluation's metrics and files to the run that made the bundle `sha256`, or to a new run without one.

    As a training does: through a record, so that a store that does not answer is none of the evaluation's business. In
    a `part`, that of the environment unless another is given, the run belongs to the one that it is a part of.
    """
    folder, part = checkpoints(), part or current_part()
    make_folder(folder)
    named = f"{EVALUATION}{sha256[:_NAMED_BY]}-{now_ms():013d}-{os.getpid()}{SUFFIX}"  # in their order, none alike
    with TemporaryDirectory(prefix=".skygen-", dir=folder) as temporary:
        record = Record(Path(temporary) / "record", Run(f"{tiles}-{recipe}-{seed}", sha256))
        if part:
            params = {"tiles": tiles, "recipe": recipe, "seed": str(seed)}
            record.begin(params=params, tags={PART_TAG: part.name}, parent=part.parent)
        else:
            record.begin()
        record.metrics({key.replace(".", "/"): value for key, value in metrics.items()}, step=0)
        for artifact in artifacts:
            record.artifact(artifact.read_bytes(), artifact.name)
        record.end(FINISHED)
        if record.folder.is_dir():
            move(record.folder, folder / named)
    publish_and_say(folder)
