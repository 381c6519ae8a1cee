"""What is on disk, hashed again and held against what dvc.lock says: `dvc status` trusts times and names instead."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from skygen.upkeep.dvc import DIRECTORY, Objects, Output, ignored, md5_of, md5_of_list, read_outputs
from skygen.upkeep.hashing import hash_all


@dataclass(frozen=True)
class Finding:
    """Something wrong: where, what, and what to do."""

    path: Path | str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what}; {self.remedy}"


@dataclass
class Report:
    """What was found wrong, and how much was looked at."""

    findings: list[Finding] = field(default_factory=list)
    checked: int = 0

    def add(self, path: Path | str, what: str, remedy: str) -> None:
        """Something wrong."""
        self.findings.append(Finding(path, what, remedy))


class Clone:
    """The outputs of the current folder's stages and its cache, each asked of DVC when it is first needed."""

    @cached_property
    def outputs(self) -> Sequence[Output]:
        """What dvc.lock has; raises as `read_outputs`."""
        return read_outputs()

    @cached_property
    def cache(self) -> Objects:
        """The cache; raises as `Objects.cache`."""
        return Objects.cache()

    @cached_property
    def files(self) -> Mapping[Output, Mapping[str, str] | None]:
        """The hashes of each output's files by their paths in it; None where the list of a folder is not to be had."""
        return {
            output: self.cache.files_of(output.md5) if output.md5.endswith(DIRECTORY) else {"": output.md5}
            for output in self.outputs
        }

    @cached_property
    def users(self) -> Mapping[str, Sequence[tuple[Output, Path]]]:
        """The files in the workspace, with their outputs, that should have a hash."""
        found: dict[str, list[tuple[Output, Path]]] = defaultdict(list)
        for output, files in self.files.items():
            found[output.md5].append((output, output.path))
            for name, md5 in (files or {}).items():
                if name:
                    found[md5].append((output, output.path / name))
        return found


def verify_outputs(clone: Clone, report: Report) -> None:
    """Hash what the stages wrote into the workspace."""
    expected: dict[Path, tuple[Output, str]] = {}
    unlisted: list[Output] = []
    for output, files in clone.files.items():
        if not output.path.exists():
            report.add(output.path, f"missing, an output of {output.stage}", _bring(clone, output))
        elif files is None:
            unlisted.append(output)
        else:
            expected |= {output.path / name if name else output.path: (output, md5) for name, md5 in files.items()}
            _find_extra(output, files, report)
    for path, found in hash_all(list(expected), md5_of, "outputs"):
        output, md5 = expected[path]
        if found != md5:
            said = f"its MD5 is {found}, dvc.lock says {md5}" if path.exists() else f"missing in {output.path}"
            report.add(path, said, _bring(clone, output, remove=path.exists()))
    report.checked += len(expected)
    for output in unlisted:
        _verify_unlisted(clone, output, report)


def _find_extra(output: Output, files: Mapping[str, str], report: Report) -> None:
    """Say what lies in a folder and is not of it."""
    extra = [path for path in _walk(output.path) if path.relative_to(output.path).as_posix() not in files]
    if extra and files.keys() != {""}:
        for path in sorted(set(extra) - ignored(extra)):
            report.add(path, f"not of {output.path} by dvc.lock", f"remove it, or say `dvc repro {output.stage}`")


def _verify_unlisted(clone: Clone, output: Output, report: Report) -> None:
    """Hash a folder as a whole: the list of its files is not in the cache."""
    files = _listed(output.path)
    report.checked += len(files)
    if (found := md5_of_list(files)) != output.md5:
        report.add(output.path, f"its MD5 is {found}, dvc.lock says {output.md5}", _bring(clone, output, remove=True))


def verify_cache(clone: Clone, report: Report) -> None:
    """Hash every object of the cache, and say which one an output lacks."""
    objects = clone.cache.found()
    by_path = {path: md5 for md5, path in objects.items()}
    for path, found in hash_all(list(by_path), md5_of, "cache"):
        md5 = by_path[path]
        if found != md5.removesuffix(DIRECTORY):
            report.add(path, f"its MD5 is {found}, its name says {md5}", f"remove it, then {_again(clone, md5)}")
    report.checked += len(objects)
    for md5 in clone.users.keys() - objects.keys():
        report.add(clone.cache.path(md5), f"missing, {_whose(clone, md5)}", _again(clone, md5))


def _again(clone: Clone, md5: str) -> str:
    """How an object comes back into the cache."""
    for output, path in clone.users.get(md5, ()):
        here = _listed(path) if path.is_dir() else {}
        sound = md5_of_list(here) == md5 if here else path.is_file() and md5_of(path) == md5
        return f"say `dvc commit {output.path}`" if sound else f"say {_pull_or_repro(output)}"
    return "nothing else: no output of dvc.lock needs it"


def _listed(folder: Path) -> dict[str, str]:
    """The hashes of a folder's files by their paths in it, but of those that DVC ignores."""
    here = _walk(folder)
    here = sorted(set(here) - ignored(here))
    return {path.relative_to(folder).as_posix(): md5 for path, md5 in hash_all(here, md5_of, str(folder))}


def _whose(clone: Clone, md5: str) -> str:
    return ", ".join(str(path) for _, path in clone.users[md5])


def _bring(clone: Clone, output: Output, *, remove: bool = False) -> str:
    """How an output comes back into the workspace."""
    needed = {output.md5, *(clone.files[output] or {}).values()}
    here = clone.files[output] is not None and all(clone.cache.holds(md5) for md5 in needed)
    say = f"`dvc checkout {output.path}`" if here else _pull_or_repro(output)
    return f"remove it, then say {say}" if remove else f"say {say}"


def _pull_or_repro(output: Output) -> str:
    return f"`dvc pull {output.path}` where a remote has it, else `dvc repro {output.stage}`"


def _walk(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else []
