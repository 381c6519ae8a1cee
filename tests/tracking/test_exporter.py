"""The exporter as a command over real stores: what it tells of runs and champions, and of a store that is away."""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from skygen import tracking
from skygen.tracking.exporter import FAMILIES, without_password
from skygen.tracking.overview import note_finished
from skygen.tracking.parts import VARIABLE
from tests.harness.alarms import Told, alertmanager, prometheus
from tests.harness.commands import called
from tests.programs import program

ROOT = Path(__file__).parents[2]
ROW = {"iteration": 10.0, "validation_score": 1.0, "collapsed": 0.0, "diverged": 0.0}


class Exporter:
    """A running one, over the store at `uri`."""

    def __init__(self, process, address):
        self.process, self.address = process, address

    def tells(self, name, **labels):
        """The labels and values of a series, of those that have `labels`."""
        families = text_string_to_metric_families(httpx.get(self.address).raise_for_status().text)
        samples = [sample for family in families for sample in family.samples if sample.name == name]
        return [(one.labels, one.value) for one in samples if labels.items() <= one.labels.items()]

    def awaits(self, name, value, **labels):
        """The labels of the one series of a name that has `labels`, once it has this value."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            found = self.tells(name, **labels)
            if [told for _, told in found] == [value]:
                return found[0][0]
            time.sleep(0.2)
        return pytest.fail(f"{name}{labels} is {self.tells(name)} and never {value}")


@contextmanager
def exporting(uri, folder):
    command = [sys.executable, "-c", "from skygen.cli import main; main()", "exporter", "--port", "0", "--every", "1"]
    environment = {**os.environ, "MLFLOW_TRACKING_URI": uri, "MLFLOW_HTTP_REQUEST_TIMEOUT": "2"}
    with (
        (folder / "exporter.log").open("w") as log,
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        try:
            line = process.stdout.readline()
            assert line, (folder / "exporter.log").read_text()
            yield Exporter(process, re.search(r"http://127\.0\.0\.1:\d+/metrics", line)[0])
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def exporter(store, tmp_path_factory):
    with exporting(f"sqlite:///{store / 'mlflow.db'}", tmp_path_factory.mktemp("exporter")) as running:
        yield running


@pytest.fixture
def train(training, request):
    """A function: a run that reports a row and ends, by an error where there is one; as the pipeline's, of a set of
    the test's own."""
    tiles = f"set{request.node.name.encode().hex()[-40:]}"

    def run(seed=0, error=None, tags=None, **row):
        given = {"tiles": tiles, "recipe": "gan"}
        try:
            with training(f"{tiles}{seed}", f"{tiles}-gan-{seed}", {**given, "seed": seed}, given) as log:
                log.metrics({**ROW, **row}, 640)
                for name, value in (tags or {}).items():
                    log.tag(name, value)
                if error:
                    raise error
        except (RuntimeError, KeyboardInterrupt):
            pass
        return {"tiles": tiles, "recipe": "gan", "seed": str(seed)}

    return run


def test_a_training_is_told_of_by_how_it_ended(exporter, train):
    began = time.time()
    key = train(1)
    exporter.awaits("skygen_training_status", 1, **key, status="FINISHED")
    exporter.awaits("skygen_training_images", 640, **key)
    [(_, start)], [(_, end)] = (
        exporter.tells(f"skygen_training_{name}_time_seconds", **key) for name in ("start", "end")
    )
    assert began - 1 < start <= end < time.time() + 1
    troubles = {told["trouble"]: value for told, value in exporter.tells("skygen_training_trouble", **key)}
    assert troubles == {"collapsed": 0, "diverged": 0, "not_finite": 0}
    failed = train(2, RuntimeError("the disk is full"))
    exporter.awaits("skygen_training_status", 1, **failed, status="FAILED")
    stopped = train(3, KeyboardInterrupt())
    exporter.awaits("skygen_training_status", 1, **stopped, status="KILLED")


def test_the_latest_training_of_a_seed_is_told_of_alone(exporter, train):
    key = train(1, RuntimeError("once"))
    exporter.awaits("skygen_training_status", 1, **key, status="FAILED")
    train(1)
    exporter.awaits("skygen_training_status", 1, **key, status="FINISHED")
    assert len(exporter.tells("skygen_training_status", **key)) == 1


@pytest.mark.parametrize("trouble", ["collapsed", "diverged"])
def test_a_training_that_is_lost_is_told_of(exporter, train, trouble):
    key = train(1, **{trouble: 1.0})
    exporter.awaits("skygen_training_trouble", 1, **key, trouble=trouble)
    assert sum(value for _, value in exporter.tells("skygen_training_trouble", **key)) == 1


def test_a_training_whose_numbers_end_is_told_of_until_it_goes_well(exporter, train):
    key = train(1, RuntimeError("not finite"), {"not_finite": "generator_loss after iteration 3"})
    exporter.awaits("skygen_training_trouble", 1, **key, trouble="not_finite")
    train(1)
    exporter.awaits("skygen_training_trouble", 0, **key, trouble="not_finite")


def test_a_training_is_told_of_while_it_runs(exporter, training):
    key = {"tiles": "running", "recipe": "gan", "seed": "4"}
    with training("4" * 16, "running-gan-4", key, key) as log:
        log.metrics(ROW, 320)
        exporter.awaits("skygen_training_images", 320, **key)
        exporter.awaits("skygen_training_status", 1, **key, status="RUNNING")
        assert exporter.tells("skygen_training_end_time_seconds", **key) == []
        [(_, reported)] = exporter.tells("skygen_training_report_time_seconds", **key)
        assert 0 <= time.time() - reported < 60


