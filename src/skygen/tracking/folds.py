"""Which run of folds a stage belongs to, as `skygen folds` tells the stages that it runs."""

import os
from typing import NamedTuple

VARIABLE = "SKYGEN_FOLD"  # of the environment


class Fold(NamedTuple):
    """The id of the record of the run that the folds' runs belong to, and the field that tests in one of them."""

    parent: str
    field: str

    def __str__(self) -> str:
        return f"{self.parent}/{self.field}"


def current_fold() -> Fold | None:
    """What the environment variable `SKYGEN_FOLD` says; None outside of folds."""
    parent, _, field = os.environ.get(VARIABLE, "").partition("/")
    return Fold(parent, field) if parent and field else None
