"""An MLflow store: what it does with the events of a journal, each of which may come twice and shows once."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelStatus, Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, RESOURCE_DOES_NOT_EXIST, ErrorCode
from packaging.requirements import Requirement

import skygen
from skygen.tracking.journal import METRICS, Event, Position, status_after
from skygen.tracking.places import LOCAL, artifacts_of, in_clone, keep_relative

EXPERIMENT = "skygen"
BUNDLE_TAG = "skygen.bundle_sha256"
RESTORED_TAG = "skygen.restored"  # the run was trained elsewhere, and its bundle came through DVC
KEY_TAG = "skygen.training"  # the hash of what was trained on what: names the checkpoint
JOURNAL_TAG = "skygen.journal"  # the journal that the run was reported through
ERROR_TAG = "skygen.error"
_MODEL = "bundle"
# MLflow's own limits keep a call waiting for a quarter of an hour. Who delivers tries again by itself.
_REQUEST_LIMITS = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}


def chosen_store() -> str:
    """The address of the store in use: `MLFLOW_TRACKING_URI`, or a file in the clone."""
    return in_clone(os.environ.get("MLFLOW_TRACKING_URI") or LOCAL)


def is_refused(error: Exception) -> bool:
    """Whether the store answered that it will never take this, so that trying again is no use."""
    return isinstance(error, MlflowException) and error.error_code == ErrorCode.Name(INVALID_PARAMETER_VALUE)


def is_unknown(error: Exception) -> bool:
    """Whether the store answered that it does not know the run: it is another one, or was made anew."""
    return isinstance(error, MlflowException) and error.error_code == ErrorCode.Name(RESOURCE_DOES_NOT_EXIST)


class Store:
    """The store at an address; every call raises `MlflowException` where it cannot be reached."""

    def __init__(self, uri: str) -> None:
        for name, value in _REQUEST_LIMITS.items():
            os.environ.setdefault(name, value)
        self.uri = uri
        self.client = MlflowClient(uri)
        found = self.client.get_experiment_by_name(EXPERIMENT)
        self.experiment = str(found.experiment_id if found else self._new_experiment())
        keep_relative(uri)

    def take(self, events: Sequence[Event], at: Position, files: Path) -> Position:
        """Where the journal stands after `events` (of one kind), whose files are in `files`."""
        event = events[0]
        if event.kind == "start":
            run = self._run_of_journal(event)
            known = at.last_step if at.run_id == run.info.run_id else self._last_step(run, event)
            at = replace(at, run_id=run.info.run_id, last_step=known)
        elif event.kind == "evaluation":
            at = replace(at, run_id=self.run_of(event.content["sha256"], event.content["name"]).info.run_id)
        elif at.run_id is None:
            raise ValueError(f"{files.parent}: its first event is {event.kind}, not the start of a run; remove it")
        elif event.kind in METRICS:
            self._log_metrics(at.run_id, events, at.last_step)
        else:
            self._add(at.run_id, event, files)
        return replace(at, store=self.uri, status=status_after(event, at.status), end=events[-1].end)

    def run_of(self, sha256: str, name: str) -> Run:
        """The run that trained the bundle `sha256`; where the store holds none, a run of its own, tagged as restored.

        A training that was reported after that is found in its place.
        """
        found = self._search(f"tags.`{BUNDLE_TAG}` = '{sha256}'")
        if found:
            return min(found, key=lambda run: RESTORED_TAG in run.data.tags)
        tags = {BUNDLE_TAG: sha256, RESTORED_TAG: "true"}
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

    def _run_of_journal(self, event: Event) -> Run:
        """The run that the journal began, or that a lost one began for the same checkpoint; else a new one.

        Raises `MlflowException` for a run that the journal has begun and that the store does not know.
        """
        content = event.content
        tags = {**content["tags"], KEY_TAG: content["key"], JOURNAL_TAG: content["journal"]}
        found = self._search(f"tags.`{JOURNAL_TAG}` = '{content['journal']}'")
        if not found and content["resumed"]:
            unfinished = f"tags.`{KEY_TAG}` = '{content['key']}' AND attributes.status != 'FINISHED'"
            found = self._search(unfinished)
        if not found and content["continues"]:
            raise MlflowException(f"the run of journal {content['journal']} is gone", RESOURCE_DOES_NOT_EXIST)
        if not found:
            return self.client.create_run(self.experiment, event.time_ms, tags, content["name"])
        run_id = found[0].info.run_id
        self.client.update_run(run_id, status="RUNNING")
        self.client.log_batch(run_id, tags=[RunTag(name, value) for name, value in tags.items()])
        if ERROR_TAG in found[0].data.tags:
            self.client.delete_tag(run_id, ERROR_TAG)
        return found[0]

    def _last_step(self, run: Run, start: Event) -> int:
        """The last step that a run has from another journal; -1 for a run of this one."""
        if run.data.tags.get(JOURNAL_TAG) == start.content["journal"]:
            return -1
        keys = [key for key in run.data.metrics if not key.startswith("system/")]
        histories = [self.client.get_metric_history(run.info.run_id, key) for key in keys]
        return max((metric.step for history in histories for metric in history), default=-1)

    def _log_metrics(self, run_id: str, events: Sequence[Event], last_step: int) -> None:
        metrics = [
            Metric(key, value, event.time_ms, event.content["step"])
            for event in events
            if event.kind == "system" or event.content["step"] > last_step
            for key, value in event.content["values"].items()
        ]
        self.client.log_batch(run_id, metrics=metrics)

    def _add(self, run_id: str, event: Event, files: Path) -> None:
        content: dict[str, Any] = event.content
        match event.kind:
            case "params":
                self.client.log_batch(run_id, params=[Param(key, value) for key, value in content["values"].items()])
            case "data":
                tags = [InputTag("mlflow.data.context", "training")]
                self.client.log_inputs(run_id, datasets=[DatasetInput(Dataset(**content), tags)])
            case "tag":
                self.client.set_tag(run_id, content["name"], content["value"])
            case "file":
                folder, _, name = content["name"].rpartition("/")
                self.client.log_artifact(run_id, str(files / content["place"] / folder / name), folder or None)
            case "bundle":
                self.client.set_tag(run_id, BUNDLE_TAG, content["sha256"])
                self.log_model(run_id, files / content["sha256"] / "bundle", content["sha256"])
            case "end":
                self.client.set_terminated(run_id, content["status"], event.time_ms)


def _requirements() -> list[str]:
    """What a bundle needs to draw tiles, as installed here, without the names of local builds."""
    names = [Requirement(line).name for line in metadata.requires("skygen") or [] if "extra ==" not in line]
    return [f"{name}=={metadata.version(name).split('+')[0]}" for name in names]
