"""A release: a folder of bundles as the service takes it, the registry's champion of each set in its recipe's place."""

import lzma
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from shutil import copyfile, copytree
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from skygen.archives import extract
from skygen.bundle.bundle import Bundle
from skygen.files import read_json, replace_folder, sha256_file, sha256_folder, write_json
from skygen.gan.card import BundleError
from skygen.params import Section, validate

if TYPE_CHECKING:  # MLflow is not there where a service runs
    from skygen.tracking import Registered

CATALOGUE, REAL = "catalogue.json", "real"
_BUNDLES = "src/bundles/"  # in a Bento
Word = Annotated[str, Field(pattern=r"^[\w-]+$")]  # a folder's name, and part of a file's


class Contents(Section):
    """catalogue.json: each set's champion, and the sha256 of bundles by SET/RECIPE and of sets' real.npy, if any."""

    champions: dict[Word, Word]
    sha256: dict[Annotated[str, Field(pattern=r"^[\w-]+/[\w-]+$")], str]
    real: dict[Word, str] = Field(default_factory=dict)
    versions: dict[Word, Annotated[str, Field(pattern=r"^\d+$")]] = Field(default_factory=dict)  # of the registry

    @classmethod
    def read(cls, folder: Path) -> "Contents":
        """The contents of `folder`; raises `FileNotFoundError` where there are none, `ParamsError` for wrong ones."""
        return validate(cls, read_json(folder / CATALOGUE), str(folder / CATALOGUE))


@dataclass(frozen=True)
class Champion:
    """A set's champion: its recipe, the folder of its bundle, and its version in the registry, where that is known."""

    recipe: str
    folder: Path
    version: str | None = None


@dataclass(frozen=True)
class Release:
    """What a release holds, and in sentences what of it is not as the registry would have it."""

    contents: Contents
    notes: list[str] = field(default_factory=list)


def write_release(folder: Path, bento: Path) -> Release:
    """Write the bundles of the Bento file `bento` to `folder`, with the registry's champions: whole or not at all.

    Where no registry can be asked the champions are the Bento's own; where there is no Bento, the registry's are all
    that is released. Raises `FileNotFoundError` where there is neither, `FileExistsError` where `folder` holds
    something else, `ValueError` or `ConnectionError` where a bundle is damaged, lost or out of reach.
    """
    if folder.exists() and not (folder / CATALOGUE).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} holds something else than a release; name another folder, or empty it")
    with TemporaryDirectory(prefix="skygen-release-") as temporary:
        packed = _unpack(bento, Path(temporary) / "bento")
        bundles, champions = _bundles(packed)
        standing, notes = _ask(packed, bento)
        for tiles, held in standing.items():
            champions[tiles] = champion_of(held, bundles, Path(temporary) / tiles)
        with replace_folder(folder) as new:
            for source in sorted(packed.glob(f"*/{REAL}.*")) if packed else ():
                (new / source.parent.name).mkdir(exist_ok=True)
                copyfile(source, new / source.parent.name / source.name)
            return Release(lay_out(new, bundles, champions), notes)


def lay_out(folder: Path, bundles: Mapping[str, Path], champions: Mapping[str, Champion]) -> Contents:
    """Copy `bundles`, by SET/RECIPE, and each set's champion in its recipe's place into `folder`; write catalogue.json.

    A set's real.npy that lies there already is in it. Raises `BundleError` for a bundle that is not whole.
    """
    sources = dict(bundles) | {f"{tiles}/{one.recipe}": one.folder for tiles, one in champions.items()}
    found = Contents(
        champions={tiles: one.recipe for tiles, one in champions.items()},
        sha256={name: Bundle.load(source, engine="eager").sha256 for name, source in sorted(sources.items())},
        real={path.parent.name: sha256_file(path) for path in sorted(folder.glob(f"*/{REAL}.npy"))},
        versions={tiles: one.version for tiles, one in champions.items() if one.version is not None},
    )
    for name, source in sources.items():
        copytree(source, folder / name)
        if sha256_folder(folder / name) != found.sha256[name]:
            raise BundleError(f"{source} changed while it was copied; try again")
    write_json(folder / CATALOGUE, found.model_dump(exclude_defaults=True))
    return found


