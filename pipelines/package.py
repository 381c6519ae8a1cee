"""DVC stage package: comparison → one Bento that serves every best bundle, and the champions in MLflow's registry.

Usage: python pipelines/package.py
"""

import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import skygen
from skygen import tracking
from skygen.bundle.bundle import Bundle
from skygen.files import read_json, sha256_file, sha256_folder, write_atomically, write_json
from skygen.params import Params, load_or_end
from skygen.selection.promotion import bundle_folder, challenge_champion
from skygen.tiles.store import TileStore

BENTO = Path("dist/skygen.bento")
SERVICE = "serving.service:Skygen"
REAL_TILES = 24  # a set, for who compares by eye: 4.7 MB of 128 x 128 x 3


def main() -> None:
    """Export the Bento of what reports/comparison.json chose, and let its champions challenge those of the registry."""
    params, comparison = load_or_end(), read_json(Path("reports/comparison.json"))
    seeds: dict[str, dict[str, int]] = comparison["bundles"]
    champions = {tiles: champion["recipe"] for tiles, champion in comparison["champions"].items()}
    with TemporaryDirectory(prefix="skygen-package-") as temporary:
        stage = Path(temporary) / "stage"
        hashes = lay_out(stage, champions, seeds, params.frames.source)
        exported = build(stage, Path(temporary) / "bentoml")
        with write_atomically(BENTO) as target:
            shutil.copyfile(exported, target)
    print(f"{BENTO}: {BENTO.stat().st_size / 1e6:.1f} MB")
    register_all(comparison, hashes, params)


def register_all(comparison: dict[str, Any], hashes: dict[str, str], params: Params) -> None:
    """Let the champion of every tile set challenge the one that stands, and print what became of it.

    The stage fails where the registry does not answer, so that DVC runs it again, or where another process
    compares champions; no champion loses its alias by that.
    """
    for tiles, champion in comparison["champions"].items():
        name, sha256 = f"skygen-{tiles}@champion", hashes[f"{tiles}.{champion['recipe']}"]
        try:
            with tracking.contest():
                print(f"{name}: {challenge_champion(tiles, comparison, sha256, params)}")
        except (ConnectionError, BlockingIOError) as error:
            sys.exit(f"{name} stays as it was: {error}; then run the stage package again")


def lay_out(stage: Path, champions: dict[str, str], seeds: dict[str, dict[str, int]], source: str) -> dict[str, str]:
    """Put all that the Bento holds into `stage`: the service, the package `skygen`, bundles and a bentofile.

    With the bundles of a set go real tiles of it, whose frames come from `source`. Gives back the bundles' hashes by
    SET.RECIPE.
    """
    without_caches = shutil.ignore_patterns("__pycache__")
    shutil.copytree("serving", stage / "serving", ignore=without_caches)
    shutil.copytree(Path(skygen.__file__).parent, stage / "skygen", ignore=without_caches)
    hashes: dict[str, str] = {}
    for tiles, recipes in seeds.items():
        for recipe, seed in recipes.items():
            folder = bundle_folder(tiles, recipe, seed)
            hashes[f"{tiles}.{recipe}"] = Bundle.load(folder).sha256
            shutil.copytree(folder, stage / "bundles" / tiles / recipe)
        lay_out_real(stage / "bundles" / tiles, TileStore.open(Path("data/tiles") / tiles), source)
    by_path = {name.replace(".", "/"): sha256 for name, sha256 in hashes.items()}
    real = {tiles: sha256_file(stage / "bundles" / tiles / "real.npy") for tiles in seeds}
    write_json(stage / "bundles" / "catalogue.json", {"champions": champions, "sha256": by_path, "real": real})
    write_json(stage / "bentofile.yaml", bentofile(champions, hashes))  # JSON is YAML
    return hashes


def lay_out_real(folder: Path, store: TileStore, source: str) -> None:
    """Put test tiles, evenly spaced over their fields, into `folder`: real.npy in nmgy, and real.json about them."""
    held_out = store.split("test")
    fields, chosen = held_out.fields(), np.unique(np.linspace(0, len(held_out) - 1, REAL_TILES).astype(int))
    with write_atomically(folder / "real.npy") as temporary, temporary.open("wb") as file:
        np.save(file, held_out.batch(chosen), allow_pickle=False)
    write_json(folder / "real.json", {"source": source, "split": "test", "fields": [fields[i] for i in chosen]})


def bentofile(champions: dict[str, str], hashes: dict[str, str]) -> dict[str, Any]:
    """BentoML's description of the build; its labels are the bundles' hashes and the champions."""
    lock = Path("requirements.lock").read_text(encoding="utf-8")
    return {
        "service": SERVICE,
        "name": "skygen",
        "description": "Synthetic tiles of the SDSS sky, in nanomaggies: see POST /v1/generate and GET /v1/models.",
        "labels": hashes | {f"{tiles}.champion": recipe for tiles, recipe in champions.items()},
        "python": {"packages": serving_requirements(lock), "lock_packages": False},
    }


def serving_requirements(lock: str) -> list[str]:
    """The lines of `lock` that serving needs: what skygen[serve] requires, and all that this requires in turn."""
    pins = {canonicalize_name(pin.split("==")[0]): pin for pin in re.findall(r"(?m)^[\w.-]+==\S+", lock)}
    found: set[str] = set()
    wanted = [Requirement("skygen[serve]")]
    while wanted:
        requirement = wanted.pop()
        key = str(requirement)
        if key not in found:
            found.add(key)
            wanted += _requirements_of(requirement)
    names = {canonicalize_name(Requirement(key).name) for key in found}
    return sorted(pins[name] for name in names if name in pins)


def _requirements_of(requirement: Requirement) -> list[Requirement]:
    extras = {"", *requirement.extras}
    try:
        needed = [Requirement(line) for line in metadata.requires(requirement.name) or []]
    except metadata.PackageNotFoundError:  # a requirement of another platform's build
        return []
    return [need for need in needed if not need.marker or any(need.marker.evaluate({"extra": e}) for e in extras)]


def build(stage: Path, home: Path) -> Path:
    """The exported Bento of a stage, built offline with a BentoML home of its own; its content gives its version."""
    home.mkdir()
    version = sha256_folder(stage)[:16]
    exported = home.resolve() / "skygen.bento"
    isolation = {"BENTOML_HOME": str(home.resolve()), "BENTOML_DO_NOT_TRACK": "True", "PYTHONDONTWRITEBYTECODE": "1"}
    for arguments in (["build", "--quiet", "--version", version, "."], ["export", f"skygen:{version}", str(exported)]):
        command = [sys.executable, "-m", "bentoml", *arguments]
        subprocess.run(command, cwd=stage, env=os.environ | isolation, check=True)
    return exported


if __name__ == "__main__":
    main()
