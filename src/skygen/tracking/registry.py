"""The registry: every champion of a comparison is a version of `skygen-SET`; the one that stands has the alias.

The alias moves last, in one call, and never to nothing: whatever stops a run before, the champion stands as it stood.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from skygen.files import sha256_folder
from skygen.tracking.delivery import deliver
from skygen.tracking.results import JOURNALS
from skygen.tracking.store import BUNDLE_TAG, Store, chosen_store, is_unknown

ALIAS = "champion"
CHALLENGE = "challenge."  # begins the tags that tell why a version stands or does not
_WEIGHTS = "*.safetensors"  # of a bundle, wherever the store put it
_READY = "READY"


@dataclass(frozen=True)
class Standing:
    """The champion that stands in the registry, and its bundle as the registry gives it back."""

    version: str
    name: str  # its recipe and seed
    sha256: str  # of its bundle as it was registered
    folder: Path | None  # its bundle; None where the registry has lost it


def standing_champion(tiles: str, folder: Path) -> Standing | None:
    """The standing champion of a tile set, its bundle fetched into the empty `folder`; None where there is none.

    Raises `ConnectionError` where the store does not answer; then nobody knows who stands.
    """
    with _reached() as store:
        version = _with_alias(store, tiles)
        if version is None:
            return None
        entry = store.client.get_model_version(_model(tiles), version)
        name = ", seed ".join(entry.tags.get(key, "unknown") for key in ("recipe", "seed"))
        bundle = _fetch(store, entry, folder)
        sha256 = entry.tags.get(BUNDLE_TAG) or ("" if bundle is None else sha256_folder(bundle))
        return Standing(version, name, sha256, bundle)


def register(tiles: str, recipe: str, seed: int, folder: Path, sha256: str, challenge: Mapping[str, str]) -> str:
    """The version of the bundle in `folder`, whose hash is `sha256`, tagged with how its `challenge` ended.

    A bundle that is registered already keeps its version, unless the registry's copy is lost or damaged. Raises
    `ConnectionError` where the store does not answer.
    """
    with _reached() as store:
        run_id = store.run_of(sha256, f"{tiles}-{recipe}-{seed}").info.run_id
        known = [entry for entry in _versions(store, tiles) if entry.tags.get(BUNDLE_TAG) == sha256]
        version = next((str(entry.version) for entry in known if _is_whole(store, entry, sha256)), None)
        if version is None:
            if known:
                _forget_model(store, run_id, sha256)
            store.log_model(run_id, folder, sha256)
            tags = {BUNDLE_TAG: sha256, "recipe": recipe, "seed": str(seed)}
            version = store.register(run_id, _model(tiles), tags)
        _tag(store, tiles, version, {f"{CHALLENGE}{name}": value for name, value in challenge.items()})
        return version


def crown(tiles: str, version: str, over: str | None) -> None:
    """Give the alias to `version`, in the place of the version `over`, or of none.

    Raises `ConnectionError` where the store does not answer, `RuntimeError` where another one stands by now.
    """
    with _reached() as store:
        stands = _with_alias(store, tiles)
        if stands != over:
            raise RuntimeError(
                f"version {stands} of {_model(tiles)} became champion while version {version} was compared with "
                f"version {over}; run the stage package again, which compares it with that one"
            )
        store.client.set_registered_model_alias(_model(tiles), ALIAS, version)


@contextmanager
def _reached() -> Iterator[Store]:
    """The store in use, which has heard of all trainings."""
    deliver(JOURNALS)
    uri = chosen_store()
    try:
        yield Store(uri)
    except (MlflowException, OSError) as error:
        raise ConnectionError(f"the registry at {uri} does not answer as it should: {error}") from error


def _model(tiles: str) -> str:
    return f"skygen-{tiles}"


def _with_alias(store: Store, tiles: str) -> str | None:
    try:
        found = store.client.get_registered_model(_model(tiles)).aliases.get(ALIAS)
    except MlflowException as error:
        if is_unknown(error):
            return None
        raise
    return None if found is None else str(found)


def _versions(store: Store, tiles: str) -> list[ModelVersion]:
    """The versions of a tile set that were registered to the end."""
    found = store.client.search_model_versions(f"name = '{_model(tiles)}'")
    return [entry for entry in found if entry.status == _READY]


def _fetch(store: Store, entry: ModelVersion, folder: Path) -> Path | None:
    """The bundle of a version, fetched below `folder`; None where the store answers that it has it no more."""
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    source = f"models:/{entry.name}/{entry.version}/data"
    try:
        if not mlflow.artifacts.list_artifacts(source, tracking_uri=store.uri):
            return None
    except MlflowException as error:
        if is_unknown(error):
            return None
        raise
    mlflow.artifacts.download_artifacts(source, dst_path=str(folder), tracking_uri=store.uri)
    return next((path.parent for path in sorted(folder.rglob(_WEIGHTS))), None)


def _is_whole(store: Store, entry: ModelVersion, sha256: str) -> bool:
    with TemporaryDirectory(prefix="skygen-registry-") as temporary:
        folder = _fetch(store, entry, Path(temporary))
        return folder is not None and sha256_folder(folder) == sha256


def _forget_model(store: Store, run_id: str, sha256: str) -> None:
    """Delete the run's copies of a bundle, which are damaged."""
    for model in store.client.search_logged_models([store.experiment], f"source_run_id = '{run_id}'"):
        if model.tags.get(BUNDLE_TAG) == sha256:
            store.client.delete_logged_model(model.model_id)


def _tag(store: Store, tiles: str, version: str, tags: Mapping[str, str]) -> None:
    """Tag a version with `tags`, and take from it what an earlier challenge left."""
    name = _model(tiles)
    for tag in store.client.get_model_version(name, version).tags:
        if tag.startswith(CHALLENGE) and tag not in tags:
            store.client.delete_model_version_tag(name, version, tag)
    for tag, value in tags.items():
        store.client.set_model_version_tag(name, version, tag, value)
