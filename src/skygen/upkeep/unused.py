"""What DVC's cache holds and nothing names: neither the workspace, a fold, nor any commit that git still has.

`dvc gc --all-commits` says the same and resolves dvc.yaml of every commit for it: with 519 commits, 5 minutes and more.
dvc.lock changed in 18 of them.
"""

import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from skygen.tracking import FOLDS
from skygen.upkeep.dvc import DIRECTORY, Objects

_NAMED = re.compile(rb"\bmd5: '?([0-9a-f]{32}(?:\.dir)?)\b")  # in dvc.lock and in what `dvc add` writes
_FILES = ("dvc.lock", "*.dvc")
DAY_S = 86400
LEAST_DAYS = 1  # a stage that runs now may have cached what no dvc.lock names yet


class UnusedError(ValueError):
    """It cannot be told what of the cache is in use; the message says why."""


def unused_objects(cache: Objects, days: float) -> list[Path]:
    """The objects that nothing names, and that are older than `days`, and than a day in any case.

    Raises `UnusedError` where others may use the cache, or where it, or git's history, is not whole.
    """
    if not cache.folder.resolve().is_relative_to(Path.cwd().resolve()):
        raise UnusedError(f"{cache.folder} lies outside of this clone, and others may use it: see `dvc gc --projects`")
    used, found = _used(cache), cache.found()
    youngest = time.time() - max(days, LEAST_DAYS) * DAY_S
    return [path for md5, path in found.items() if md5 not in used and path.stat().st_mtime < youngest]


def _used(cache: Objects) -> set[str]:
    named = {match.decode() for content in _contents() for match in _NAMED.findall(content)}
    files = set[str]()
    for md5 in named:
        if md5.endswith(DIRECTORY) and cache.path(md5).is_file():
            listed = cache.files_of(md5)
            if listed is None:
                raise UnusedError(f"{cache.path(md5)} is damaged; `skygen verify --cache` says what to do")
            files |= set(listed.values())
    return named | files


def _contents() -> Iterator[bytes]:
    """dvc.lock and what `dvc add` wrote: here, in folds and copies of experiments, and as git had them at any time."""
    copies = (*FOLDS.glob("*/dvc.lock"), *Path(".dvc/tmp/exps").rglob("dvc.lock"))
    for path in (Path("dvc.lock"), *Path().glob("*.dvc"), *copies):
        if path.is_file():  # .dvc is a folder
            yield path.read_bytes()
    if subprocess.run(["git", "rev-parse"], capture_output=True, check=False).returncode == 0:
        yield from _history()


def _history() -> Iterator[bytes]:
    if _git("rev-parse", "--is-shallow-repository").strip() == b"true":
        raise UnusedError("this clone is shallow, so that older commits are not here: say `git fetch --unshallow`")
    changes = _git("log", "--all", "--reflog", "-m", "--format=", "--raw", "--no-abbrev", "--", *_FILES)
    blobs = {line.split()[3] for line in changes.splitlines()} - {b"0" * 40}
    for blob in sorted(blobs):
        yield _git("cat-file", "blob", blob.decode())


def _git(*arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], capture_output=True, check=True).stdout
