"""Champions come and go: what is registered of a tile set, and moves of the alias, each with an entry in the audit.

The entry of a move is written as begun, then the alias moves in one call, then the entry is done. A run that is killed
in between leaves the old champion or the new one, and an entry that the next reader understands by the alias.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from mlflow.entities.model_registry import ModelVersion

from skygen.files import sha256_folder
from skygen.tracking.audit import PROMOTED, ROLLED_BACK, Action, Audit, Entry, now, one_line, who
from skygen.tracking.fetch import fetch
from skygen.tracking.places import sqlite_file
from skygen.tracking.registry import ALIAS, CHALLENGE, MODEL, answering, contest, model_name, reached, state, versions
from skygen.tracking.store import BUNDLE_TAG, Store, chosen_store


class NoChampionError(ValueError):
    """A champion cannot be had: none stands, or the files of its version are not whole."""


@dataclass(frozen=True)
class Version:
    """A version of a tile set's model: a bundle, and the words of the last verdict on it."""

    version: str
    recipe: str
    seed: str
    sha256: str
    verdict: str  # empty where it was never compared
    over: str  # the version that stood then

    def __str__(self) -> str:
        return f"version {self.version} ({self.recipe}, seed {self.seed})"


@dataclass(frozen=True)
class Registered:
    """What the registry holds of a tile set."""

    tiles: str
    standing: str | None  # the version that has the alias
    versions: tuple[Version, ...]  # in their order
    audit: Audit

    @property
    def champion(self) -> Version | None:
        """The version that stands."""
        return None if self.standing is None else self.find(self.standing)

    def find(self, version: str) -> Version:
        """A version by its number; raises `ValueError` where there is no such one."""
        for found in self.versions:
            if found.version == version:
                return found
        there_are = ", ".join(found.version for found in self.versions) or "none"
        raise ValueError(f"{model_name(self.tiles)} has no version {version}; there are: {there_are}")

    def before(self) -> Version | None:
        """The champion before the one that stands: the latest that is still there and was not refused since."""
        if (champion := self.champion) is None:
            return None
        known = {found.version: found for found in self.versions}
        for number in self.audit.before(champion.version) or [champion.over]:  # of a time before the audit
            found = known.get(number)
            if found and found.sha256 != champion.sha256 and not self.audit.bar(found.sha256):
                return found
        return None


def registered_sets() -> list[str]:
    """The tile sets of which the registry holds a model; raises as `registered`."""
    with _read() as store:
        found = store.client.search_registered_models(f"name LIKE '{MODEL}%'", max_results=1000)
        return sorted(model.name.removeprefix(MODEL) for model in found)


def registered(tiles: str) -> Registered:
    """What the registry holds of a tile set.

    Raises `ConnectionError` where it does not answer, `FileNotFoundError` where there is none, `ValueError` where an
    entry of the audit was spoilt.
    """
    with _read() as store:
        standing, tags = state(store, tiles)  # first, so that the version that stands is among those found
        found = sorted(versions(store, tiles), key=lambda entry: int(entry.version))
        return Registered(tiles, standing, tuple(map(_version, found)), Audit.of_tags(tags, standing))


def fetch_version(tiles: str, version: Version, folder: Path) -> Path:
    """The bundle of a version, fetched whole below the empty `folder`.

    Raises `ConnectionError` where the registry or its files are out of reach, `NoChampionError` where the files are
    lost or are not those that were registered.
    """
    with answering() as store:
        bundle = fetch(store, store.client.get_model_version(model_name(tiles), version.version), folder)
    if bundle is None:
        raise NoChampionError(f"the files of {version} of {model_name(tiles)} are lost; bring them back from a backup")
    if sha256_folder(bundle) != version.sha256:
        raise NoChampionError(
            f"the files of {version} of {model_name(tiles)} are not those that were registered; bring them back from a "
            "backup"
        )
    return bundle


def promote(
    tiles: str, version: str, over: str | None, why: str = "", verdict: str = "", *, anyway: bool = False
) -> None:
    """Give the alias to `version`, in the place of the version `over`, or of none, and write it into the audit.

    Raises `ConnectionError` where the store does not answer, `BlockingIOError` where another one stands by now.
    """
    with contest(), reached() as store:
        entry = _entry(store, tiles, PROMOTED, version, why)
        _move(store, tiles, replace(entry, over=over, verdict=one_line(verdict), anyway=anyway), over)


def roll_back(tiles: str, version: str, to: str, why: str) -> None:
    """Take the alias from `version`, which stands, and give it to the version `to`; raises as `promote`."""
    with contest(), reached() as store:
        _move(store, tiles, replace(_entry(store, tiles, ROLLED_BACK, version, why), to=to), version)


def write_entry(tiles: str, action: Action, version: str, over: str | None, why: str, verdict: str = "") -> None:
    """Write into the audit what was done with a version that did not move the alias; raises as `promote`."""
    with contest(), reached() as store:
        entry = _entry(store, tiles, action, version, why)
        _write(store, tiles, replace(entry, over=over, verdict=one_line(verdict)))


@contextmanager
def _read() -> Iterator[Store]:
    """The store in use, which reading does not make; raises `FileNotFoundError` where there is none."""
    local = sqlite_file(chosen_store())
    if local is not None and not local.is_file():
        raise FileNotFoundError(
            f"there is no registry: {local} is missing; run dvc repro, or name a server by MLFLOW_TRACKING_URI"
        )
    with answering() as store:
        yield store


def _version(entry: ModelVersion) -> Version:
    recipe, seed = (entry.tags.get(key, "unknown") for key in ("recipe", "seed"))
    verdict, over = (entry.tags.get(f"{CHALLENGE}{name}", "") for name in ("decision", "standing_version"))
    return Version(str(entry.version), recipe, seed, entry.tags.get(BUNDLE_TAG, ""), verdict, over)


def _entry(store: Store, tiles: str, action: Action, version: str, why: str) -> Entry:
    tags = store.client.get_model_version(model_name(tiles), version).tags
    return Entry(now(), who(), action, version, None, tags.get(BUNDLE_TAG, ""), why)


def _move(store: Store, tiles: str, entry: Entry, over: str | None) -> None:
    """Move the alias as `entry` says, away from `over`, between the two halves of its entry."""
    name, now_to_stand = model_name(tiles), str(entry.stands)
    stands, _ = state(store, tiles)
    if stands != over:
        raise BlockingIOError(
            f"version {stands} of {name} became champion while version {entry.version} was to be {entry.action}; "
            "nothing is changed: try again"
        )
    tag = _write(store, tiles, replace(entry, state="begun"))
    store.client.set_registered_model_alias(name, ALIAS, now_to_stand)
    stands, _ = state(store, tiles)
    if stands != now_to_stand:
        raise BlockingIOError(
            f"version {stands} of {name} was made champion by another at the same time as version {now_to_stand}: "
            "try again"
        )
    store.client.set_registered_model_tag(name, tag, entry.text())


def _write(store: Store, tiles: str, entry: Entry) -> str:
    """Write an entry behind all others, and what became of those that a run left begun; the tag that holds it."""
    name, text = model_name(tiles), entry.text()
    standing, tags = state(store, tiles)
    audit = Audit.of_tags(tags, standing)
    for tag, known in audit.entries.items():
        if known.text() != tags[tag]:
            store.client.set_registered_model_tag(name, tag, known.text())
    tag = audit.next_tag
    store.client.set_registered_model_tag(name, tag, text)
    return tag
