"""Every stage of dvc.yaml depends on the code that it runs, so that a changed line re-runs what it changes."""

import ast
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
STAGES = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
# What all stages use and what tracks them: what these do to a result shows in params.yaml, or not at all.
PLUMBING = {
    f"src/skygen/{name}.py" for name in ("cores", "files", "locks", "params", "provenance", "proxies", "workers")
}


def file_of(module: str) -> Path | None:
    """The file of one of the library's modules; None for what is not ours or is a package."""
    path = ROOT / "src" / Path(*module.split(".")).with_suffix(".py")
    return path if path.is_file() else None


def imports(path: Path) -> set[Path]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {found for name in names if (found := file_of(name))}


def code_of(script: Path) -> set[Path]:
    """The script and all of the library that it imports, directly or not."""
    found, waiting = set(), {script}
    while waiting:
        path = waiting.pop()
        found.add(path)
        if path.relative_to(ROOT).as_posix() not in PLUMBING:
            waiting |= imports(path) - found
    return found


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_the_code_that_it_runs(stage: str) -> None:
    dependencies = STAGES[stage]["deps"]
    used = {path.relative_to(ROOT).as_posix() for path in code_of(ROOT / "pipelines" / f"{stage}.py")}
    missing = {
        name
        for name in used - PLUMBING
        if not any(name == part or name.startswith(f"{part}/") for part in dependencies)
    }
    assert missing == set()
