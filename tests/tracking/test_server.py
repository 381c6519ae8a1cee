"""Servers that are not there, do not answer, die, or were made anew: nothing that was reported is lost."""

import shutil
import time

import pytest
from mlflow import MlflowClient

from skygen import tracking
from skygen.bundle.bundle import Bundle
from tests.tracking.conftest import FLUX, records, wait_until_published


@pytest.fixture
def remote(server, monkeypatch):
    """The server's client, the server being the one in use."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    return MlflowClient(server.uri)


def steps(log, *images_seen):
    for step in images_seen:
        log.metrics({"validation_score": float(step)}, step)


def test_a_server_takes_what_a_file_takes(remote, runs_named, curve, bundle_of, training, tmp_path):
    sha256 = Bundle.load(bundle_of(30)).sha256
    with training("c1", "remote", {"recipe": "gan"}) as log:
        steps(log, 32, 64)
        log.samples(FLUX, 64)
        log.bundle(bundle_of(30), sha256, [])
    tracking.log_evaluation("r64", "gan", 0, sha256, {"test.accuracy": 0.5}, [])
    version = tracking.register("r64", "gan", 0, bundle_of(30), sha256, {"decision": "first"})
    tracking.promote("r64", version, over=None)
    standing = tracking.standing_champion("r64", tmp_path / "standing")
    held = tracking.registered("r64")
    (run,) = runs_named("remote", remote)

    assert (run.info.status, run.data.params) == ("FINISHED", {"recipe": "gan"})
    assert curve(run, client=remote) == [(32, 32.0), (64, 64.0)]
    assert run.data.metrics["test/accuracy"] == 0.5
    assert [file.path for file in remote.list_artifacts(run.info.run_id, "samples")] == ["samples/000000064.png"]
    assert remote.get_model_version("skygen-r64", version).run_id == run.info.run_id
    assert (standing.version, Bundle.load(standing.folder).sha256) == (version, sha256)
    assert (tracking.registered_sets(), held.champion.sha256) == (["r64"], sha256)
    assert [(entry.action, entry.version) for entry in held.audit.entries.values()] == [("promoted", version)]


def test_what_a_server_has_lost_is_told_from_a_server_that_does_not_answer(
    remote, server, bundle_of, tmp_path, little_patience
):
    folder = bundle_of(32, "gri128")
    sha256 = Bundle.load(folder).sha256
    version = tracking.register("gri128", "gan", 0, folder, sha256, {})
    tracking.promote("gri128", version, over=None)
    with server.stopped(), pytest.raises(ConnectionError, match=f"registry at {server.uri} does not answer"):
        tracking.standing_champion("gri128", tmp_path / "silent")
    (kept,) = server.folder.glob(f"artifacts/**/data/{folder.name}")
    shutil.rmtree(kept.parent)

    assert tracking.standing_champion("gri128", tmp_path / "lost").folder is None
    assert tracking.register("gri128", "gan", 0, folder, sha256, {}) == "2"


@pytest.mark.parametrize("absent", ["nobody", "silent"])
def test_what_no_server_took_waits_for_one_that_does(
    absent,
    request,
    little_patience,
    monkeypatch,
    store,
    client,
    runs_named,
    curve,
    bundle_of,
    training,
    tmp_path,
    caplog,
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", request.getfixturevalue(absent))
    checkpoints, sha256 = tmp_path / ".checkpoints", Bundle.load(bundle_of(31)).sha256
    with training("f2", absent, folder=checkpoints) as log:
        steps(log, 32, 64)
        log.samples(FLUX, 64)
        log.bundle(bundle_of(31), sha256, [])
    tracking.log_evaluation("r64", "gan", 31, sha256, {"test.accuracy": 0.5}, [])

    assert "The next training, evaluation or `skygen publish` tries again" in caplog.text
    with pytest.raises(ConnectionError, match=r"not published: .*f2-.*\.run"):
        tracking.publish(checkpoints)

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store / 'mlflow.db'}")
    assert tracking.publish(checkpoints) == 2
    (run,) = runs_named(absent)
    assert curve(run) == [(32, 32.0), (64, 64.0)]
    assert run.data.metrics["test/accuracy"] == 0.5
    assert [file.path for file in client.list_artifacts(run.info.run_id, "samples")] == ["samples/000000064.png"]
    assert records(checkpoints) == []
    assert not runs_named("r64-gan-31")


def test_a_server_that_dies_and_comes_back_has_all_once(remote, server, runs_named, curve, training, tmp_path):
    with training("c3", "killed-server", {"recipe": "gan"}) as log:
        steps(log, 32, 64)
        wait_until_published(tmp_path / "checkpoints", "c3")
        server.kill()
        steps(log, 96, 128)
        for step in (96, 128):  # together more than MLflow takes in a call
            log.metrics({f"many.{number}": float(step) for number in range(600)}, step)
        server.start()
        steps(log, 160)
    (run,) = runs_named("killed-server", remote)

    assert run.info.status == "FINISHED"
    assert curve(run, client=remote) == [(step, float(step)) for step in (32, 64, 96, 128, 160)]
    assert curve(run, "many.599", remote) == [(96, 96.0), (128, 128.0)]


def test_a_server_that_stops_answering_and_goes_on_has_all_once(
    remote, server, little_patience, runs_named, curve, training, tmp_path, monkeypatch
):
    with training("c4", "stopped-server") as log:
        steps(log, 32)
        wait_until_published(tmp_path / "checkpoints", "c4")
        with server.stopped():
            steps(log, 64, 96)
            time.sleep(1.5)  # longer than a request may last, so that one has failed
        steps(log, 128)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")
    tracking.publish(tmp_path / "checkpoints")
    (run,) = runs_named("stopped-server", remote)

    assert curve(run, client=remote) == [(step, float(step)) for step in (32, 64, 96, 128)]
