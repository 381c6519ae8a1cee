"""What a store says of trainings, champions and the pipeline, for those who watch over them. Nothing is written to it.

The exporter tells it to Prometheus. What is a part of folds or of an experiment is left out: there, a training that
diverges is a result.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.entities import Experiment, Run
from mlflow.exceptions import MlflowException

from skygen.tracking.places import sqlite_file
from skygen.tracking.record import FAILED, RUNNING
from skygen.tracking.registry import ALIAS, MODEL
from skygen.tracking.store import BUNDLE_TAG, EXPERIMENT, PART_TAG, Store, chosen_store, limit_requests

NOT_FINITE = "not_finite"  # a tag of a training that had to end
TROUBLES = ("collapsed", "diverged", NOT_FINITE)  # the others are metrics of every measurement, 1 where it is so
MOST_RUNS = 200  # that are looked at: sets, recipes and seeds of some nights
_FINISHED_TAG = "skygen.pipeline_finished"  # of the experiment: seconds since 1970
_EVERY_MEASUREMENT = "iteration"  # a metric of each of a training's measurements; its step is the images seen


@dataclass(frozen=True)
class Champion:
    """The version of a tile set's model that has the alias."""

    tiles: str
    recipe: str
    sha256: str  # of its bundle
    version: str


@dataclass(frozen=True)
class Training:
    """The latest run of a tile set, recipe and seed; times in seconds since 1970."""

    tiles: str
    recipe: str
    seed: str
    status: str
    began: float
    ended: float | None
    reported: float  # the last time that it said something
    images: int
    troubles: frozenset[str]  # at its last measurement


@dataclass(frozen=True)
class Overview:
    """All that is told of a store."""

    champions: tuple[Champion, ...] = ()
    trainings: tuple[Training, ...] = ()
    finished: float | None = None  # when the pipeline last ran to its end; None where nobody ever said so


def note_finished(uri: str | None = None) -> None:
    """Note in the store at `uri`, or in the one in use, that the pipeline has run to its end.

    Raises `ConnectionError` where the store does not answer.
    """
    uri = uri or chosen_store()
    try:
        store = Store(uri)
        store.client.set_experiment_tag(store.experiment, _FINISHED_TAG, str(time.time()))
    except (MlflowException, OSError) as error:
        raise ConnectionError(f"{uri} does not answer as it should: {error}") from error


def read_overview(uri: str) -> Overview:
    """What the store at `uri` says. Raises `ConnectionError` where its file is missing, else whatever MLflow does."""
    file = sqlite_file(uri)
    if file is not None and not file.is_file():  # MLflow would begin one
        raise ConnectionError(f"{file} is missing")
    limit_requests()
    client = MlflowClient(uri)
    experiment: Experiment | None = client.get_experiment_by_name(EXPERIMENT)
    champions = tuple(_champions(client))
    if experiment is None:
        return Overview(champions)
    finished = experiment.tags.get(_FINISHED_TAG)
    return Overview(champions, tuple(_trainings(client, experiment)), float(finished) if finished else None)


def _champions(client: MlflowClient) -> Iterator[Champion]:
    for model in client.search_registered_models(f"name LIKE '{MODEL}%'"):
        if ALIAS in model.aliases:
            version = client.get_model_version(model.name, model.aliases[ALIAS])
            sha256, recipe = (version.tags.get(tag, "unknown") for tag in (BUNDLE_TAG, "recipe"))
            yield Champion(model.name.removeprefix(MODEL), recipe, sha256, str(version.version))


def _trainings(client: MlflowClient, experiment: Experiment) -> Iterator[Training]:
    """The latest one of each tile set, recipe and seed among the latest runs."""
    condition = f"tags.recipe IS NOT NULL AND tags.`{PART_TAG}` IS NULL"
    runs = client.search_runs(
        [experiment.experiment_id], condition, max_results=MOST_RUNS, order_by=["attributes.start_time DESC"]
    )
    told = set[tuple[str, str, str]]()
    for run in runs:
        training = _training(run)
        key = (training.tiles, training.recipe, training.seed)
        if key not in told:
            told.add(key)
            yield training


def _training(run: Run) -> Training:
    info, tags = run.info, run.data.tags
    reports = {one.key: one for one in run.data.to_proto().metrics}
    measured = reports.get(_EVERY_MEASUREMENT)
    troubles = {name for name in TROUBLES if name in reports and reports[name].value > 0}
    if info.status == FAILED and NOT_FINITE in tags:
        troubles.add(NOT_FINITE)
    return Training(
        tiles=tags.get("tiles", "unknown"),
        recipe=tags["recipe"],
        seed=run.data.params.get("seed", "unknown"),
        status=info.status,
        began=info.start_time / 1000,
        ended=info.end_time / 1000 if info.end_time and info.status != RUNNING else None,
        reported=max([info.start_time, *(one.timestamp for one in reports.values())]) / 1000,
        images=measured.step if measured else 0,
        troubles=frozenset(troubles),
    )
