"""What the stages of dvc.yaml depend on, for those who run stages in folders of their own."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from skygen.files import sha256_file, sha256_folder

MADE = ("data", "models", "reports")  # folders that stages write


def declared() -> dict[str, Any]:
    """The stages of the clone's dvc.yaml; raises `FileNotFoundError` where the current folder is no clone."""
    stages: dict[str, Any] = YAML(typ="safe").load(Path("dvc.yaml"))["stages"]
    return stages


def sources_of(stages: Mapping[str, Any], tiles: str) -> list[Path]:
    """The files and folders of the clone that the stages of a tile set depend on, but for what stages make."""
    needed = {path.replace("${item.set}", tiles) for stage in stages.values() for path in stage["deps"]}
    return sorted(path for path in map(Path, needed) if path.parts[0] not in MADE and path.exists())


def hashes_of(sources: Iterable[Path]) -> list[str]:
    """The SHA-256 of each: of code alone below `src`, which holds what Python leaves there too."""
    return [
        sha256_folder(path, "*.py" if path.parts[0] == "src" else "*") if path.is_dir() else sha256_file(path)
        for path in sources
    ]
