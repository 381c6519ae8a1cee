"""A clone that moves keeps its champions: real stores, renamed, copied, cut off, opened from an experiment's copy."""

import fcntl
import importlib
import inspect
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient
from sqlalchemy import inspect as inspect_table

from skygen import tracking
from skygen.files import sha256_folder
from skygen.tracking.places import PLACES, checkpoints, clone, keep_relative
from skygen.tracking.store import chosen_store

AUTHOR = """
import sys
from pathlib import Path
from skygen import tracking
from skygen.files import sha256_folder
folder = Path(sys.argv[1])
tracking.promote("r64", tracking.register("r64", "gan", 0, folder, sha256_folder(folder), {}), None)
"""
PLAIN = """
import sys, mlflow
mlflow.set_tracking_uri("sqlite:///mlflow.db")
print(mlflow.pyfunc.load_model("models:/skygen-r64@champion").predict({"seed": 7, "n": 1}).shape)
"""


def python(code, folder, *arguments):
    """What a process of its own prints, in `folder` and with the local store."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    command = [sys.executable, "-W", "ignore", "-c", code, *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def crowned(tmp_path_factory, write_bundle):
    """A clone whose store has a champion, and the champion's bundle; to be copied, not changed."""
    folder = tmp_path_factory.mktemp("crowned")
    write_bundle(folder / "bundle", seed=90)
    (folder / "clone").mkdir()
    python(AUTHOR, folder / "clone", folder / "bundle")
    return folder


@pytest.fixture
def moved(crowned, tmp_path, monkeypatch):
    """The clone with a champion at another place, as the current folder, with its local store in use."""
    place = shutil.copytree(crowned / "clone", tmp_path / "another place")
    monkeypatch.chdir(place)
    uri = f"sqlite:///{place}/mlflow.db"  # MLflow keeps a connection to each address: a relative one would be old
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return place


def as_of_old(folder, root):
    """Make the places in a store absolute, as MLflow and earlier versions of this project wrote them."""
    with closing(sqlite3.connect(folder / "mlflow.db")) as database, database:
        for table, column in PLACES.items():
            change = f"UPDATE {table} SET {column} = ? || {column}"  # noqa: S608 # the names are ours
            database.execute(change, (f"{root.as_uri()}/",))


def places(folder):
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        of_tables = [f"SELECT {column} FROM {table}" for table, column in PLACES.items()]  # noqa: S608 # they are ours
        return {place for (place,) in database.execute(" UNION ".join(of_tables))}


def test_nothing_stored_names_a_place_of_this_machine(crowned):
    with closing(sqlite3.connect(crowned / "clone/mlflow.db")) as database:
        assert not [line for line in database.iterdump() if str(crowned) in line]
    for path in (crowned / "clone/mlartifacts").rglob("*"):
        assert not (path.is_file() and str(crowned).encode() in path.read_bytes()), path


def test_a_moved_clone_loads_its_champion_by_mlflow_alone(moved):
    assert python(PLAIN, moved).strip() == "(1, 1, 64, 64)"


def test_a_moved_clone_s_champion_stands_and_new_artifacts_come_to_it(moved, crowned, tmp_path):
    standing = tracking.standing_champion("r64", tmp_path / "fetched")
    client = MlflowClient(chosen_store())
    (run,) = client.search_runs([client.get_experiment_by_name("skygen").experiment_id])
    (moved / "new.txt").write_text("new")
    client.log_artifact(run.info.run_id, "new.txt")

    assert sha256_folder(standing.folder) == sha256_folder(crowned / "bundle")
    assert (moved / f"mlartifacts/{run.info.run_id}/artifacts/new.txt").is_file()


@pytest.mark.parametrize("old", ["gone", "still there"])
def test_a_store_of_earlier_versions_is_healed_where_its_clone_was_moved_or_copied(old, moved, tmp_path):
    former = tmp_path / "former place"
    if old == "still there":
        shutil.copytree(moved, former)
    as_of_old(moved, former)
    standing = tracking.standing_champion("r64", tmp_path / "fetched")

    assert standing.folder is not None
    assert not [place for place in places(moved) if not place.startswith(("mlartifacts", "mlruns"))]
    assert python(PLAIN, moved).strip() == "(1, 1, 64, 64)"


def test_healing_again_and_by_two_at_once_changes_nothing_more(moved, tmp_path):
    before = places(moved)
    as_of_old(moved, tmp_path / "former")
    heal = "from skygen import tracking\ntracking.keep_relative(tracking.LOCAL)"
    command = [sys.executable, "-W", "ignore", "-c", heal]
    running = [subprocess.Popen(command, cwd=moved) for _ in range(2)]

    assert [process.wait() for process in running] == [0, 0]
    assert places(moved) == before
    keep_relative(tracking.LOCAL)
    assert places(moved) == before


