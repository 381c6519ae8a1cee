"""The registry's own copies of bundles, hashed: whether what was registered is still what is there."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow import artifacts
from mlflow.exceptions import MlflowException

from skygen.files import sha256_folder
from skygen.tracking.fetch import bundle_below
from skygen.tracking.places import sqlite_file
from skygen.tracking.registry import MODEL, answering
from skygen.tracking.store import BUNDLE_TAG, Store, chosen_store


@dataclass(frozen=True)
class Copy:
    """A version in the registry: what it was registered as, and what is there."""

    name: str
    version: str
    is_champion: bool
    sha256: str
    found: str | None  # the hash of its files; None where they are lost


def copies() -> Iterator[Copy]:
    """Every version of every tile set's model in the store in use; none where a local store was never made.

    Raises `ConnectionError` where the store does not answer.
    """
    file = sqlite_file(chosen_store())
    if file is not None and not file.is_file():
        return
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    with answering() as store:
        for model in store.client.search_registered_models(f"name LIKE '{MODEL}%'"):
            standing = {str(version) for version in model.aliases.values()}
            for entry in store.client.search_model_versions(f"name = '{model.name}'"):
                version = str(entry.version)
                sha256 = entry.tags.get(BUNDLE_TAG, "")
                yield Copy(model.name, version, version in standing, sha256, _found(store, model.name, version))


def _found(store: Store, name: str, version: str) -> str | None:
    with TemporaryDirectory(prefix="skygen-copy-") as temporary:
        try:
            place = store.client.get_model_version_download_uri(name, version)
            artifacts.download_artifacts(artifact_uri=f"{place}/data", dst_path=temporary, tracking_uri=store.uri)
        except (MlflowException, OSError):
            return None
        bundle = bundle_below(Path(temporary))
        return None if bundle is None else sha256_folder(bundle)
