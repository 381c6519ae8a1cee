"""What a remote holds of the outputs: asked of the remote itself, since `dvc status --cloud` believes what it knew."""

from pathlib import Path

from skygen.upkeep.dvc import DIRECTORY, DvcError, Objects, hashes_in_remote, md5_of, remotes
from skygen.upkeep.hashing import hash_all
from skygen.upkeep.verify import Clone, Report


class RemoteError(ValueError):
    """A remote cannot be judged: there is none, it is out of reach, or it is empty; the message says what to do."""


def verify_remote(clone: Clone, name: str, report: Report) -> None:
    """Say which outputs a remote lacks, and of one that is a folder which objects are damaged.

    Raises `RemoteError` where it is not known, cannot be reached or is empty.
    """
    url = _address(name)
    folder = _mounted(name, url) if _is_folder(url) else None
    try:
        found = hashes_in_remote(name)
    except DvcError as error:
        raise RemoteError(_unreached(name, url, str(error))) from error
    if not found:
        raise RemoteError(_empty(name, url))
    _find_missing(clone, name, found, report)
    if folder is not None:
        _find_damaged(name, Objects(folder), report)


def folder_of(name: str) -> Path:
    """The folder of a remote; raises `RemoteError` where it is none, or is not there."""
    url = _address(name)
    if not _is_folder(url):
        raise RemoteError(
            f"remote {name} ({url}) is no folder: it has backups of its own, or say `dvc pull` and --cache"
        )
    return _mounted(name, url)


def _mounted(name: str, url: str) -> Path:
    folder = Path(url)
    if not folder.is_dir():
        raise RemoteError(f"remote {name}: there is no folder {url}; mount it, or make it by `dvc push -r {name}`")
    return folder


def _is_folder(url: str) -> bool:
    return "://" not in url


def _address(name: str) -> str:
    known = remotes()
    if name in known:
        return known[name]
    if not known:
        raise RemoteError(f"no remote {name}: this clone has none; add one by `dvc remote add --default {name} URL`")
    raise RemoteError(f"no remote is called {name}; there are: {', '.join(known)}")


def _unreached(name: str, url: str, reason: str) -> str:
    if "does not exist" in reason:  # a place in a store that answers: what was pushed would have made it
        return _empty(name, url)
    return (
        f"remote {name} ({url}) does not let us in: {reason.rstrip('.')}; see docs/how-to/remotes.md for addresses "
        "and credentials"
    )


def _empty(name: str, url: str) -> str:
    return f"remote {name} ({url}) is empty, or not there yet; say `dvc push -r {name}` where the pipeline was run"


def _find_missing(clone: Clone, name: str, found: set[str], report: Report) -> None:
    """An output a line; where the list of a folder's files is not to be had here, the list in the remote has to do."""
    for output, files in clone.files.items():
        needed = {output.md5, *(files or {}).values()}
        report.checked += len(needed)
        if lacking := needed - found:
            many = f"{len(lacking)} of its {len(needed)} objects are" if len(needed) > 1 else "it is"
            report.add(output.path, f"{many} not in the remote {name}", _push(clone, name, output.md5, output.path))


def _push(clone: Clone, name: str, md5: str, path: Path) -> str:
    where = "" if clone.cache.path(md5).is_file() else " in the clone that has it"
    return f"say `dvc push -r {name} {path}`{where}"


def _find_damaged(name: str, objects: Objects, report: Report) -> None:
    by_path = {path: md5 for md5, path in objects.found().items()}
    for path, found in hash_all(list(by_path), md5_of, name):
        if found != by_path[path].removesuffix(DIRECTORY):
            said = f"its MD5 is {found}, its name says {by_path[path]}"
            report.add(path, said, f"remove it, then say `dvc push -r {name}` in a clone that has it")
