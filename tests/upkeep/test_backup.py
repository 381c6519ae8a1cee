"""A store with runs and a champion is lost, and comes back: from a file, and from a PostgreSQL that runs here."""

import os
import shutil
import sqlite3
import subprocess
import warnings
from contextlib import closing
from urllib.parse import quote

import mlflow
import pytest

from skygen import tracking
from skygen.bundle.bundle import Bundle
from tests.harness.commands import called
from tests.programs import program
from tools.rehearse.programs import free_port

PASSWORD = "word@of/ours"  # noqa: S105 # of a cluster that ends with its test; an address must quote it


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty clone that one works in."""
    yield work_in(tmp_path / "clone", monkeypatch)
    mlflow.set_tracking_uri(None)
    os.environ.pop("MLFLOW_EXPERIMENT_ID", None)  # MLflow leaves it to processes that follow


def work_in(folder, monkeypatch):
    """A new folder that is the current one, its store named in full: MLflow keeps a connection for each name."""
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
    return folder


@pytest.fixture
def champion(home, write_bundle):
    """The hash of a champion that was trained, measured and registered in the store in use."""

    def make():
        folder = home / "bundle"
        write_bundle(folder)
        sha256 = Bundle.load(folder).sha256
        (home / ".checkpoints").mkdir(exist_ok=True)
        with tracking.training_run(home / ".checkpoints/aa.pt", "r64-gan-0", {}, {}, home, "f" * 64, ["r"]) as log:
            log.metrics({"validation_score": 2.0}, 32)
            log.bundle(folder, sha256, [])
        tracking.log_evaluation("r64", "gan", 0, sha256, {"test.accuracy": 0.5}, [])
        version = tracking.register("r64", "gan", 0, folder, sha256, {"decision": "first"})
        tracking.promote("r64", version, over=None)
        return sha256

    with warnings.catch_warnings(action="ignore"):  # of MLflow's own code
        yield make


def standing(folder):
    """The hash that the champion's own files have, fetched into a new folder."""
    folder.mkdir()
    found = tracking.standing_champion("r64", folder)
    return Bundle.load(found.folder).sha256


def skygen(*arguments):
    """The exit status of a command, and its last word."""
    done = called([str(argument) for argument in arguments])
    return done.returncode, (done.stdout + done.stderr).decode().strip().splitlines()[-1]


def test_a_local_store_comes_back_elsewhere(home, champion, tmp_path, monkeypatch):
    sha256, kept = champion(), tmp_path / "kept"
    with closing(sqlite3.connect("mlflow.db")) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM registered_models")
        assert skygen("backup", kept)[0] == 0  # of what was committed
        writer.rollback()
    status, said = skygen("backup", kept)
    assert (status, said) == (1, f"Error: {kept} is there already, and not empty: name a new folder")
    status, said = skygen("backup", "mlartifacts/kept")
    assert (status, "which is backed up: name a folder outside of it" in said) == (1, True)

    shutil.rmtree(home)
    other = work_in(tmp_path / "other", monkeypatch)
    assert skygen("restore", kept)[0] == 0
    assert standing(tmp_path / "standing") == sha256
    assert [copy.found for copy in tracking.copies()] == [sha256]
    client = mlflow.MlflowClient(f"sqlite:///{other}/mlflow.db")
    (run,) = client.search_runs([client.get_experiment_by_name("skygen").experiment_id])
    assert run.data.metrics == {"validation_score": 2.0, "test/accuracy": 0.5} | {
        name: value for name, value in run.data.metrics.items() if name.startswith("system/")
    }

    status, said = skygen("restore", kept)
    assert status == 1
    assert said.endswith("is not empty; restore to another, or say --over, and it is replaced")
    (weights,) = (other / "mlartifacts").rglob("generator.safetensors")
    weights.write_bytes(b"lost")
    client.delete_registered_model_alias("skygen-r64", "champion")
    assert skygen("restore", kept, "--over")[0] == 0
    assert standing(tmp_path / "again") == sha256


