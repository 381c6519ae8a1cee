import errno
import os
import signal
import subprocess
import sys
import threading
import time

import mlflow.cli
import numpy as np
import pytest
from click.testing import CliRunner

from skygen import tracking
from skygen.bundle.bundle import Bundle
from skygen.files import read_json
from skygen.locks import alone
from skygen.tracking.store import Store
from tests.tracking.conftest import FLUX, record, records, wait_until_published


def test_a_training_is_a_run_with_all_that_it_reported(client, runs_named, curve, bundle_of, training, tmp_path):
    (tmp_path / "history.json").write_text("[]")
    with training("a1", "whole", {"recipe": "gan", "clip": None}, {"device": "cpu"}) as log:
        log.metrics({"validation_score": 3.0}, 32)
        log.metrics({"validation_score": 2.0}, 64)
        log.samples(FLUX, 64)
        log.tag("collapsed", "no")
        log.bundle(bundle_of(1), Bundle.load(bundle_of(1)).sha256, [tmp_path / "history.json"])
    (run,) = runs_named("whole")

    assert run.info.status == "FINISHED"
    assert run.data.params == {"recipe": "gan", "clip": "None"}
    expected = {"device": "cpu", "collapsed": "no", "skygen.training": "a1"}
    assert expected.items() <= run.data.tags.items()
    assert {"mlflow.user", "mlflow.source.name"} <= set(run.data.tags)
    assert curve(run) == [(32, 3.0), (64, 2.0)]
    assert {file.path for file in client.list_artifacts(run.info.run_id)} >= {"history.json", "samples"}
    assert [file.path for file in client.list_artifacts(run.info.run_id, "samples")] == ["samples/000000064.png"]


def test_a_record_that_is_published_is_gone(training, tmp_path):
    with training("a2", "gone") as log:
        log.metrics({"validation_score": 3.0}, 32)

    assert list((tmp_path / "checkpoints").iterdir()) == []


@pytest.fixture
def kept(tmp_path):
    """A function: have a checkpoint of `key`, from which a training goes on."""

    def touch(key):
        (tmp_path / "checkpoints").mkdir(exist_ok=True)
        (tmp_path / f"checkpoints/{key}.pt").touch()

    return touch


def test_a_run_names_its_data(runs_named, training, tmp_path):
    with training("a3", "data"):
        pass
    (entry,) = runs_named("data")[0].inputs.dataset_inputs

    assert entry.dataset.name == tmp_path.name
    assert entry.dataset.digest == "f" * 36
    assert [(tag.key, tag.value) for tag in entry.tags] == [("mlflow.data.context", "training")]


def test_a_run_shows_what_the_machine_did(runs_named, training):
    with training("a4", "machine"):
        np.linalg.svd(np.random.default_rng(0).normal(size=(300, 300)))
    metrics = runs_named("machine")[0].data.metrics

    assert 0 < metrics["system/cpu_utilization_percentage"] <= 100
    assert 0 < metrics["system/system_memory_usage_percentage"] < 100


def test_a_training_that_fails_is_a_failed_run_that_says_why(runs_named, training):
    with pytest.raises(ZeroDivisionError), training("a5", "failed"):
        raise ZeroDivisionError("loss / 0")
    (run,) = runs_named("failed")

    assert run.info.status == "FAILED"
    assert run.data.tags["skygen.error"] == "ZeroDivisionError: loss / 0"


def test_sigterm_ends_the_training_and_its_run(runs_named, training):
    former = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended, training("a6", "terminated") as log:
        log.metrics({"validation_score": 3.0}, 32)
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()
    (run,) = runs_named("terminated")

    assert ended.value.code == 143
    assert (run.info.status, run.data.tags["skygen.error"]) == ("KILLED", "SIGTERM")
    assert run.data.metrics["validation_score"] == 3.0
    assert signal.getsignal(signal.SIGTERM) == former


