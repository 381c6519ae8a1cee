"""Real stores: an SQLite file, and an MLflow server that tests may kill."""

import importlib
import os
import signal
import socket
import subprocess
import sys
import time
import warnings
from contextlib import contextmanager

import httpx
import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient

from skygen import tracking
from skygen.bundle.bundle import Bundle
from skygen.files import read_json
from skygen.tracking.record import SUFFIX, read_metrics
from tests.tracking.project import found, packaged, project, registry

__all__ = ["found", "packaged", "project", "registry"]

FLUX = np.random.default_rng(0).normal(0, 1, (4, 1, 64, 64)).astype(np.float32)


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    """The folder of a real store: an SQLite file, with its artifacts beside it."""
    with warnings.catch_warnings(action="ignore"):  # MLflow 3.17 warns of its own code where it loads these
        for part in ("mlflow.pyfunc", "mlflow.store.tracking.sqlalchemy_store"):
            importlib.import_module(part)
    return tmp_path_factory.mktemp("mlflow")


@pytest.fixture(scope="module", autouse=True)
def _in_use(store):
    former = mlflow.get_tracking_uri()
    with pytest.MonkeyPatch.context() as patch:
        uri = f"sqlite:///{store / 'mlflow.db'}"
        patch.chdir(store)
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        mlflow.set_tracking_uri(uri)
        yield
        mlflow.set_tracking_uri(former)
    os.environ.pop("MLFLOW_EXPERIMENT_ID", None)  # MLflow leaves it to processes that follow


@pytest.fixture
def client(store):
    return MlflowClient(f"sqlite:///{store / 'mlflow.db'}")


@pytest.fixture
def runs_named(client):
    """A function: the runs of a name, the newest first."""

    def find(name, client=client):
        experiment = client.get_experiment_by_name("skygen")
        return list(client.search_runs([experiment.experiment_id], f"attributes.run_name = '{name}'"))

    return find


@pytest.fixture
def curve(client):
    """A function: the steps and values that a run has of a metric, in their order."""

    def read(run, key="validation_score", client=client):
        return sorted((metric.step, metric.value) for metric in client.get_metric_history(run.info.run_id, key))

    return read


@pytest.fixture
def bundle_of(tmp_path, write_bundle):
    """A function: the folder of a bundle like no other test's, drawn from `seed`."""

    def make(seed, tiles="r64"):
        write_bundle(tmp_path / f"bundle-{seed}", seed=seed, tiles=tiles)
        return tmp_path / f"bundle-{seed}"

    return make


@pytest.fixture
def training(tmp_path):
    """A function: the run of the training that the checkpoint of `key` belongs to."""

    def begin(key, name, params=None, tags=None, folder=None):
        checkpoint = (folder or tmp_path / "checkpoints") / f"{key}.pt"
        checkpoint.parent.mkdir(exist_ok=True)
        return tracking.training_run(checkpoint, name, params or {}, tags or {}, tmp_path, "f" * 64, ["r"])

    return begin


@pytest.fixture
def trained(training):
    """A function: the hash of a bundle, which a run of its own has made."""

    def train(folder, name="r64-gan-0"):
        sha256 = Bundle.load(folder).sha256
        with training(sha256[:16], name) as log:
            log.bundle(folder, sha256, [])
        return sha256

    return train


class Server:
    """An MLflow server process on a port of its own, which may be stopped and started."""

    def __init__(self, folder):
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self._process = None

    def start(self):
        place = ["--backend-store-uri", f"sqlite:///{self.folder / 'server.db'}"]
        place += ["--artifacts-destination", str(self.folder / "artifacts")]
        command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", str(self.port), *place]
        with (self.folder / "server.log").open("a") as log:
            environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # seven processes less
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
        while not self._answers():
            assert self._process.poll() is None, (self.folder / "server.log").read_text()
            time.sleep(0.1)

    def kill(self):
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    @contextmanager
    def stopped(self):
        """Within, the server takes connections and does not answer."""
        os.killpg(self._process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(self._process.pid, signal.SIGCONT)

    def _answers(self):
        try:
            return httpx.get(f"{self.uri}/health", timeout=1).is_success
        except httpx.TransportError:
            return False


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    running = Server(tmp_path_factory.mktemp("server"))
    running.start()
    yield running
    running.kill()


@pytest.fixture
def nobody():
    """The address of a port that nobody listens on."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


@pytest.fixture
def silent():
    """The address of a port that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture
def little_patience(monkeypatch):
    """A second for a request."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")


def records(folder):
    """The names of the records that lie in a folder, without what makes them the record of one run."""
    return sorted(path.name.partition("-")[0] for path in folder.glob(f"*{SUFFIX}"))


def record(folder, key):
    """The folder of the one record of a training."""
    (found,) = folder.glob(f"{key}-*{SUFFIX}")
    return found


def wait_until_published(folder, key):
    while not published(folder, key):
        time.sleep(0.05)


def published(folder, key):
    """Whether the store has all lines of metrics that the record of a training holds."""
    path = record(folder, key)
    done = read_json(path / "published.json")["done"] if (path / "published.json").is_file() else {}
    return int(done.get("metrics", 0)) >= read_metrics(path)[1] > 0
