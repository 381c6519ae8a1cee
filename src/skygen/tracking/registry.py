"""The registry: every champion of a comparison is a version of `skygen-SET`; the one that stands has the alias.

The alias moves last, in one call, and never to nothing: whatever stops a run before, the champion stands as it stood.
What is not reachable from here is not lost: a champion gives way unheard only where its store is here and its files are
not.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from skygen.files import make_folder, sha256_folder
from skygen.locks import alone
from skygen.tracking.fetch import fetch
from skygen.tracking.places import checkpoints, sqlite_file
from skygen.tracking.publish import publish_and_say
from skygen.tracking.store import BUNDLE_TAG, Store, chosen_store, is_unknown

MODEL = "skygen-"  # begins the names of models, before the tile set
ALIAS = "champion"
CHALLENGE = "challenge."  # begins the tags that tell why a version stands or does not
_READY = "READY"
_contested: ContextVar[bool] = ContextVar("contested", default=False)


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
    with reached() as store:
        version, _ = state(store, tiles)
        if version is None:
            return None
        entry = store.client.get_model_version(model_name(tiles), version)
        name = ", seed ".join(entry.tags.get(key, "unknown") for key in ("recipe", "seed"))
        bundle = fetch(store, entry, folder)
        sha256 = entry.tags.get(BUNDLE_TAG) or ("" if bundle is None else sha256_folder(bundle))
        return Standing(version, name, sha256, bundle)


def register(tiles: str, recipe: str, seed: int, folder: Path, sha256: str, challenge: Mapping[str, str]) -> str:
    """The version of the bundle in `folder`, whose hash is `sha256`, tagged with how its `challenge` ended.

    A bundle that is registered already keeps its version, unless the registry's copy is lost or damaged. Raises
    `ConnectionError` where the store does not answer.
    """
    with reached() as store:
        run_id = store.run_of(sha256, f"{tiles}-{recipe}-{seed}").info.run_id
        known = [entry for entry in versions(store, tiles) if entry.tags.get(BUNDLE_TAG) == sha256]
        version = next((str(entry.version) for entry in known if _is_whole(store, entry, sha256)), None)
        if version is None:
            if known:
                _forget_model(store, run_id, sha256)
            store.log_model(run_id, folder, sha256)
            tags = {BUNDLE_TAG: sha256, "recipe": recipe, "seed": str(seed)}
            version = store.register(run_id, model_name(tiles), tags)
        _tag(store, tiles, version, {f"{CHALLENGE}{name}": value for name, value in challenge.items()})
        return version


def tag_challenge(tiles: str, version: str, challenge: Mapping[str, str]) -> None:
    """Tag a version with how its `challenge` ended, in the place of an earlier one; raises as `register`."""
    with reached() as store:
        _tag(store, tiles, version, {f"{CHALLENGE}{name}": value for name, value in challenge.items()})


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


@contextmanager
def reached() -> Iterator[Store]:
    """The store in use, which has heard of all trainings that it takes; what it refuses is only warned of."""
    publish_and_say(checkpoints())
    with answering() as store:
        yield store


@contextmanager
def answering() -> Iterator[Store]:
    """The store in use, as it is; raises `ConnectionError` where it does not answer."""
    uri = chosen_store()
    try:
        yield Store(uri)
    except (ConnectionError, BlockingIOError):
        raise
    except (MlflowException, OSError) as error:
        raise ConnectionError(f"the registry at {uri} does not answer as it should: {error}") from error


def model_name(tiles: str) -> str:
    """What the registry calls the model of a tile set."""
    return f"{MODEL}{tiles}"


def state(store: Store, tiles: str) -> tuple[str | None, dict[str, str]]:
    """The version of a tile set that stands, None where there is none, and the tags of its model."""
    try:
        found = store.client.get_registered_model(model_name(tiles))
    except MlflowException as error:
        if is_unknown(error):
            return None, {}
        raise
    standing = found.aliases.get(ALIAS)
    return (None if standing is None else str(standing)), dict(found.tags)


def versions(store: Store, tiles: str) -> list[ModelVersion]:
    """The versions of a tile set that were registered to the end."""
    found = store.client.search_model_versions(f"name = '{model_name(tiles)}'")
    return [entry for entry in found if entry.status == _READY]


def _is_whole(store: Store, entry: ModelVersion, sha256: str) -> bool:
    with TemporaryDirectory(prefix="skygen-registry-") as temporary:
        folder = fetch(store, entry, Path(temporary))
        return folder is not None and sha256_folder(folder) == sha256


def _forget_model(store: Store, run_id: str, sha256: str) -> None:
    """Delete the run's copies of a bundle, which are damaged."""
    for model in store.client.search_logged_models([store.experiment], f"source_run_id = '{run_id}'"):
        if model.tags.get(BUNDLE_TAG) == sha256:
            store.client.delete_logged_model(model.model_id)


def _tag(store: Store, tiles: str, version: str, tags: Mapping[str, str]) -> None:
    """Tag a version with `tags`, and take from it what an earlier challenge left."""
    name = model_name(tiles)
    for tag in store.client.get_model_version(name, version).tags:
        if tag.startswith(CHALLENGE) and tag not in tags:
            store.client.delete_model_version_tag(name, version, tag)
    for tag, value in tags.items():
        store.client.set_model_version_tag(name, version, tag, value)
