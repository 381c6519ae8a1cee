"""Releases: the Bento's bundles with the registry's champions, whole or not at all, the same bytes each time."""

import shutil
import sys
import tarfile

import numpy as np
import pytest

from pipelines import package
from skygen import tracking
from skygen.files import read_json, sha256_file, sha256_folder, write_json
from skygen.release import Champion, Contents, lay_out, write_release
from skygen.selection.promotion import bundle_folder
from tests.harness.commands import called
from tests.tracking.test_promotion import standing, versions

__all__ = ["versions"]

pytestmark = pytest.mark.usefixtures("registry")


def pack(folder, bento):
    """The folder of bundles as a Bento's file has it."""
    with tarfile.open(bento, "w:xz") as archive:
        archive.add(folder, "./src/bundles")
    return bento


@pytest.fixture
def bundles(project, tmp_path):
    """The bundles of a Bento whose champion is `bright`, of a time before `perfect` was trained."""
    folder = tmp_path / "bundles"
    (folder / "r64").mkdir(parents=True)
    np.save(folder / "r64/real.npy", np.ones((2, 1, 64, 64), np.float32))
    write_json(folder / "r64/real.json", {"source": "simulated", "split": "test", "fields": ["94-1-12"] * 2})
    packed = {f"r64/{recipe}": bundle_folder("r64", recipe, 0) for recipe in ("bright", "flat")}
    lay_out(folder, packed, {"r64": Champion("bright", packed["r64/bright"])})
    return folder


@pytest.fixture
def bento(bundles, tmp_path):
    """That Bento's file."""
    return pack(bundles, tmp_path / "skygen.bento")


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def hash_of(recipe):
    return sha256_folder(bundle_folder("r64", recipe, 0))


def test_the_registrys_champion_takes_its_place_and_the_bytes_are_the_same_each_time(versions, bento, tmp_path):
    versions("perfect")
    first = write_release(tmp_path / "first", bento)
    second = write_release(tmp_path / "second", bento)
    catalogue = read_json(tmp_path / "first/catalogue.json")

    assert first.notes == []
    assert catalogue["champions"] == {"r64": "perfect"}
    assert catalogue["versions"] == {"r64": "1"}
    assert catalogue["sha256"] == {f"r64/{recipe}": hash_of(recipe) for recipe in ("bright", "flat", "perfect")}
    assert sha256_folder(tmp_path / "first/r64/perfect") == hash_of("perfect")
    assert catalogue["real"] == {"r64": sha256_file(tmp_path / "first/r64/real.npy")}
    assert contents(tmp_path / "first") == contents(tmp_path / "second")
    assert first == second


def test_another_bundle_of_the_same_recipe_takes_its_recipes_place(project, bento, tmp_path):
    folder = bundle_folder("r64", "dealt", 0)
    tracking.promote("r64", tracking.register("r64", "flat", 7, folder, hash_of("dealt"), {}), None)
    released = write_release(tmp_path / "release", bento).contents

    assert released.champions == {"r64": "flat"}
    assert released.sha256 == {"r64/bright": hash_of("bright"), "r64/flat": hash_of("dealt")}
    assert sha256_folder(tmp_path / "release/r64/flat") == hash_of("dealt")


def test_a_champion_that_the_bento_holds_is_not_fetched(versions, bento, tmp_path, project):
    versions("flat")
    (project / "mlartifacts").rename(project / "mlartifacts-away")
    try:
        released = write_release(tmp_path / "release", bento).contents
    finally:
        (project / "mlartifacts-away").rename(project / "mlartifacts")

    assert (released.champions, released.versions) == ({"r64": "flat"}, {"r64": "1"})


def test_files_out_of_reach_are_no_reason_to_release_another_and_the_old_release_stays(
    versions, bento, tmp_path, project
):
    versions("flat", "perfect")
    write_release(tmp_path / "release", bento)
    before = contents(tmp_path / "release")
    tracking.promote("r64", "2", "1")
    (project / "mlartifacts").rename(project / "mlartifacts-away")
    try:
        with pytest.raises(ConnectionError, match=r"the files of version 2 of skygen-r64 lie in "):
            write_release(tmp_path / "release", bento)
    finally:
        (project / "mlartifacts-away").rename(project / "mlartifacts")

    assert contents(tmp_path / "release") == before
    assert write_release(tmp_path / "release", bento).contents.champions == {"r64": "perfect"}


