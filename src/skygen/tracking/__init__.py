"""MLflow: the runs of the experiment, their artifacts, and the registry of champions. The only room that imports it.

A run is found again by the hash of the bundle it made, never by a run id kept in an output: so DVC may restore outputs
on a machine whose MLflow store has never seen them. What is reported goes to a record first, so that nothing waits for
a server and nothing is lost without one.
"""

from skygen.tracking.audit import NOT_PROMOTED, REFUSED, Audit, Entry, checked_why
from skygen.tracking.champions import (
    NoChampionError,
    Registered,
    Version,
    fetch_version,
    promote,
    registered,
    registered_sets,
    roll_back,
    write_entry,
)
from skygen.tracking.copies import Copy, copies
from skygen.tracking.parts import VARIABLE, Part
from skygen.tracking.places import (
    EXPERIMENTS,
    FOLDS,
    LOCAL,
    artifacts_beside,
    checkpoints,
    keep_relative,
    sqlite_file,
)
from skygen.tracking.publish import publish
from skygen.tracking.registry import Standing, contest, register, standing_champion, tag_challenge
from skygen.tracking.results import log_evaluation
from skygen.tracking.run import ParentRun, TrainingRun, parent_run, training_run
from skygen.tracking.store import chosen_store

__all__ = [
    "EXPERIMENTS",
    "FOLDS",
    "LOCAL",
    "NOT_PROMOTED",
    "REFUSED",
    "VARIABLE",
    "Audit",
    "Copy",
    "Entry",
    "NoChampionError",
    "ParentRun",
    "Part",
    "Registered",
    "Standing",
    "TrainingRun",
    "Version",
    "artifacts_beside",
    "checked_why",
    "checkpoints",
    "chosen_store",
    "contest",
    "copies",
    "fetch_version",
    "keep_relative",
    "log_evaluation",
    "parent_run",
    "promote",
    "publish",
    "register",
    "registered",
    "registered_sets",
    "roll_back",
    "sqlite_file",
    "standing_champion",
    "tag_challenge",
    "training_run",
    "write_entry",
]