def test_a_resumed_training_continues_its_run_and_its_curve(runs_named, curve, training, kept):
    kept("a7")
    with pytest.raises(KeyboardInterrupt), training("a7", "resumed", tags={"device": "one"}) as log:
        for step in (32, 64, 96):
            log.metrics({"validation_score": float(step)}, step)
        raise KeyboardInterrupt
    (interrupted,) = runs_named("resumed")
    with training("a7", "resumed", tags={"device": "other"}) as log:
        for step in (64, 96, 128):
            log.metrics({"validation_score": float(step)}, step)
    (run,) = runs_named("resumed")

    assert interrupted.info.status == "KILLED"
    assert run.info.run_id == interrupted.info.run_id
    assert run.info.status == "FINISHED"
    assert curve(run) == [(step, float(step)) for step in (32, 64, 96, 128)]
    assert run.data.tags["device"] == "other"
    assert "skygen.error" not in run.data.tags


def test_a_training_again_after_the_end_is_a_new_run(runs_named, curve, training):
    for _ in range(2):
        with training("a8", "again") as log:
            log.metrics({"validation_score": 1.0}, 32)

    assert [curve(run) for run in runs_named("again")] == [[(32, 1.0)]] * 2


def test_a_checkpoint_without_its_record_continues_its_run(runs_named, curve, training, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    with pytest.raises(KeyboardInterrupt), training("a9", "moved", folder=elsewhere) as log:
        log.metrics({"validation_score": 1.0}, 32)
        raise KeyboardInterrupt
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints/a9.pt").touch()
    with training("a9", "moved") as log:
        log.metrics({"validation_score": 1.0}, 32)
        log.metrics({"validation_score": 0.5}, 64)
    (run,) = runs_named("moved")

    assert curve(run) == [(32, 1.0), (64, 0.5)]


def test_a_training_from_the_start_leaves_others_runs_alone(runs_named, curve, training, tmp_path):
    with pytest.raises(KeyboardInterrupt), training("b1", "shared", folder=tmp_path / "colleague") as log:
        log.metrics({"validation_score": 1.0}, 32)
        raise KeyboardInterrupt
    with training("b1", "shared") as log:
        log.metrics({"validation_score": 2.0}, 32)

    assert [curve(run) for run in runs_named("shared")] == [[(32, 2.0)], [(32, 1.0)]]


def test_one_process_trains_a_configuration(training, tmp_path):
    with (
        training("b2", "first"),
        pytest.raises(BlockingIOError, match=r"b2\.pt: another run, process \d+, is making it"),
        training("b2", "second"),
    ):
        pass


def test_trainings_beside_each_other_share_a_folder(runs_named, curve, training, tmp_path):
    with training("c5", "left") as left, training("c6", "right") as right:
        for step in range(32, 321, 32):
            for log in (left, right):
                log.metrics({"validation_score": float(step)}, step)
    expected = [(step, float(step)) for step in range(32, 321, 32)]

    assert [curve(run) for name in ("left", "right") for run in runs_named(name)] == [expected, expected]
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_a_metric_may_be_a_numpy_number(runs_named, curve, training):
    with training("c7", "numpy") as log:
        log.metrics({"validation_score": np.float32(0.5)}, np.int64(32))

    assert curve(runs_named("numpy")[0]) == [(32, 0.5)]


KILLED = """
import os, signal, sys
from pathlib import Path
from skygen import tracking
with tracking.training_run(Path(sys.argv[1]), "killed", {}, {}, Path(), "f" * 64, ["r"]) as log:
    log.metrics({"validation_score": 3.0}, 32)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_training_reported_is_published_by_the_next(runs_named, curve, training, tmp_path):
    checkpoint = tmp_path / "checkpoints/b3.pt"
    killed = subprocess.run([sys.executable, "-c", KILLED, str(checkpoint)], check=False, capture_output=True)
    with (record(checkpoint.parent, "b3") / "metrics.jsonl").open("ab") as stream:
        stream.write(b'{"time_ms": 17')
    with training("b4", "next"):
        pass
    (run,) = runs_named("killed")

    assert killed.returncode == -signal.SIGKILL
    assert (run.info.status, run.data.tags["skygen.error"]) == ("KILLED", "the process ended without a word")
    assert curve(run) == [(32, 3.0)]


def test_what_is_published_twice_is_there_once(client, runs_named, curve, bundle_of, training, tmp_path):
    sha256 = Bundle.load(bundle_of(2)).sha256
    with pytest.raises(KeyboardInterrupt), training("b5", "twice", {"recipe": "gan"}) as log:
        log.metrics({"validation_score": 3.0, "generator_loss": float("nan")}, 32)
        log.samples(FLUX, 32)
        log.bundle(bundle_of(2), sha256, [])
        raise KeyboardInterrupt
    (record(tmp_path / "checkpoints", "b5") / "published.json").unlink()
    waited = [tracking.publish(tmp_path / "checkpoints") for _ in range(2)]
    (run,) = runs_named("twice")
    models = client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run.info.run_id}'")

    assert waited == [1, 0]
    assert curve(run) == [(32, 3.0)]
    assert len(curve(run, "generator_loss")) == 1
    assert len(run.inputs.dataset_inputs) == len(models) == 1
    assert run.info.status == "KILLED"


def remove(run_id, client):
    """Take a run out of the store for good, as its users can."""
    client.delete_run(run_id)
    removed = CliRunner().invoke(
        mlflow.cli.cli, ["gc", "--backend-store-uri", client.tracking_uri, "--run-ids", run_id]
    )
    assert removed.exit_code == 0, removed.output


def test_a_run_that_the_store_lost_is_told_again_when_it_goes_on(client, runs_named, curve, training, kept):
    kept("c1")
    with pytest.raises(KeyboardInterrupt), training("c1", "lost") as log:
        log.metrics({"validation_score": 3.0}, 32)
        log.samples(FLUX, 32)
        raise KeyboardInterrupt
    client.delete_run(runs_named("lost")[0].info.run_id)
    with training("c1", "lost") as log:
        log.metrics({"validation_score": 2.0}, 64)
    (run,) = runs_named("lost")

    assert curve(run) == [(32, 3.0), (64, 2.0)]
    assert [file.path for file in client.list_artifacts(run.info.run_id, "samples")] == ["samples/000000032.png"]


def test_a_run_that_the_store_loses_meanwhile_is_told_again(client, runs_named, curve, training, tmp_path):
    with training("c2", "lost-meanwhile") as log:
        log.metrics({"validation_score": 3.0}, 32)
        wait_until_published(tmp_path / "checkpoints", "c2")
        remove(runs_named("lost-meanwhile")[0].info.run_id, client)
        log.metrics({"validation_score": 2.0}, 64)
    (run,) = runs_named("lost-meanwhile")

    assert curve(run) == [(32, 3.0), (64, 2.0)]


def test_what_the_store_refuses_is_kept_and_the_rest_published(runs_named, curve, training, tmp_path, caplog):
    with training("b6", "refused") as log:
        log.tag("a" * 300, "too long a name")
        log.metrics({"validation_score": 3.0}, 32)
    (run,) = runs_named("refused")
    kept = record(tmp_path / "checkpoints", "b6")

    assert read_json(kept / "run.json")["tags"]["a" * 300] == "too long a name"
    assert f"MLflow refuses tag {'a' * 300} of {kept}, which stays there" in caplog.text
    assert (run.info.status, curve(run)) == ("FINISHED", [(32, 3.0)])
    assert tracking.publish(tmp_path / "checkpoints") == 0


@pytest.mark.parametrize("damage", [b"no JSON", b'{"kind": "tag"}', b"[]"])
def test_a_record_that_cannot_be_read_is_named_and_holds_up_no_training(runs_named, training, tmp_path, damage):
    damaged = tmp_path / "checkpoints/b7-0.run"
    damaged.mkdir(parents=True)
    (damaged / "run.json").write_bytes(damage)
    for key in ("b7", "b8"):
        with training(key, f"held-up-{key}"):
            while not runs_named(f"held-up-{key}"):
                time.sleep(0.05)
    with pytest.raises(ConnectionError, match=r"not published: .*b7-0\.run"):
        tracking.publish(tmp_path / "checkpoints")

    assert {runs_named(f"held-up-{key}")[0].info.status for key in ("b7", "b8")} == {"FINISHED"}
    assert records(tmp_path / "checkpoints") == ["b7"]


def test_points_seen_live_are_the_points_at_the_end(client, runs_named, training, tmp_path):
    def points():
        history = client.get_metric_history(runs_named("live")[0].info.run_id, "validation_score")
        return [(point.step, point.value, point.timestamp) for point in history]

    with training("b9", "live") as log:
        log.metrics({"validation_score": 3.0}, 32)
        wait_until_published(tmp_path / "checkpoints", "b9")
        live = points()
        assert runs_named("live")[0].info.status == "RUNNING"

    assert live == points() != []


def test_a_training_again_without_its_checkpoint_is_a_new_run(runs_named, curve, training):
    for value in (1.0, 2.0):
        with pytest.raises(KeyboardInterrupt), training("d1", "from-the-start") as log:
            for step in (32, 64):
                log.metrics({"validation_score": value * step}, step)
            raise KeyboardInterrupt

    assert [curve(run) for run in runs_named("from-the-start")] == [[(32, 64.0), (64, 128.0)], [(32, 32.0), (64, 64.0)]]


def test_an_interrupt_while_a_server_is_waited_for_undoes_no_training(training, silent, monkeypatch, caplog):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", silent)
    signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    with training("d2", "waiting"):
        signal.setitimer(signal.ITIMER_REAL, 0.5)

    assert "interrupted; not published to the end" in caplog.text


def test_the_end_waits_for_another_process_that_publishes_the_record(runs_named, training, tmp_path):
    with training("d3", "published-by-another"):
        held = threading.Event()
        holder = threading.Thread(target=hold_for_a_second, args=(record(tmp_path / "checkpoints", "d3"), held))
        holder.start()
        assert held.wait(60)  # else the end may come first, and remove the record's folder
    holder.join()

    assert runs_named("published-by-another")[0].info.status == "FINISHED"


def hold_for_a_second(folder, held):
    with alone(folder / "publish.lock", "a test", wait=True):
        held.set()
        time.sleep(1)


def test_a_run_deleted_while_it_is_published_is_told_again(client, runs_named, curve, training, tmp_path, monkeypatch):
    deleted = []

    def delete_first(store, run_id, path, folder):
        if not deleted:
            deleted.append(client.delete_run(run_id))
        store.client.log_artifact(run_id, str(path), str(folder))

    with monkeypatch.context() as patch, training("d4", "deleted-meanwhile") as log:
        patch.setattr(Store, "log_file", delete_first)
        log.metrics({"validation_score": 3.0}, 32)
        log.samples(FLUX, 32)
        while not deleted:
            time.sleep(0.05)
    (run,) = runs_named("deleted-meanwhile")

    assert curve(run) == [(32, 3.0)]
    assert [file.path for file in client.list_artifacts(run.info.run_id, "samples")] == ["samples/000000032.png"]
    assert records(tmp_path / "checkpoints") == []


def test_of_many_params_the_store_refuses_only_the_bad_one(runs_named, training):
    with training("d5", "bad-param", {"good": 1, "b" * 300: 0, "other": 2}):
        pass

    assert runs_named("bad-param")[0].data.params == {"good": "1", "other": "2"}


def test_a_disk_that_stays_full_makes_no_killed_run_of_a_finished_training(runs_named, training, tmp_path, monkeypatch):
    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with monkeypatch.context() as patch, training("d6", "full-to-the-end") as log:
        log.metrics({"validation_score": 3.0}, 32)
        patch.setattr("skygen.tracking.record.write_json", full)

    assert runs_named("full-to-the-end")[0].info.status == "FINISHED"
    assert records(tmp_path / "checkpoints") == []
