"""An MLflow store: what it takes of a record, each part of which may come twice and shows once."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

import mlflow
from mlflow import MlflowClient
from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    LifecycleStage,
    LoggedModelStatus,
    Metric,
    Param,
    Run,
    RunTag,
)
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, RESOURCE_DOES_NOT_EXIST, ErrorCode
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from packaging.requirements import Requirement

import skygen
from skygen.tracking.places import LOCAL, artifacts_of, in_clone, keep_relative
from skygen.tracking.record import FINISHED, RUNNING
from skygen.tracking.record import Run as Reported

EXPERIMENT = "skygen"
BUNDLE_TAG = "skygen.bundle_sha256"
RESTORED_TAG = "skygen.restored"  # the run was trained elsewhere, and its bundle came through DVC
KEY_TAG = "skygen.training"  # the hash of what was trained on what: names the checkpoint
PART_TAG = "skygen.part"  # which part of its parent's a run is: the field that tests, or a cell's name
RUN_TAG = "skygen.run"  # the id in the record that the run was reported through
LAST_STEP_TAG = "skygen.last_step"  # that the run had before the record that goes on with it
ERROR_TAG = "skygen.error"
SYSTEM = "system/"  # begins the names of what the machine did
_MODEL = "bundle"
_MOST_METRICS, _MOST_PARAMS = 1000, 100  # of a call
# MLflow's own limits keep a call waiting for a quarter of an hour. Publishing tries again by itself.
_REQUEST_LIMITS = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}

EntryT = TypeVar("EntryT")


def chosen_store() -> str:
    """The address of the store in use: `MLFLOW_TRACKING_URI`, or a file in the clone."""
    return in_clone(os.environ.get("MLFLOW_TRACKING_URI") or LOCAL)


def is_refused(error: Exception) -> bool:
    """Whether the store answered that it will never take this, so that trying again is no use."""
    return isinstance(error, MlflowException) and error.error_code == ErrorCode.Name(INVALID_PARAMETER_VALUE)


def is_unknown(error: Exception) -> bool:
    """Whether the store answered that it does not know the run: it is another one, or was made anew."""
    return isinstance(error, MlflowException) and error.error_code == ErrorCode.Name(RESOURCE_DOES_NOT_EXIST)


def limit_requests() -> None:
    """Have MLflow give up a request sooner than it would by itself, unless the environment says when."""
    for name, value in _REQUEST_LIMITS.items():
        os.environ.setdefault(name, value)


class Store:
    """The store at an address; every call raises `MlflowException` where it cannot be reached."""

    def __init__(self, uri: str) -> None:
        limit_requests()
        self.uri = uri
        self.client = MlflowClient(uri)
        found = self.client.get_experiment_by_name(EXPERIMENT)
        self.experiment = str(found.experiment_id if found else self._new_experiment())
        keep_relative(uri)

    def has(self, run_id: str) -> bool:
        """Whether the store knows a run, which was not deleted there."""
        try:
            return bool(run_id) and self.client.get_run(run_id).info.lifecycle_stage == LifecycleStage.ACTIVE
        except MlflowException as error:
            if is_unknown(error):
                return False
            raise

    def begin(self, run: Reported) -> tuple[str, int]:
        """The id of the run that a record is for, and the last step that it has from another record; -1 for none.

        It is the run that the record began, or that one before it began for the same checkpoint; else a new one.
        """
        found = self._search(f"tags.`{RUN_TAG}` = '{run.id}'")
        if found:
            return str(found[0].info.run_id), int(found[0].data.tags.get(LAST_STEP_TAG, -1))
        if run.resumed:
            found = self._search(f"tags.`{KEY_TAG}` = '{run.key}' AND attributes.status != '{FINISHED}'")
        tags = {KEY_TAG: run.key, RUN_TAG: run.id}
        if not found:
            return str(self.client.create_run(self.experiment, run.began_ms, tags, run.name).info.run_id), -1
        last_step = self._last_step(found[0])
        tags[LAST_STEP_TAG] = str(last_step)
        self.client.log_batch(found[0].info.run_id, tags=[RunTag(name, value) for name, value in tags.items()])
        return str(found[0].info.run_id), last_step

    def log_params(self, run_id: str, params: Mapping[str, str]) -> None:
        """Give a run its parameters."""
        entries = [Param(key, value) for key, value in params.items()]
        self._log_all(run_id, entries, _MOST_PARAMS, lambda some: self.client.log_batch(run_id, params=some))

    def log_data(self, run_id: str, data: Mapping[str, Any]) -> None:
        """Name the data set that a run was trained on."""
        tags = [InputTag("mlflow.data.context", "training")]
        self.client.log_inputs(run_id, datasets=[DatasetInput(Dataset(**data), tags)])

    def log_tag(self, run_id: str, name: str, value: str) -> None:
        """Tag a run."""
        self.client.set_tag(run_id, name, value)

    def log_parent(self, run_id: str, parent: str) -> None:
        """Put a run under that of the record with the id `parent`; raises `LookupError` where that is not there yet."""
        found = self._search(f"tags.`{RUN_TAG}` = '{parent}'")
        if not found:
            raise LookupError(f"the run that it is a part of, {parent}, is not published yet")
        self.client.set_tag(run_id, MLFLOW_PARENT_RUN_ID, found[0].info.run_id)

    def log_metrics(self, run_id: str, rows: Sequence[Mapping[str, Any]], last_step: int) -> None:
        """Add the lines of `metrics.jsonl` to a run that has all steps up to `last_step`."""
        metrics = [
            Metric(key, value, row["time_ms"], row["step"])
            for row in rows
            for key, value in row["values"].items()
            if row["step"] > last_step or key.startswith(SYSTEM)
        ]
        self._log_all(run_id, metrics, _MOST_METRICS, lambda some: self.client.log_batch(run_id, metrics=some))

    def log_file(self, run_id: str, path: Path, folder: Path) -> None:
        """Add a file to the `folder` of a run's artifacts."""
        self.client.log_artifact(run_id, str(path), None if folder == Path() else folder.as_posix())

    def log_bundle(self, run_id: str, folder: Path, sha256: str) -> None:
        """Tag a run with the hash of the bundle that it made, and log that in `folder` as its model."""
        self.client.set_tag(run_id, BUNDLE_TAG, sha256)
        self.log_model(run_id, folder, sha256)

    def log_status(self, run_id: str, run: Reported) -> None:
        """Say how a run stands, and why it did not finish."""
        if run.error:
            self.client.set_tag(run_id, ERROR_TAG, run.error)
        elif ERROR_TAG in self.client.get_run(run_id).data.tags:
            self.client.delete_tag(run_id, ERROR_TAG)
        if run.status == RUNNING:
            self.client.update_run(run_id, status=RUNNING)
        else:
            self.client.set_terminated(run_id, run.status, run.ended_ms)

    def run_of(self, sha256: str, name: str, part: str = "") -> Run:
        """The run that trained the bundle `sha256`; where the store holds none, a run of its own, tagged as restored.

        A training that was reported after that is found in its place. As a `part` of another run a bundle
        has another run than outside, and one for each `name`: so what is measured in several keeps all values.
        """
        found = self._search(f"tags.`{BUNDLE_TAG}` = '{sha256}'")
        found = [run for run in found if run.data.tags.get(PART_TAG, "") == part]
        found = [run for run in found if not part or run.info.run_name == name]
        if found:
            return min(found, key=lambda run: RESTORED_TAG in run.data.tags)
        tags = {BUNDLE_TAG: sha256, RESTORED_TAG: "true"} | ({PART_TAG: part} if part else {})
        run = self.client.create_run(self.experiment, tags=tags, run_name=name)
        self.client.set_terminated(run.info.run_id)
        return run

    def log_model(self, run_id: str, folder: Path, sha256: str) -> None:
        """Log the bundle in `folder` as a model of the run, once."""
        models = self.client.search_logged_models([self.experiment], f"source_run_id = '{run_id}'")
        for model in models:
            if model.status != LoggedModelStatus.READY:
                self.client.delete_logged_model(model.model_id)
            elif model.tags.get(BUNDLE_TAG) == sha256:
                return
        with self._as_the_process_s():
            Model.log(
                None,
                flavor=mlflow.pyfunc,
                name=_MODEL,
                run_id=run_id,
                tags={BUNDLE_TAG: sha256},
                loader_module="skygen.bundle",
                data_path=str(folder),
                code_paths=[str(Path(skygen.__file__).parent)],
                pip_requirements=_requirements(),
            )

    def register(self, run_id: str, name: str, tags: dict[str, str]) -> str:
        """Register the model of a run under a name; its version."""
        with self._as_the_process_s():
            return str(mlflow.register_model(f"runs:/{run_id}/{_MODEL}", name, tags=tags).version)

    @contextmanager
    def _as_the_process_s(self) -> Iterator[None]:
        """Models go to the store and the experiment that the whole process uses, and nowhere else."""
        former = os.environ.get("MLFLOW_TRACKING_URI")
        mlflow.set_tracking_uri(self.uri)
        try:
            mlflow.set_experiment(experiment_id=self.experiment)
            yield
        finally:
            mlflow.set_tracking_uri(former)  # type: ignore[arg-type] # None is none

    def _new_experiment(self) -> str:
        return str(self.client.create_experiment(EXPERIMENT, artifact_location=artifacts_of(self.uri)))

    def _search(self, condition: str) -> list[Run]:
        return list(self.client.search_runs([self.experiment], condition))

    def _log_all(
        self, run_id: str, entries: Sequence[EntryT], most: int, log: Callable[[Sequence[EntryT]], object]
    ) -> None:
        """`log` the entries, `most` in a call; where the store refuses some of them, all others, and raise why."""
        if len(entries) <= most:
            try:
                log(entries)
            except MlflowException as error:
                if not is_refused(error) or len(entries) == 1 or not self.has(run_id):
                    raise
            else:
                return
        refused: MlflowException | None = None
        for half in (entries[: len(entries) // 2], entries[len(entries) // 2 :]):
            try:
                self._log_all(run_id, half, most, log)
            except MlflowException as error:
                if not is_refused(error):
                    raise
                refused = error
        if refused:
            raise refused

    def _last_step(self, run: Run) -> int:
        keys = [key for key in run.data.metrics if not key.startswith(SYSTEM)]
        histories = [self.client.get_metric_history(run.info.run_id, key) for key in keys]
        return max((metric.step for history in histories for metric in history), default=-1)


def _requirements() -> list[str]:
    """What a bundle needs to draw tiles, as installed here, without the names of local builds."""
    names = [Requirement(line).name for line in metadata.requires("skygen") or [] if "extra ==" not in line]
    return [f"{name}=={metadata.version(name).split('+')[0]}" for name in names]