def test_a_damaged_backup_changes_nothing(home, champion, tmp_path):
    champion()
    kept, before = tmp_path / "kept", (home / "mlflow.db").read_bytes()
    skygen("backup", kept)
    (weights,) = kept.rglob("generator.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1])
    status, said = skygen("restore", kept, "--over")
    assert status == 1
    assert said == f"Error: {weights} is missing or damaged, one of 1 such files; restore another backup"
    assert (home / "mlflow.db").read_bytes() == before


def test_what_cannot_be_backed_up_is_said(home, tmp_path):
    def said(*options):
        status, last = skygen("backup", tmp_path / "kept", *options)
        assert status == 1
        assert not (tmp_path / "kept").exists()
        return last

    assert "mlflow.db: no such file; there is nothing to back up" in said()
    assert "is an MLflow server, whose database only its own address reaches: give --store" in said(
        "--store", "http://127.0.0.1:1", "--without-artifacts"
    )
    assert "only SQLite and PostgreSQL" in said("--store", "mysql://db/mlflow", "--without-artifacts")
    assert "does not say where its artifacts lie: give --artifacts" in said("--store", "postgresql://db/mlflow")


def test_dvc_s_objects_come_back_into_an_empty_cache(project, tmp_path):
    with closing(sqlite3.connect(project.folder / "mlflow.db")) as database:
        database.execute("CREATE TABLE any (id)")
    (project.folder / "mlartifacts").mkdir()
    assert project.skygen("backup", str(tmp_path / "kept"), "--cache")[0] == 0
    sound = project.contents()
    for folder in (".dvc/cache", "data", "models", "reports"):
        shutil.rmtree(project.folder / folder)
    assert project.skygen("restore", str(tmp_path / "kept"), "--cache", "--over")[0] == 0
    project.run("dvc", "checkout", "--quiet")
    assert project.contents() == sound
    damaged = project.object("reports/comparison.md")
    damaged.chmod(0o644)
    damaged.write_text("B report.\n")
    status, _, said = project.skygen("backup", str(tmp_path / "other"), "--cache")
    assert status == 1
    assert f"{damaged} is damaged" in said
    assert not (tmp_path / "other").exists()


@pytest.fixture
def postgres(open_to_all):
    """The address of an empty database of a cluster of our own, and a function that empties it."""
    initdb = program("initdb")
    folder, port = open_to_all / "cluster", free_port()
    folder.mkdir()
    (folder / "password").write_text(PASSWORD)
    user = []
    if os.geteuid() == 0:  # which PostgreSQL refuses to run as
        shutil.chown(folder, "postgres")
        user = [program("runuser"), "-u", "postgres", "--"]

    def run(*command):
        subprocess.run([*user, *command], cwd=folder, check=True, stdout=subprocess.DEVNULL)

    access = ["--auth=scram-sha-256", "--username=mlflow", f"--pwfile={folder / 'password'}"]
    run(initdb, "--no-sync", *access, f"--pgdata={folder / 'data'}")
    options = f"-p {port} -h 127.0.0.1 -k {folder} -c fsync=off"
    server = [program("pg_ctl"), "--wait", "--silent", f"--pgdata={folder / 'data'}"]
    run(*server, f"--log={folder / 'log'}", f"--options={options}", "start")
    try:
        yield (
            f"postgresql+psycopg://mlflow:{quote(PASSWORD, safe='')}@127.0.0.1:{port}/mlflow",
            lambda *command: subprocess.run(
                [command[0], "-h", "127.0.0.1", "-p", str(port), "-U", "mlflow", *command[1:], "mlflow"],
                env=os.environ | {"PGPASSWORD": PASSWORD},
                check=True,
            ),
        )
    finally:
        run(*server, "--mode=immediate", "stop")


def test_a_database_of_postgresql_comes_back_after_it_was_dropped(home, postgres, champion, tmp_path, monkeypatch):
    uri, administer = postgres
    administer("createdb")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    sha256, kept = champion(), tmp_path / "kept"
    assert skygen("backup", kept, "--artifacts", "mlruns")[0] == 0
    administer("dropdb", "--force")
    shutil.rmtree("mlruns")
    status, said = skygen("restore", kept, "--artifacts", "mlruns")
    assert status == 1
    assert 'database "mlflow" does not exist' in said
    assert PASSWORD not in said

    administer("createdb")
    assert skygen("restore", kept, "--artifacts", "mlruns")[0] == 0
    assert standing(tmp_path / "standing") == sha256
    status, said = skygen("restore", kept, "--artifacts", "mlruns")
    assert status == 1
    assert said.endswith("is not empty; restore to another, or say --over, and it is replaced")
    mlflow.MlflowClient(uri).delete_registered_model_alias("skygen-r64", "champion")
    assert skygen("restore", kept, "--artifacts", "mlruns", "--over")[0] == 0
    assert standing(tmp_path / "again") == sha256
