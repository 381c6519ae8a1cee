"""MLflow: the runs of the experiment, their artifacts, and the registry of champions. The only room that imports it.

A run is found again by the hash of the bundle it made, never by a run id kept in an output: so DVC may restore outputs
on a machine whose MLflow store has never seen them. What is reported goes to a record first, so that nothing waits for
a server and nothing is lost without one.
"""

from skygen.tracking.folds import VARIABLE, Fold
from skygen.tracking.places import FOLDS, LOCAL, checkpoints, keep_relative
from skygen.tracking.publish import publish
from skygen.tracking.registry import Standing, contest, promote, register, standing_champion
from skygen.tracking.results import log_evaluation
from skygen.tracking.run import FoldsRun, TrainingRun, folds_run, training_run

__all__ = [
    "FOLDS",
    "LOCAL",
    "VARIABLE",
    "Fold",
    "FoldsRun",
    "Standing",
    "TrainingRun",
    "checkpoints",
    "contest",
    "folds_run",
    "keep_relative",
    "log_evaluation",
    "promote",
    "publish",
    "register",
    "standing_champion",
    "training_run",
]
