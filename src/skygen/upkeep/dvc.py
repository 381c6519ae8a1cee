"""What DVC knows of the clone, by its own commands and by dvc.lock: outputs, the cache, and what a remote holds."""

import hashlib
import json
import re
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml import YAML

from skygen.folds.stages import cache_folder, dvc

DIRECTORY = ".dir"  # ends the hash of a folder, which is that of the list of its files
OBJECTS = Path("files/md5")  # in the cache and in remotes: a file an object, named by its hash
_OBJECT = re.compile(r"([0-9a-f]{2})/([0-9a-f]{30}(?:\.dir)?)")
_REMOTE = re.compile(r"remote\.(.+)\.url=(.*)")
_PREFIX = re.compile(r"^ERROR: (?:(?:unexpected error|configuration error|config file error) - )?")


class DvcError(ChildProcessError):
    """DVC refused; the message has its own reason."""


@dataclass(frozen=True)
class Output:
    """What a stage wrote, as dvc.lock has it."""

    stage: str
    path: Path
    md5: str  # of its bytes; of a folder that of its list, with the ending .dir


class Objects:
    """A folder of objects, each named by the MD5 of its content: the cache, or a remote that is a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / OBJECTS

    @classmethod
    def cache(cls) -> "Objects":
        """The clone's cache; raises `StageError` where this is no clone."""
        return cls(cache_folder())

    def path(self, md5: str) -> Path:
        """Where the object with a hash lies, if it is there."""
        return self.folder / md5[:2] / md5[2:]

    def found(self) -> dict[str, Path]:
        """All that are there, by their hashes."""
        places = (path.relative_to(self.folder).as_posix() for path in sorted(self.folder.glob("*/*")))
        return {md5: self.path(md5) for md5 in hashes_in(places)}

    def files_of(self, directory: str) -> dict[str, str] | None:
        """The hashes of a folder's files by their paths in it; None where its list is missing or damaged."""
        if not self.holds(directory):
            return None
        return {entry["relpath"]: entry["md5"] for entry in json.loads(self.path(directory).read_bytes())}

    def holds(self, md5: str) -> bool:
        """Whether the object with a hash is there, and is what its name says."""
        path = self.path(md5)
        return path.is_file() and md5_of(path) == md5.removesuffix(DIRECTORY)


def md5_of(path: Path) -> str:
    """The MD5 of a file's bytes, in hexadecimal, by which DVC names it."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def md5_of_list(files: dict[str, str]) -> str:
    """The hash by which DVC names a folder with these files: hashes by paths in it."""
    entries = [{"md5": files[name], "relpath": name} for name in sorted(files)]
    return hashlib.md5(json.dumps(entries).encode(), usedforsecurity=False).hexdigest() + DIRECTORY


def hashes_in(places: Iterable[str]) -> Iterator[str]:
    """The hashes of objects, by their places below `files/md5`; what is no object is left out."""
    return ("".join(match.groups()) for place in places if (match := _OBJECT.fullmatch(place)))


def read_outputs() -> list[Output]:
    """The outputs, by dvc.lock, of the stages that dvc.yaml has.

    Raises `FileNotFoundError` where there is no dvc.lock, `DvcError` where this is no clone.
    """
    lock = Path("dvc.lock")
    if not lock.is_file():
        raise FileNotFoundError("dvc.lock: no such file; give this command in a clone whose pipeline was run")
    stages = YAML(typ="safe").load(lock)["stages"]
    return [
        Output(name, Path(out["path"]), out["md5"])
        for name in ask("stage", "list", "--name-only").split()
        for out in stages.get(name, {}).get("outs", [])
        if "md5" in out
    ]


def ignored(paths: Iterable[Path]) -> set[Path]:
    """Those of some paths that .dvcignore leaves out."""
    done = _run("check-ignore", "--stdin", given="".join(f"{path}\n" for path in paths))  # its status says how many
    return {Path(line) for line in done.stdout.splitlines()}


def remotes() -> dict[str, str]:
    """The addresses of the remotes by their names; a folder's is absolute."""
    found = map(_REMOTE.fullmatch, ask("config", "--list").splitlines())
    return {match[1]: match[2] for match in found if match}


def hashes_in_remote(name: str) -> set[str]:
    """The hashes of all objects that a remote of any kind holds, asked anew; raises `DvcError` with DVC's reason."""
    names = (line.strip() for line in ask("list-url", "--recursive", f"remote://{name}").splitlines())
    prefix = f"{OBJECTS.as_posix()}/"
    return set(hashes_in(line.removeprefix(prefix) for line in names if line.startswith(prefix)))


def ask(*arguments: str) -> str:
    """What `dvc ARGUMENTS` prints; raises `DvcError` with its reason where it fails."""
    done = _run(*arguments)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
        raise DvcError(_PREFIX.sub("", lines[0]) if lines else done.stderr.strip())
    return done.stdout


def _run(*arguments: str, given: str | None = None) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(dvc(*arguments), input=given, capture_output=True, text=True, check=False)
