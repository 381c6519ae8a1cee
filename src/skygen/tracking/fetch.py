"""Bundles as the registry gives them back, and what is not there told from what cannot be reached."""

import logging
import os
from pathlib import Path

from mlflow import artifacts
from mlflow.entities.model_registry import ModelVersion

from skygen.tracking.places import path_of
from skygen.tracking.store import Store

_BELOW_ROOT = 4  # parts of a bundle's place below that of its experiment: models/ID/artifacts/data
_WEIGHTS = "*.safetensors"  # of a bundle, wherever the store put it
_logger = logging.getLogger(__name__)


def fetch(store: Store, entry: ModelVersion, folder: Path) -> Path | None:
    """The bundle of a version, fetched below `folder`; None where it is lost: its store is there, its files are not.

    Raises `ConnectionError` where the place of the store's artifacts cannot be reached from here.
    """
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    named = f"version {entry.version} of {entry.name}"
    place = f"{store.client.get_model_version_download_uri(entry.name, entry.version)}/data"
    root = place.rsplit("/", _BELOW_ROOT)[0]
    try:
        files, others = (artifacts.list_artifacts(artifact_uri=uri, tracking_uri=store.uri) for uri in (place, root))
        if files:
            artifacts.download_artifacts(artifact_uri=place, dst_path=str(folder), tracking_uri=store.uri)
    except Exception as error:  # each kind of place has its own
        raise ConnectionError(_not_here(named, root, str(error))) from error
    if not (files or others):
        raise ConnectionError(_not_here(named, root, "nothing is there"))
    bundle = bundle_below(folder)
    if bundle is None:
        _logger.warning("%s is lost: %s is there, the files of its bundle below %s are not", named, root, place)
    return bundle


def bundle_below(folder: Path) -> Path | None:
    """The bundle somewhere in what a store handed out; None where there is none."""
    return next((path.parent for path in sorted(folder.rglob(_WEIGHTS))), None)


def _not_here(named: str, root: str, cause: str) -> str:
    where = Path(path_of(root)).absolute() if ":" not in path_of(root) else root
    return (
        f"the files of {named} lie in {where}, which cannot be reached from here ({cause}); mount or bring back that "
        "folder or server, or, if it is gone for good, delete that version"
    )