@pytest.mark.parametrize("absent", ["nobody", "no file", "no mlflow"])
def test_without_a_registry_the_champions_are_the_bentos_and_it_is_said(
    absent, request, bento, tmp_path, monkeypatch, little_patience
):
    if absent == "no mlflow":
        monkeypatch.setitem(sys.modules, "skygen.tracking", None)
        monkeypatch.delattr("skygen.tracking")
    else:
        missing = f"sqlite:///{tmp_path / 'none.db'}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", missing if absent == "no file" else request.getfixturevalue(absent))
    ended = called(["release", str(tmp_path / "release"), "--bento", str(bento)])

    assert ended.returncode == 0
    assert ended.stderr.decode().startswith(f"the champions are those of {bento}, for the registry cannot be asked: ")
    assert ended.stdout.decode() == f"r64: bright {hash_of('bright')[:12]}\n"
    assert Contents.read(tmp_path / "release").versions == {}


def test_a_set_without_a_champion_in_the_registry_has_the_bentos(bento, tmp_path):
    released = write_release(tmp_path / "release", bento)

    assert released.contents.champions == {"r64": "bright"}
    assert released.notes == [f"the registry has no champion of r64: it is that of {bento}"]


def test_without_a_bento_the_champions_alone_are_released(versions, tmp_path):
    versions("perfect")
    released = write_release(tmp_path / "release", tmp_path / "none.bento")

    assert released.contents == Contents(
        champions={"r64": "perfect"}, sha256={"r64/perfect": hash_of("perfect")}, versions={"r64": "1"}
    )
    assert "no real tiles" in released.notes[0]


def test_with_neither_nothing_is_released(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'none.db'}")
    ended = called(["release", str(tmp_path / "release"), "--bento", str(tmp_path / "none.bento")])

    assert ended.returncode == 1
    assert b"none.bento: no such Bento, and no champion from a registry: there is no registry: " in ended.stderr
    assert not (tmp_path / "release").exists()


@pytest.mark.parametrize("damage", ["cut", "no archive", "bundle", "real", "empty"])
def test_a_damaged_bento_is_named_and_nothing_is_released(damage, versions, bundles, bento, tmp_path):
    versions("perfect")
    if damage == "cut":
        bento.write_bytes(bento.read_bytes()[:-2000])
    elif damage == "no archive":
        bento.write_bytes(b"a page of a proxy")
    elif damage == "empty":
        pack(bundles / "r64", bento)
    else:
        changed = bundles / ("r64/flat/card.json" if damage == "bundle" else "r64/real.npy")
        changed.write_bytes(changed.read_bytes() + b" ")
        pack(bundles, bento)
    with pytest.raises(ValueError, match=r"make it anew"):
        write_release(tmp_path / "release", bento)

    assert not (tmp_path / "release").exists()


def test_a_folder_that_holds_something_else_is_left(bento, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("all of it")
    with pytest.raises(FileExistsError, match="mine holds something else than a release"):
        write_release(tmp_path / "mine", bento)

    assert (tmp_path / "mine/thesis.txt").read_text() == "all of it"


def test_the_bento_holds_who_stands_and_not_the_challenger_that_was_refused(
    versions, registry, packaged, project, tmp_path
):
    """The comparison's best is worse than the champion, which is not among the comparison's bundles."""
    versions("perfect")
    packaged("bright")
    bundles = {"r64/bright": bundle_folder("r64", "bright", 0)}
    found = package.champions_of({"champions": {"r64": {"recipe": "bright", "seed": 0}}}, bundles, tmp_path)
    released = lay_out(tmp_path / "laid-out", bundles, found)

    assert standing(registry) == "perfect"
    assert (released.champions, released.versions) == ({"r64": "perfect"}, {"r64": "1"})
    assert released.sha256 == {"r64/bright": hash_of("bright"), "r64/perfect": hash_of("perfect")}


def test_the_stage_ends_where_the_champion_s_files_are_lost(versions, project, registry, tmp_path):
    versions("dealt")
    source = registry.get_model_version("skygen-r64", "1").source.removeprefix("models:/")
    (kept,) = project.glob(f"ml*/**/{source}/artifacts")
    kept.rename(tmp_path / "artifacts")
    try:
        with pytest.raises(tracking.NoChampionError, match="are lost; bring them back"):
            package.champions_of({"champions": {"r64": {}}}, {}, tmp_path / "fetched")
    finally:
        shutil.move(tmp_path / "artifacts", kept)