def champion_of(held: "Registered", bundles: Mapping[str, Path], folder: Path) -> Champion:
    """The champion that stands in the registry: one of `bundles` of its set, else fetched below the empty `folder`.

    Raises `NoChampionError` where none stands or its files are not whole, `ConnectionError` where they cannot be had.
    """
    from skygen import tracking

    standing = held.champion
    if standing is None:
        raise tracking.NoChampionError(f"no champion of {held.tiles} stands in the registry; promote a version")
    for name, source in sorted(bundles.items()):
        tiles, _, recipe = name.partition("/")
        if tiles == held.tiles and sha256_folder(source) == standing.sha256:
            return Champion(recipe, source, standing.version)
    return Champion(standing.recipe, tracking.fetch_version(held.tiles, standing, folder), standing.version)


def _ask(packed: Path | None, bento: Path) -> tuple[dict[str, "Registered"], list[str]]:
    """What the registry holds of the sets of a Bento, or of all, where a champion stands; and what to say about it."""
    try:
        from skygen import tracking

        sets = list(Contents.read(packed).champions) if packed else tracking.registered_sets()
        every = {tiles: tracking.registered(tiles) for tiles in sets}
    except (ConnectionError, FileNotFoundError, ImportError) as error:
        if packed is None:
            raise FileNotFoundError(f"{bento}: no such Bento, and no champion from a registry: {error}") from error
        return {}, [f"the champions are those of {bento}, for the registry cannot be asked: {error}"]
    found = {tiles: held for tiles, held in every.items() if held.standing is not None}
    if packed is None and not found:
        raise FileNotFoundError(f"{bento}: no such Bento, and no champion stands in the registry")
    if packed is None:
        return found, [f"{bento} is missing: the release holds the champions of the registry, and no real tiles"]
    without = ", ".join(tiles for tiles in sets if tiles not in found)
    return found, [f"the registry has no champion of {without}: it is that of {bento}"] if without else []


def _unpack(bento: Path, folder: Path) -> Path | None:
    """The folder of the bundles in a Bento's file; None where there is no such file, `ValueError` where it is none."""
    if not bento.exists():
        return None
    try:
        with tarfile.open(bento) as archive:
            members = [member for member in archive if member.name.removeprefix("./").startswith(_BUNDLES)]
            extract(archive, folder, members)
    except (tarfile.TarError, lzma.LZMAError, zlib.error, OSError, EOFError) as error:
        cause = str(error).partition("\n")[0]
        raise ValueError(f"{bento} is no whole Bento ({cause}); make it anew with the stage package") from error
    if not (folder / _BUNDLES / CATALOGUE).is_file():
        raise ValueError(f"{bento} holds no {_BUNDLES}{CATALOGUE}; make it anew with the stage package")
    return folder / _BUNDLES


def _bundles(packed: Path | None) -> tuple[dict[str, Path], dict[str, Champion]]:
    """The bundles of an unpacked Bento by SET/RECIPE, and its own champions; raises `BundleError` for another hash."""
    if packed is None:
        return {}, {}
    contents = Contents.read(packed)
    for name, sha256 in contents.sha256.items():
        if sha256_folder(packed / name) != sha256:
            raise BundleError(f"the bundle {name} of the Bento is not the one that was packaged; make it anew")
    for tiles, sha256 in contents.real.items():
        if sha256_file(packed / tiles / f"{REAL}.npy") != sha256:
            raise BundleError(f"the real tiles of {tiles} in the Bento are not those that were packaged; make it anew")
    bundles = {name: packed / name for name in contents.sha256}
    champions = {
        tiles: Champion(recipe, packed / tiles / recipe, contents.versions.get(tiles))
        for tiles, recipe in contents.champions.items()
    }
    return bundles, champions
