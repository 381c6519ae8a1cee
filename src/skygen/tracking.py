"""MLflow: the runs of the experiment, their artifacts, and the registry of champions. The only file that imports it.

A run is found again by the hash of the bundle it made, never by a run id kept in an output: so DVC may restore outputs
on a machine whose MLflow store has never seen them.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.data.meta_dataset import MetaDataset
from mlflow.data.sources import LocalArtifactDatasetSource  # type: ignore[attr-defined] # made at import
from mlflow.entities import Run
from numpy.typing import NDArray
from packaging.requirements import Requirement

import skygen
from skygen.formats.png import contact_sheet

EXPERIMENT = "skygen"
STORE = "sqlite:///mlflow.db"
ALIAS = "champion"
_BUNDLE_TAG = "skygen.bundle_sha256"
_RESTORED_TAG = "skygen.restored"  # the run was trained elsewhere, and its bundle came through DVC
_MODEL = "bundle"


class TrainingRun:
    """An MLflow run that a training reports to."""

    def __init__(self, bands: Sequence[str]) -> None:
        self._bands = bands

    def metrics(self, values: Mapping[str, float], images_seen: int) -> None:
        """Log `values` at the step `images_seen`."""
        mlflow.log_metrics(dict(values), step=images_seen)

    def samples(self, flux_nmgy: NDArray[np.float32], images_seen: int) -> None:
        """Log tiles [N, bands, H, W] as a contact sheet."""
        mlflow.log_image(contact_sheet(flux_nmgy, self._bands), f"samples/{images_seen:09d}.png")

    def bundle(self, folder: Path, sha256: str, files: Sequence[Path]) -> None:
        """Log the finished bundle in `folder` as a model, tag the run with its hash, and log other `files`."""
        mlflow.set_tag(_BUNDLE_TAG, sha256)
        _log_model(folder)
        for file in files:
            mlflow.log_artifact(str(file))


@contextmanager
def training_run(
    name: str, params: Mapping[str, Any], tags: Mapping[str, str], data: Path, data_hash: str, bands: Sequence[str]
) -> Iterator[TrainingRun]:
    """A new MLflow run of the experiment with its parameters, tags and training data."""
    _use_experiment()
    with mlflow.start_run(run_name=name, tags=dict(tags)):
        mlflow.log_params(dict(params))
        source = LocalArtifactDatasetSource(str(data))
        dataset = MetaDataset(source, name=data.name, digest=data_hash[:36])  # type: ignore[abstract] # it is not
        mlflow.log_input(dataset, context="training")
        yield TrainingRun(bands)


def log_evaluation(
    tiles: str, recipe: str, seed: int, sha256: str, metrics: Mapping[str, float], artifacts: Sequence[Path]
) -> None:
    """Add an evaluation's metrics and files to the run that made the bundle `sha256`, or to a new run without one."""
    with mlflow.start_run(run_id=_run_of(sha256, f"{tiles}-{recipe}-{seed}").info.run_id):
        mlflow.log_metrics({key.replace(".", "/"): value for key, value in metrics.items()})
        for artifact in artifacts:
            mlflow.log_artifact(str(artifact))


def register_champion(tiles: str, recipe: str, seed: int, folder: Path, sha256: str) -> str:
    """Register the bundle in `folder`, whose hash is `sha256`, as `skygen-TILES@champion`; its version.

    A bundle that is registered already keeps its version, and the alias moves to it.
    """
    run = _run_of(sha256, f"{tiles}-{recipe}-{seed}")
    client, name = MlflowClient(), f"skygen-{tiles}"
    known = client.search_model_versions(f"name = '{name}'")
    version = next((entry.version for entry in known if entry.tags.get(_BUNDLE_TAG) == sha256), None)
    if version is None:
        if _RESTORED_TAG in run.data.tags:
            with mlflow.start_run(run_id=run.info.run_id):
                _log_model(folder)
        tags = {_BUNDLE_TAG: sha256, "recipe": recipe, "seed": str(seed)}
        version = mlflow.register_model(f"runs:/{run.info.run_id}/{_MODEL}", name, tags=tags).version
    client.set_registered_model_alias(name, ALIAS, version)
    return str(version)


def _use_experiment() -> str:
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        mlflow.set_tracking_uri(STORE)
    found = mlflow.get_experiment_by_name(EXPERIMENT)
    if found is None and mlflow.get_tracking_uri() == STORE:
        mlflow.create_experiment(EXPERIMENT, artifact_location=Path("mlartifacts").resolve().as_uri())
    return str(mlflow.set_experiment(EXPERIMENT).experiment_id)


def _run_of(sha256: str, name: str) -> Run:
    """The newest run that made the bundle `sha256`; a new one, tagged as restored, where the store holds none."""
    experiment, client = _use_experiment(), MlflowClient()
    found = client.search_runs([experiment], f"tags.`{_BUNDLE_TAG}` = '{sha256}'", max_results=1)
    if found:
        return found[0]
    with mlflow.start_run(run_name=name, tags={_BUNDLE_TAG: sha256, _RESTORED_TAG: "true"}) as run:
        return client.get_run(run.info.run_id)


def _log_model(folder: Path) -> None:
    mlflow.pyfunc.log_model(
        name=_MODEL,
        loader_module="skygen.bundle",
        data_path=str(folder),
        code_paths=[str(Path(skygen.__file__).parent)],
        pip_requirements=_requirements(),
    )


def _requirements() -> list[str]:
    """What a bundle needs to draw tiles, as installed here, without the names of local builds."""
    names = [Requirement(line).name for line in metadata.requires("skygen") or [] if "extra ==" not in line]
    return [f"{name}=={metadata.version(name).split('+')[0]}" for name in names]
