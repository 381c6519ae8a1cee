"""DVC stage package: comparison → champions in MLflow's registry → one Bento of them and every recipe's best bundle.

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
from skygen import release, tracking
from skygen.files import read_json, sha256_folder, write_atomically, write_json
from skygen.params import Params, load_or_end
from skygen.release import Champion, champion_of
from skygen.selection.promotion import bundle_folder, challenge_champion
from skygen.tiles.store import TileStore

BENTO = Path("dist/skygen.bento")
SERVICE = "serving.service:Skygen"
REAL_TILES = 24  # a set, for who compares by eye: 4.7 MB of 128 x 128 x 3


def main() -> None:
    """Let the best of reports/comparison.json challenge the registry's champions, and export a Bento of who stands."""
    params, comparison = load_or_end(), read_json(Path("reports/comparison.json"))
    bundles = {
        f"{tiles}/{recipe}": bundle_folder(tiles, recipe, seed)
        for tiles, recipes in comparison["bundles"].items()
        for recipe, seed in recipes.items()
    }
    with TemporaryDirectory(prefix="skygen-package-") as temporary:
        stage = Path(temporary) / "stage"
        try:
            with tracking.contest():
                register_all(comparison, {name: sha256_folder(folder) for name, folder in bundles.items()}, params)
                lay_out(stage, bundles, champions_of(comparison, bundles, Path(temporary)), params.frames.source)
        except (ConnectionError, BlockingIOError, tracking.NoChampionError) as error:
            sys.exit(f"{error}; then run the stage package again")
        exported = build(stage, Path(temporary) / "bentoml")
        with write_atomically(BENTO) as target:
            shutil.copyfile(exported, target)
    print(f"{BENTO}: {BENTO.stat().st_size / 1e6:.1f} MB")


def register_all(comparison: dict[str, Any], hashes: dict[str, str], params: Params) -> None:
    """Let the best of every tile set challenge the champion that stands, and print what became of it.

    The stage fails where the registry does not answer, so that DVC runs it again, or where another process
    compares champions; no champion loses its alias by that.
    """
    for tiles, champion in comparison["champions"].items():
        name, sha256 = f"skygen-{tiles}@champion", hashes[f"{tiles}/{champion['recipe']}"]
        try:
            with tracking.contest():
                print(f"{name}: {challenge_champion(tiles, comparison, sha256, params)}")
        except (ConnectionError, BlockingIOError) as error:
            sys.exit(f"{name} stays as it was: {error}; then run the stage package again")


def champions_of(comparison: dict[str, Any], bundles: dict[str, Path], folder: Path) -> dict[str, Champion]:
    """The champion of every tile set in the registry, fetched below `folder` where it is none of `bundles`.

    Raises as `champion_of`.
    """
    return {
        tiles: champion_of(tracking.registered(tiles), bundles, folder / f"champion-{tiles}")
        for tiles in comparison["champions"]
    }


def lay_out(stage: Path, bundles: dict[str, Path], champions: dict[str, Champion], source: str) -> None:
    """Put all that the Bento holds into `stage`: the service, the package `skygen`, bundles and a bentofile.

    With the bundles of a set go real tiles of it, whose frames come from `source`.
    """
    without_caches = shutil.ignore_patterns("__pycache__")
    shutil.copytree("serving", stage / "serving", ignore=without_caches)
    shutil.copytree(Path(skygen.__file__).parent, stage / "skygen", ignore=without_caches)
    for tiles in champions:
        lay_out_real(stage / "bundles" / tiles, TileStore.open(Path("data/tiles") / tiles), source)
    contents = release.lay_out(stage / "bundles", bundles, champions)
    write_json(stage / "bentofile.yaml", bentofile(contents))  # JSON is YAML


def lay_out_real(folder: Path, store: TileStore, source: str) -> None:
    """Put test tiles, evenly spaced over their fields, into `folder`: real.npy in nmgy, and real.json about them."""
    held_out = store.split("test")
    fields, chosen = held_out.fields(), np.unique(np.linspace(0, len(held_out) - 1, REAL_TILES).astype(int))
    with write_atomically(folder / "real.npy") as temporary, temporary.open("wb") as file:
        np.save(file, held_out.batch(chosen), allow_pickle=False)
    write_json(folder / "real.json", {"source": source, "split": "test", "fields": [fields[i] for i in chosen]})


def bentofile(contents: release.Contents) -> dict[str, Any]:
    """BentoML's description of the build; its labels are the bundles' hashes and the champions."""
    lock = Path("requirements.lock").read_text(encoding="utf-8")
    hashes = {name.replace("/", "."): sha256 for name, sha256 in contents.sha256.items()}
    return {
        "service": SERVICE,
        "name": "skygen",
        "description": "Synthetic tiles of the SDSS sky, in nanomaggies: see POST /v1/generate and GET /v1/models.",
        "labels": hashes | {f"{tiles}.champion": recipe for tiles, recipe in contents.champions.items()},
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
