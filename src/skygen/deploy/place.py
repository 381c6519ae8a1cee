"""The folder of deployments: releases and Bentos by their hashes, logs, and state.json, which says what serves."""

import shutil
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from skygen.archives import extract
from skygen.files import read_json, replace_folder, sha256_file, sha256_folder, write_json
from skygen.params import Section, validate

HOST: Final = "127.0.0.1"  # where services listen
KEPT: Final = 5  # releases
DIGITS: Final = 12  # of a hash in a name, as in the labels of the service's metrics
_WRITES: Final = "skygen release writes one"


class Release(Section):
    """Bundles and the Bento that serves them, by their hashes."""

    release: str
    bento: str


class Serving(Release):
    """A release that serves: on which port, by which process (and when that began), since when (UTC)."""

    colour: str
    port: int
    pid: int
    started: float
    since: str

    def bare(self) -> Release:
        """The release alone."""
        return Release(release=self.release, bento=self.bento)

    @property
    def name(self) -> str:
        """The name that the proxy knows it by, and says in `X-Skygen-Service`."""
        return f"{self.colour}-{self.release[:DIGITS]}"


class State(Section):
    """What serves, if anything was deployed, and what did before it, the latest last."""

    serving: Serving | None = None
    before: Sequence[Release] = ()


class Catalogue(Section):
    """What a deployment reads of a release's catalogue.json."""

    model_config = Section.model_config | {"extra": "ignore"}

    champions: dict[str, str]
    sha256: dict[str, str]


@dataclass(frozen=True)
class Place:
    """The folder `.deploy`, or another; an absolute path."""

    folder: Path

    @property
    def bentos(self) -> Path:
        """Where the unpacked Bentos lie."""
        return self.folder / "bento"

    @property
    def lock(self) -> Path:
        """The lock file of who deploys."""
        return self.folder / ".skygen-lock-deploy"

    def releases(self, release: Release) -> Path:
        """The folder of a release's bundles."""
        return self.folder / "releases" / release.release

    def log(self, colour: str) -> Path:
        """The log of the services of a colour."""
        return self.folder / "log" / f"{colour}.log"

    def home(self, colour: str) -> Path:
        """What BentoML takes for its home in a service of a colour."""
        return self.folder / "home" / colour

    def state(self) -> State:
        """What state.json says; raises `ValueError` where it is damaged."""
        path = self.folder / "state.json"
        return validate(State, read_json(path), str(path)) if path.exists() else State()

    def write(self, state: State) -> None:
        """Make `state` the state, whole or not at all."""
        write_json(self.folder / "state.json", state.model_dump())

    def show(self, serving: Sequence[Serving]) -> None:
        """Write down for Prometheus (file_sd_configs) which services there are to scrape."""
        targets = [{"targets": [f"{HOST}:{one.port}"], "labels": {"colour": one.colour}} for one in serving]
        write_json(self.folder / "targets.json", targets)

    def keep(self, folder: Path, bento: Path) -> Release:
        """The release of the bundles in `folder` under a Bento, copied to this place where it is not there already.

        Raises `FileNotFoundError` where one is missing, and `ValueError` where a bundle is not what the release's
        catalogue says.
        """
        if not bento.is_file():
            raise FileNotFoundError(f"{bento}: no such Bento; make repro packages one, or name yours by --bento")
        read_catalogue(folder)
        kept = Release(release=sha256_folder(folder), bento=sha256_file(bento))
        bundles, unpacked = self.releases(kept), self.bentos / kept.bento
        if not bundles.is_dir() or sha256_folder(bundles) != kept.release:
            with replace_folder(bundles) as new:
                shutil.copytree(folder, new, dirs_exist_ok=True)
                check_bundles(new)
        bundles.touch()  # what is kept are the latest
        if not unpacked.is_dir():
            with replace_folder(unpacked) as new, tarfile.open(bento) as archive:
                extract(archive, new)
        return kept

    def prune(self, state: State) -> None:
        """Remove the releases that are neither in `state` nor among the latest, and Bentos that none of them needs."""
        used = [*state.before, *([state.serving] if state.serving else [])]
        folders = sorted((self.folder / "releases").glob("[!.]*"), key=lambda path: path.stat().st_mtime)
        _remove(folders[:-KEPT], [release.release for release in used])
        _remove(self.bentos.glob("[!.]*"), [release.bento for release in used])


def read_catalogue(folder: Path) -> Catalogue:
    """The catalogue of a release; raises `FileNotFoundError` where there is none, `ValueError` where it is wrong."""
    path = folder / "catalogue.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: missing, so {folder} is no release; {_WRITES}")
    return validate(Catalogue, read_json(path), str(path))


def check_bundles(folder: Path) -> None:
    """Raise `ValueError` where a bundle of a release is missing, or is not the one of its catalogue."""
    for name, sha256 in read_catalogue(folder).sha256.items():
        if not (folder / name).is_dir():
            raise ValueError(f"{name}: missing from the release, though its catalogue.json names it; {_WRITES}")
        if (found := sha256_folder(folder / name)) != sha256:
            raise ValueError(
                f"{name}: damaged: its sha256 is {found}, the release's catalogue.json says {sha256}; {_WRITES}"
            )


def _remove(folders: Iterable[Path], used: Sequence[str]) -> None:
    for folder in folders:
        if folder.name not in used:
            shutil.rmtree(folder)
