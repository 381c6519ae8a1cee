"""Where MLflow's local store, its artifacts and the checkpoints lie: in the clone, whatever the clone is called.

MLflow makes every local place absolute before it stores it, and then a renamed clone, or a container's, finds none of
its artifacts. So `keep_relative` writes them anew as what they are in the clone: `mlartifacts/…`, which MLflow takes as
it takes `sqlite:///mlflow.db`, from the current folder. It changes MLflow's tables, which is a debt: docs/design.md.
"""

import re
import sqlite3
from collections import defaultdict
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOCAL = "sqlite:///mlflow.db"
ARTIFACTS = "mlartifacts"
FOLDS = Path(".folds")  # a folder a fold, in which stages run on the clone's frames
EXPERIMENTS = Path(".experiments")  # a folder a training of an experiment's cells, on the clone's tiles
PLACES = {  # the columns of MLflow's tables that hold places
    "experiments": "artifact_location",
    "runs": "artifact_uri",
    "logged_models": "artifact_location",
    "model_versions": "storage_location",
}
_COPIES = re.compile(rf"(.*)/(?:\.dvc/tmp/exps/.+|(?:{re.escape(str(FOLDS))}|{re.escape(str(EXPERIMENTS))})/[^/]+)")
_SQLITE = "sqlite:///"
_LOCAL_PLACE = re.compile(rf"(.*/)?((?:{ARTIFACTS}|mlruns)(?:/.*)?)")
_FIND, _CHANGE = (
    "SELECT DISTINCT {column} FROM {table} WHERE {column} IS NOT NULL",
    "UPDATE {table} SET {column} = ? WHERE {column} = ?",
)
_PATIENCE_S = 30.0  # for another process that writes the store


def clone() -> Path:
    """The clone that the current folder is, or is made of: a copy of an experiment of DVC's, or the folder of a fold or
    of an experiment's training.

    `dvc exp run --temp` and `--queue` run in a copy below `.dvc`, which is removed at its end, and `skygen folds`
    and `skygen paper` in folders below `.folds` and `.experiments`: what must last is written to the clone.
    """
    here = Path.cwd()
    copy = _COPIES.fullmatch(here.as_posix())
    return Path(copy[1]) if copy else here


def checkpoints() -> Path:
    """The folder of the checkpoints and journals of trainings."""
    return Path(".checkpoints") if clone() == Path.cwd() else clone() / ".checkpoints"


def sqlite_file(uri: str) -> Path | None:
    """The file of the local store at `uri`; None for a store of another kind."""
    path = uri.removeprefix(_SQLITE).partition("?")[0]
    return clone() / path if uri.startswith(_SQLITE) and path else None


def in_clone(uri: str) -> str:
    """`uri`; that of a local store in the current folder, as such a copy sees the clone's."""
    file = sqlite_file(uri)
    if file is None or clone() == Path.cwd():
        return uri
    artifacts, link = clone() / ARTIFACTS, Path(ARTIFACTS)
    if file.parent == clone() and not link.exists():
        artifacts.mkdir(exist_ok=True)
        link.symlink_to(artifacts)
    return f"{_SQLITE}{file}"


def artifacts_of(uri: str) -> str | None:
    """Where a new experiment in the local store at `uri` keeps its artifacts; None for what another store chooses."""
    folder = artifacts_beside(uri)
    return None if folder is None else folder.as_uri()


def artifacts_beside(uri: str) -> Path | None:
    """The folder of the artifacts of the local store at `uri`; None for another store."""
    file = sqlite_file(uri)
    return None if file is None else file.parent.resolve() / ARTIFACTS


def keep_relative(uri: str) -> None:
    """Make the places in the local store at `uri` relative to it, where they were absolute and lie beside it today.

    A store outside the clone gets absolute ones. Places elsewhere, whose files are not here, stay as they are. Two
    processes may do this at once, and again: each place changes from what it was, all in one transaction.
    """
    file = sqlite_file(uri)
    if file is None or not file.is_file():
        return
    with closing(sqlite3.connect(file, timeout=_PATIENCE_S)) as database:
        known = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}  # none in a store just begun
        found = {
            (table, column, place)
            for table, column in PLACES.items()
            if table in known
            for (place,) in database.execute(_FIND.format(table=table, column=column))
        }
        anew = _anew({place: table for table, _, place in sorted(found)}, file.resolve().parent)
        changes = [(table, column, place) for table, column, place in found if anew.get(place, place) != place]
        with database:
            for table, column, place in changes:
                database.execute(_CHANGE.format(table=table, column=column), (anew[place], place))


def path_of(place: str) -> str:
    """The path of a local place; a remote one as it is."""
    return unquote(urlsplit(place).path) if place.startswith("file:") else place


def _anew(tables: dict[str, str], folder: Path) -> dict[str, str]:
    """What each place, named with its table, is in the store of `folder`; those that stay are left out."""
    by_root: dict[str, dict[str, str]] = defaultdict(dict)
    for place in tables:
        found = _LOCAL_PLACE.fullmatch(path_of(place))
        if found and ":" not in place.removeprefix("file:").partition("/")[0]:
            by_root[found[1] or ""][place] = found[2]
    relative = folder == clone().resolve()
    ours = {"", *(f"{path}/" for path in (folder, Path.cwd(), clone(), clone().resolve()))}
    anew: dict[str, str] = {}
    for root, tails in by_root.items():
        files = [tail for place, tail in tails.items() if tables[place] != "experiments"]
        moved_here = any((folder / tail).exists() for tail in files) or not (files or Path(root).exists())
        if root in ours or moved_here:
            anew |= {place: tail if relative else (folder / tail).as_uri() for place, tail in tails.items()}
    return anew
