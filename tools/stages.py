"""Write into dvc.yaml which code each stage depends on: what its script imports.

A folder that a stage uses whole stands as one line. What reads params, finds its machine, writes files or tracks runs
(`_GROUND`) is left out: what a change there does to a result shows in params.yaml, or not at all.
"""

import ast
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq

ROOT = Path(__file__).parents[1]
LISTS = ROOT / "dvc.yaml"
_LIBRARY = ROOT / "src" / "skygen"
_GROUND = {
    _LIBRARY / name
    for name in (
        "cores.py",
        "files.py",
        "graphs.py",
        "locks.py",
        "params",
        "provenance.py",
        "web.py",
        "tracking",
        "workers.py",
    )
}
_WHOLE = {"package": (ROOT / "serving", _LIBRARY)}  # what a stage packs, though its script does not import it


def script_of(stage: str) -> str:
    """The script that a stage runs, by its path in the project."""
    return str(YAML(typ="safe").load(LISTS)["stages"][stage]["cmd"].split()[1])


def code_of(stage: str) -> list[str]:
    """The files and folders of the code of a stage, by their paths in the project."""
    script = ROOT / script_of(stage)
    whole = _WHOLE.get(stage, ())
    used = {path for path in _closure(script) if not any(path.is_relative_to(folder) for folder in whole)}
    used |= {beside for path in used for beside in path.parent.glob(f"{path.stem}.*")}  # such as its template
    return [path.relative_to(ROOT).as_posix() for path in sorted({*_folded(used), *whole} - {script})]


def lists() -> dict[str, list[str]]:
    """The dependencies of every stage of dvc.yaml as they are to be: its script, its code, then what is no code."""
    stages = YAML(typ="safe").load(LISTS)["stages"]
    return {
        name: [script_of(name), *code_of(name), *(path for path in stage["deps"] if not is_code(path))]
        for name, stage in stages.items()
    }


def is_code(path: str) -> bool:
    """Whether a dependency is code of the project."""
    return path.partition("/")[0] in {"pipelines", "serving", "src"}


def main() -> None:
    """Write the lists into dvc.yaml, which keeps its comments; say which stages changed."""
    yaml = YAML()
    yaml.preserve_quotes, yaml.width = True, 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    content = yaml.load(LISTS)
    for name, wanted in lists().items():
        now = content["stages"][name]["deps"]
        if list(now) != wanted:
            quoted = {str(path): path for path in now}  # as they are written
            content["stages"][name]["deps"] = CommentedSeq(quoted.get(path, path) for path in wanted)
            sys.stdout.write(f"{name}\n")
    yaml.dump(content, LISTS)


def _closure(script: Path) -> set[Path]:
    """The script and the files of the library that it imports, directly or not, but for those that hold no code."""
    found, waiting = set[Path](), {script}
    while waiting:
        path = waiting.pop()
        found.add(path)
        waiting |= {file for file in _imported(path) if not _is_ground(file)} - found
    return {path for path in found if _has_code(path)}


def _imported(path: Path) -> set[Path]:
    text = path.read_text(encoding="utf-8")
    names = set[str]()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    beside = path.parent.glob("*.py") if "iter_modules(" in text else ()  # a table imports whatever lies beside it
    return {*beside, *(file for name in names for file in _files_of(name))}


def _files_of(module: str) -> Iterator[Path]:
    """The file of a module of the library, and those of the packages that it lies in, which its import runs."""
    parts = module.split(".")
    if parts[0] != "skygen":
        return
    for end in range(2, len(parts) + 1):
        place = _LIBRARY.joinpath(*parts[1:end])
        yield from (file for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file())


def _is_ground(file: Path) -> bool:
    return any(file.is_relative_to(ground) for ground in _GROUND)


def _has_code(path: Path) -> bool:
    """Whether a file is more than the docstring of a package."""
    return path.name != "__init__.py" or len(ast.parse(path.read_text(encoding="utf-8")).body) > 1


def _folded(files: Iterable[Path]) -> set[Path]:
    """The files, but a folder of the library in the place of all that it holds."""
    kept = set(files)
    folders = sorted({path for path in _LIBRARY.rglob("*") if path.is_dir()}, key=lambda path: -len(path.parts))
    for folder in folders:
        inside = {path for path in folder.iterdir() if path.name != "__pycache__" and _has_code(path)}
        if len(inside) > 1 and inside <= kept:
            kept = kept - inside | {folder}
    return kept


if __name__ == "__main__":
    main()
