import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient

from skygen import tracking
from skygen.bundle.bundle import Bundle
from skygen.files import write_json
from skygen.locks import alone
from tests.tracking.conftest import record, records


def evaluate(sha256, value, seed=0, files=()):
    tracking.log_evaluation("r64", "gan", seed, sha256, {"test.accuracy": value}, files)


def test_an_evaluation_joins_the_run_that_made_the_bundle(client, runs_named, bundle_of, trained, tmp_path):
    sha256 = trained(bundle_of(12), "joined")
    trained(bundle_of(13))
    (before,) = runs_named("joined")
    (tmp_path / "grid.png").write_bytes(b"x")
    evaluate(sha256, 0.5, files=[tmp_path / "grid.png"])
    (run,) = runs_named("joined")

    assert run.data.metrics["test/accuracy"] == 0.5
    assert "grid.png" in [file.path for file in client.list_artifacts(run.info.run_id)]
    assert run.info.end_time == before.info.end_time
    assert records(tracking.checkpoints()) == []


def test_an_evaluation_of_a_bundle_that_the_store_has_not_seen_makes_one_run(runs_named, bundle_of):
    sha256 = Bundle.load(bundle_of(14)).sha256
    for value in (0.25, 0.75):
        evaluate(sha256, value, seed=14)
    (run,) = runs_named("r64-gan-14")

    assert run.data.tags["skygen.restored"] == "true"
    assert run.info.status == "FINISHED"
    assert run.data.metrics["test/accuracy"] == 0.75


def test_a_training_that_is_reported_late_takes_the_place_of_the_restored_run(
    runs_named, bundle_of, trained, nobody, little_patience, tmp_path
):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", nobody)
        sha256 = trained(bundle_of(15), "late")
    evaluate(sha256, 0.25, seed=15)
    tracking.publish(tmp_path / "checkpoints")
    evaluate(sha256, 0.75, seed=15)

    assert runs_named("late")[0].data.metrics["test/accuracy"] == 0.75
    assert runs_named("r64-gan-15")[0].data.metrics["test/accuracy"] == 0.25


def test_a_bundle_that_moved_is_the_same_bundle(runs_named, bundle_of, trained, tmp_path):
    folder = bundle_of(19)
    trained(folder, "moved-bundle")
    moved = Path(shutil.copytree(folder, tmp_path / "elsewhere"))
    evaluate(Bundle.load(moved).sha256, 1.0)

    assert runs_named("moved-bundle")[0].data.metrics["test/accuracy"] == 1.0


def test_nothing_is_written_beside_the_store(store):
    ours = {"data", "encoders", "models", "params.yaml"}  # which tests of champions put there
    known = {"mlflow.db", "mlflow.db.lock", "mlruns", "mlartifacts", ".checkpoints"}
    assert {path.name for path in store.iterdir()} - ours <= known


def test_a_record_for_a_dead_server_or_a_damaged_one_blocks_no_promotion(
    runs_named, bundle_of, trained, training, nobody, little_patience, tmp_path, monkeypatch, caplog
):
    monkeypatch.chdir(tmp_path)
    checkpoints, folder = tmp_path / ".checkpoints", bundle_of(82)
    with monkeypatch.context() as patch, training("dead", "of-a-dead-server", folder=checkpoints) as log:
        patch.setenv("MLFLOW_TRACKING_URI", nobody)
        log.metrics({"validation_score": 3.0}, 32)
    dead = {"store": nobody, "run_id": "unknown", "done": {"metrics": "1"}}  # as where the server died half-way
    write_json(record(checkpoints, "dead") / "published.json", dead)
    (checkpoints / "damaged-0.run").mkdir()
    (checkpoints / "damaged-0.run/run.json").write_text("no JSON\n")
    sha256 = Bundle.load(folder).sha256
    evaluate(sha256, 0.5, seed=82)
    version = tracking.register("blocked", "gan", 82, folder, sha256, {})
    tracking.promote("blocked", version, None)

    assert "damaged-0.run" in caplog.text
    assert runs_named("of-a-dead-server")[0].data.metrics["validation_score"] == 3.0
    assert runs_named("r64-gan-82")[0].data.metrics["test/accuracy"] == 0.5
    assert tracking.standing_champion("blocked", tmp_path / "fetched").version == version


def test_what_was_published_can_be_published_to_another_store_too(client, training, curve, runs_named, tmp_path):
    with pytest.raises(KeyboardInterrupt), training("pub", "published") as log:
        log.metrics({"validation_score": 3.0}, 32)
        raise KeyboardInterrupt
    other = f"sqlite:///{tmp_path / 'other.db'}"
    assert [tracking.publish(tmp_path / "checkpoints", other) for _ in range(2)] == [1, 0]
    (here,), (there,) = runs_named("published"), runs_named("published", MlflowClient(other))
    points = [
        [
            (point.step, point.value, point.timestamp)
            for point in of.get_metric_history(run.info.run_id, "validation_score")
        ]
        for of, run in ((client, here), (MlflowClient(other), there))
    ]

    assert points[0] == points[1] != []


def test_an_evaluation_while_the_one_before_waits_is_not_lost_with_it(runs_named, bundle_of, nobody, little_patience):
    sha256 = Bundle.load(bundle_of(83)).sha256
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", nobody)
        for value in (0.25, 0.5):
            evaluate(sha256, value, seed=83)
    assert len(records(tracking.checkpoints())) == 2
    evaluate(sha256, 0.75, seed=83)

    assert records(tracking.checkpoints()) == []
    assert runs_named("r64-gan-83")[0].data.metrics["test/accuracy"] == 0.75


def test_an_evaluation_waits_while_its_training_is_published_by_another(
    runs_named, bundle_of, training, nobody, little_patience, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    checkpoints, folder = tmp_path / ".checkpoints", bundle_of(84)
    sha256 = Bundle.load(folder).sha256
    with monkeypatch.context() as patch, training("e1", "slow-upload", folder=checkpoints) as log:
        patch.setenv("MLFLOW_TRACKING_URI", nobody)
        log.bundle(folder, sha256, [])
    with alone(record(checkpoints, "e1") / "publish.lock", "a test"):
        evaluate(sha256, 0.5, seed=84)
    assert not runs_named("r64-gan-84")
    tracking.publish(checkpoints)

    assert runs_named("slow-upload")[0].data.metrics["test/accuracy"] == 0.5