def test_a_store_just_begun_has_nothing_to_heal(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    keep_relative(tracking.LOCAL)
    assert not Path("mlflow.db").exists()
    Path("mlflow.db").touch()
    keep_relative(tracking.LOCAL)


def test_mlflow_keeps_places_where_we_know_them():
    """Fails where MLflow's schema changes: then `PLACES` must follow."""
    importlib.import_module("mlflow.store.tracking.sqlalchemy_store")
    known = [importlib.import_module(f"mlflow.store.{kind}.dbmodels.models") for kind in ("tracking", "model_registry")]
    tables = {
        value.__tablename__: [column.name for column in inspect_table(value).columns]
        for module in known
        for _, value in inspect.getmembers(module, inspect.isclass)
        if hasattr(value, "__tablename__")
    }
    told = ("artifact_location", "artifact_uri", "storage_location", "artifact_path", "artifact_root")
    found = {(table, column) for table, columns in tables.items() for column in columns if column in told}

    assert found == set(PLACES.items())


@pytest.mark.parametrize("way", ["moved away", "an empty mount", "another machine's"])
def test_a_champion_out_of_reach_is_named_and_keeps_its_place(way, moved, tmp_path):
    if way == "another machine's":
        as_of_old(moved, tmp_path / "mount")
    shutil.move(moved / "mlartifacts", tmp_path / "away")
    if way == "an empty mount":
        (moved / "mlartifacts").mkdir()
    where = tmp_path / "mount/mlartifacts" if way == "another machine's" else moved / "mlartifacts"

    with pytest.raises(ConnectionError, match=f"version 1 of skygen-r64 lie in {where}, which cannot be reached"):
        tracking.standing_champion("r64", tmp_path / "fetched")
    assert MlflowClient(chosen_store()).get_model_version_by_alias("skygen-r64", "champion").version in (1, "1")
    back = where.parent / "mlartifacts"
    shutil.rmtree(back, ignore_errors=True)
    back.parent.mkdir(exist_ok=True)
    shutil.move(tmp_path / "away", back)
    assert tracking.standing_champion("r64", tmp_path / "again").folder is not None


def test_a_champion_whose_files_are_gone_from_their_place_is_lost_aloud(moved, tmp_path, caplog):
    (model,) = (moved / "mlartifacts/models").iterdir()
    shutil.rmtree(model)
    (moved / "mlartifacts/another run").mkdir()

    assert tracking.standing_champion("r64", tmp_path / "fetched").folder is None
    assert "version 1 of skygen-r64 is lost: mlartifacts is there" in caplog.text


def test_an_experiment_of_dvc_in_a_temporary_copy_writes_to_the_clone(moved, bundle_of, trained, monkeypatch):
    copy = moved / ".dvc/tmp/exps/standalone/tmpabc"
    copy.mkdir(parents=True)
    folder = bundle_of(91)
    with monkeypatch.context() as patch:
        patch.chdir(copy)
        assert clone() == moved
        assert checkpoints() == moved / ".checkpoints"
        version = tracking.register("r64", "gan", 1, folder, sha256_folder(folder), {})
        tracking.promote("r64", version, "1")
    shutil.rmtree(copy)

    assert tracking.standing_champion("r64", moved / "fetched").sha256 == sha256_folder(folder)
    assert not [place for place in places(moved) if not place.startswith(("mlartifacts", "mlruns"))]
    assert python(PLAIN, moved).strip() == "(1, 1, 64, 64)"


def test_whoever_finds_champions_being_compared_says_so(moved):
    with tracking.contest():
        code = "from skygen import tracking\ntry: tracking.promote('r64', '1', '1')\nexcept OSError as e: print(e)"
        assert "mlflow.db.lock): another run, process" in python(code, moved)
        tracking.promote("r64", "1", "1")  # this process may
    with (moved / "mlflow.db.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_an_alias_that_another_clone_moves_at_the_same_time_is_noticed(moved, monkeypatch):
    set_alias = MlflowClient.set_registered_model_alias

    def outdone(client, name, alias, version):
        set_alias(client, name, alias, version)
        client.delete_registered_model_alias(name, alias)

    monkeypatch.setattr(mlflow.MlflowClient, "set_registered_model_alias", outdone)
    with pytest.raises(BlockingIOError, match="was made champion by another at the same time as version 1"):
        tracking.promote("r64", "1", "1")