def test_a_training_that_collapsed_wakes_somebody(exporter, train, tmp_path):
    """From MLflow by exporter, Prometheus and Alertmanager, with the project's files, to a receiver."""
    key = train(1, collapsed=1.0)
    with Told().running() as told, alertmanager(tmp_path / "told", page=told.url("page")) as tells:
        places = {"service": told.address, "exporter": urlsplit(exporter.address).netloc}
        with prometheus(tmp_path, **places, alertmanager=urlsplit(str(tells.base_url)).netloc):
            said = ""
            while f"the training {key['tiles']}-gan-1 is lost: collapsed" not in said:
                said = told.next("page")["attachments"][0]["text"]
            assert "firing SkygenTrainingLost" in said


def test_parts_and_deleted_runs_are_left_out(exporter, train, runs_named, client, monkeypatch):
    kept, deleted = train(1), train(2)
    [run] = runs_named(f"{deleted['tiles']}-gan-2")
    exporter.awaits("skygen_training_status", 1, **deleted)
    client.delete_run(run.info.run_id)
    with monkeypatch.context() as patch:
        patch.setenv(VARIABLE, f"{'0' * 32}/94-1-12")
        part = train(3)
    last = train(4)
    exporter.awaits("skygen_training_status", 1, **last)  # so it has read what was before
    assert exporter.tells("skygen_training_status", **deleted) == exporter.tells("skygen_training_status", **part) == []
    assert len(exporter.tells("skygen_training_status", **kept)) == 1


def test_the_champion_is_told_of_as_the_service_names_it(exporter, bundle_of, trained):
    first, second = (bundle_of(seed) for seed in (71, 72))
    for folder, over in ((first, None), (second, "1")):
        sha256 = trained(folder)
        version = tracking.register("r64", "gan", 0, folder, sha256, {})
        tracking.promote("r64", version, over)
        named = exporter.awaits("skygen_registry_champion_info", 1, tiles="r64", version=sha256[:12])
        assert (named["recipe"], named["registry_version"]) == ("gan", version)


def test_the_pipelines_end_is_told_of_once_it_was_noted(exporter):
    assert exporter.tells("skygen_pipeline_end_time_seconds") == []
    before = time.time()
    noted = called(["publish", "--finished"])
    assert noted.returncode == 0, noted.stderr
    end = time.monotonic() + 60
    while not (told := exporter.tells("skygen_pipeline_end_time_seconds")) and time.monotonic() < end:
        time.sleep(0.2)
    assert before <= told[0][1] <= time.time()


def test_the_scrape_keeps_prometheuss_conventions(exporter, train):
    exporter.awaits("skygen_training_status", 1, **train(1))
    scraped = httpx.get(exporter.address).text
    assert [name for name in FAMILIES if f"# TYPE {name} gauge" not in scraped] == []
    command = [program("promtool"), "check", "metrics"]
    run = subprocess.run(command, input=scraped, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_a_store_that_goes_and_comes_back_is_told_of(tmp_path, store, train):
    """Another file in its place is read too, as a backup that was restored."""
    key = train(1)
    file, away = tmp_path / "mlflow.db", tmp_path / "away.db"
    away.write_bytes((store / "mlflow.db").read_bytes())
    with exporting(f"sqlite:///{file}", tmp_path) as running:
        assert running.tells("skygen_training_status") == []
        running.awaits("skygen_store_up", 0)
        assert not file.exists()
        away.rename(file)
        running.awaits("skygen_store_up", 1)
        running.awaits("skygen_training_status", 1, **key, status="FINISHED")
        file.unlink()
        running.awaits("skygen_store_up", 0)
        running.awaits("skygen_training_status", 1, **key, status="FINISHED")  # as it was read last
        train(1, RuntimeError("again"))
        file.write_bytes((store / "mlflow.db").read_bytes())
        running.awaits("skygen_training_status", 1, **key, status="FAILED")
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(60) == 128 + signal.SIGTERM
    assert (tmp_path / "exporter.log").read_text().count(f"{file} is missing") == 2


def test_a_server_that_hangs_holds_no_scrape(server, tmp_path):
    note_finished(server.uri)
    with exporting(server.uri, tmp_path) as running:
        running.awaits("skygen_store_up", 1)
        with server.stopped():
            running.awaits("skygen_store_up", 0)
            assert len(running.tells("skygen_pipeline_end_time_seconds")) == 1
        running.awaits("skygen_store_up", 1)


def test_a_store_that_cannot_be_reached_is_no_end_of_the_pipeline(nobody, little_patience):
    noted = called(["publish", "--to", nobody, "--finished"])
    assert noted.returncode == 1
    assert nobody in noted.stderr.decode()


def test_a_port_that_is_taken_ends_the_command_with_a_sentence(exporter):
    port = exporter.address.rpartition(":")[2].partition("/")[0]
    taken = called(["exporter", "--port", port])
    assert taken.returncode == 1
    assert f"Error: cannot listen at 127.0.0.1:{port}: Address already in use\n" in taken.stderr.decode()


def test_an_address_is_shown_without_its_password():
    assert without_password("postgresql://mlflow:secret@db:5432/mlflow") == "postgresql://db:5432/mlflow"
    assert without_password("sqlite:///mlflow.db") == "sqlite:///mlflow.db"
