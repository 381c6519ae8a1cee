"""Say which stages have changed since dvc.lock was written: `make fresh`. It needs a clone, and neither data nor cache.

DVC compares code, parameters and commands with dvc.lock. What stages hand to each other may be absent here: of it,
dvc.lock must only say the same twice, where it was written and where it was read.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML


def main(project: Path) -> None:
    """End with one line a stage where the dvc.lock of `project` is stale."""
    command = [sys.executable, "-m", "dvc", "status", "--json"]
    status = json.loads(subprocess.run(command, check=True, cwd=project, stdout=subprocess.PIPE).stdout)
    lock = YAML(typ="safe").load(project / "dvc.lock")["stages"]
    if stale := sorted({*changed(status, lock), *disagreeing(lock)}):
        sys.exit("\n".join([*stale, "dvc.lock is stale: say make repro, and commit dvc.lock"]))
    print(f"dvc.lock is up to date: {len(lock)} stages")


def changed(status: dict[str, list[Any]], lock: dict[str, Any]) -> Iterator[str]:
    """What differs, of the answer of `dvc status --json`, apart from files that stages write."""
    made = [Path(out["path"]) for stage in lock.values() for out in stage.get("outs", [])]
    for stage, entries in status.items():
        for entry in entries:
            if isinstance(entry, str):
                yield f"{stage}: {entry}"
                continue
            for path, how in entry.get("changed deps", {}).items():
                if not any(Path(path).is_relative_to(out) or out.is_relative_to(path) for out in made):
                    yield f"{stage}: {path} " + (how if isinstance(how, str) else ", ".join(how))


def disagreeing(lock: dict[str, Any]) -> Iterator[str]:
    """Stages that read another version of a file or folder than the stage that makes it wrote last."""
    wrote = {out["path"]: (name, out["md5"]) for name, stage in lock.items() for out in stage.get("outs", [])}
    for name, stage in lock.items():
        for dep in stage.get("deps", []):
            writer, version = wrote.get(dep["path"], ("", dep["md5"]))
            if version != dep["md5"]:
                yield f"{name}: {dep['path']} is of another run than that of {writer}"


if __name__ == "__main__":
    main(Path.cwd())
