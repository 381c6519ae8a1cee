"""The registry: every champion of a comparison is a version of `skygen-SET`; the one that stands has the alias.

The alias moves last, in one call, and never to nothing: whatever stops a run before, the champion stands as it stood.
What is not reachable from here is not lost: a champion gives way unheard only where its store is here and its files are
not.
"""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow import artifacts
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from skygen.files import make_folder, sha256_folder
from skygen.locks import alone
from skygen.tracking.places import checkpoints, path_of, sqlite_file
from skygen.tracking.publish import publish_and_say
from skygen.tracking.store import BUNDLE_TAG, Store, chosen_store, is_unknown

ALIAS = "champion"
CHALLENGE = "challenge."  # begins the tags that tell why a version stands or does not
_BELOW_ROOT = 4  # parts of a bundle's place below that of its experiment: models/ID/artifacts/data
_WEIGHTS = "*.safetensors"  # of a bundle, wherever the store put it
_READY = "READY"
_contested: ContextVar[bool] = ContextVar("contested", default=False)
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Standing:
    """The champion that stands in the registry, and its bundle as the registry gives it back."""

    version: str
    name: str  # its recipe and seed
    sha256: str  # of its bundle as it was registered
    folder: Path | None  # its bundle; None where the registry has lost it


def standing_champion(tiles: str, folder: Path) -> Standing | None:
    """The standing champion of a tile set, its bundle fetched into the empty `folder`; None where there is none.

    Raises `ConnectionError` where the store does not answer, and where the place of its artifacts cannot be reached
    from here: then nobody knows who stands, or what it can.
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


@contextmanager
def contest() -> Iterator[None]:
    """Within, no other process of this store challenges, registers or promotes: one is told by `BlockingIOError`.

    The lock is a file beside a local store. A server's is in this clone: what other clones do meanwhile is found by
    `promote`, right before and right after it.
    """
    if _contested.get():
        yield
        return
    local = sqlite_file(chosen_store())
    path = checkpoints() / "registry.lock" if local is None else local.with_name(f"{local.name}.lock")
    make_folder(path.parent)
    with alone(path, f"a comparison of champions ({path})"):
        token = _contested.set(True)
        try:
            yield
        finally:
            _contested.reset(token)


def promote(tiles: str, version: str, over: str | None) -> None:
    """Give the alias to `version`, in the place of the version `over`, or of none.

    Raises `ConnectionError` where the store does not answer, `RuntimeError` where another one stands by now.
    """
    with contest(), _reached() as store:
        stands = _with_alias(store, tiles)
        if stands != over:
            raise RuntimeError(
                f"version {stands} of {_model(tiles)} became champion while version {version} was compared with "
                f"version {over}; run the stage package again, which compares it with that one"
            )
        store.client.set_registered_model_alias(_model(tiles), ALIAS, version)
        stands = _with_alias(store, tiles)
        if stands != version:
            raise RuntimeError(
                f"version {stands} of {_model(tiles)} was made champion by another at the same time as version "
                f"{version}; run the stage package again, which compares them"
            )


@contextmanager
def _reached() -> Iterator[Store]:
    """The store in use, which has heard of all trainings that it takes; what it refuses is only warned of."""
    publish_and_say(checkpoints())
    uri = chosen_store()
    try:
        yield Store(uri)
    except ConnectionError:
        raise
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
    bundle = next((path.parent for path in sorted(folder.rglob(_WEIGHTS))), None)
    if bundle is None:
        _logger.warning("%s is lost: %s is there, the files of its bundle below %s are not", named, root, place)
    return bundle


def _not_here(named: str, root: str, cause: str) -> str:
    where = Path(path_of(root)).absolute() if ":" not in path_of(root) else root
    return (
        f"the files of {named} lie in {where}, which cannot be reached from here ({cause}); mount or bring back that "
        "folder or server, or, if it is gone for good, delete that version"
    )


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
