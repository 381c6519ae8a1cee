"""Which run a stage's run is a part of, as `skygen folds` and `skygen paper` tell the stages that they run."""

import os
from typing import NamedTuple

VARIABLE = "SKYGEN_PART"  # of the environment


class Part(NamedTuple):
    """The id of the record of the run that others belong to, and which of them one is: a field, or a cell's name."""

    parent: str
    name: str

    def __str__(self) -> str:
        return f"{self.parent}/{self.name}"


def current_part() -> Part | None:
    """What the environment variable `SKYGEN_PART` says; None of a stage that is run by itself."""
    parent, _, name = os.environ.get(VARIABLE, "").partition("/")
    return Part(parent, name) if parent and name else None
