import importlib
import os
import shutil
import warnings
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient

from skygen import tracking
from skygen.bundle import Bundle

FLUX = np.random.default_rng(0).normal(0, 1, (4, 1, 64, 64)).astype(np.float32)


@pytest.fixture(scope="module", autouse=True)
def store(tmp_path_factory):
    """A real store, in a folder of its own, with its artifacts beside it."""
    with warnings.catch_warnings(action="ignore"):  # MLflow 3.17 warns of its own code where it loads these
        for part in ("mlflow.pyfunc", "mlflow.store.tracking.sqlalchemy_store"):
            importlib.import_module(part)
    folder = tmp_path_factory.mktemp("mlflow")
    former = mlflow.get_tracking_uri()
    with pytest.MonkeyPatch.context() as patch:
        uri = f"sqlite:///{folder / 'mlflow.db'}"
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        mlflow.set_tracking_uri(uri)
        yield folder
        mlflow.set_tracking_uri(former)
    os.environ.pop("MLFLOW_EXPERIMENT_ID", None)  # MLflow leaves it to processes that follow


@pytest.fixture
def client():
    return MlflowClient()


@pytest.fixture
def bundle_of(tmp_path, write_bundle):
    """A function: the folder of a bundle like no other test's, drawn from `seed`."""

    def make(seed, tiles="r64"):
        write_bundle(tmp_path / f"bundle-{seed}", seed=seed, tiles=tiles)
        return tmp_path / f"bundle-{seed}"

    return make


def trained(folder, data, name="r64-gan-0"):
    """The id of a run that measured twice, drew once and logged the bundle in `folder`."""
    with tracking.training_run(name, {"recipe": "gan", "clip": None}, {"device": "cpu"}, data, "f" * 64, ["r"]) as log:
        log.metrics({"validation_score": 3.0}, 32)
        log.metrics({"validation_score": 2.0}, 64)
        log.samples(FLUX, 64)
        (data / "history.json").write_text("[]")
        log.bundle(folder, Bundle.load(folder).sha256, [data / "history.json"])
        return mlflow.active_run().info.run_id


def register(tiles, folder):
    return tracking.register_champion(tiles, "gan", 0, folder, Bundle.load(folder).sha256)


def test_a_training_is_a_run_with_all_that_it_reported(client, bundle_of, tmp_path):
    run_id = trained(bundle_of(10), tmp_path)
    run = client.get_run(run_id)

    assert run.info.status == "FINISHED"
    assert client.get_experiment(run.info.experiment_id).name == "skygen"
    assert run.data.params == {"recipe": "gan", "clip": "None"}
    assert run.data.tags["device"] == "cpu"
    assert [(m.step, m.value) for m in client.get_metric_history(run_id, "validation_score")] == [(32, 3.0), (64, 2.0)]
    assert [file.path for file in client.list_artifacts(run_id, "samples")] == ["samples/000000064.png"]
    assert "history.json" in [file.path for file in client.list_artifacts(run_id)]


def test_a_run_names_its_data(client, bundle_of, tmp_path):
    (entry,) = client.get_run(trained(bundle_of(11), tmp_path)).inputs.dataset_inputs

    assert entry.dataset.name == tmp_path.name
    assert entry.dataset.digest == "f" * 36


def test_a_training_that_fails_is_a_failed_run(client, tmp_path):
    with pytest.raises(ZeroDivisionError), tracking.training_run("x", {}, {}, tmp_path, "0" * 64, ["r"]):
        run_id = mlflow.active_run().info.run_id
        raise ZeroDivisionError

    assert client.get_run(run_id).info.status == "FAILED"
    assert mlflow.active_run() is None


def test_an_evaluation_joins_the_run_that_made_the_bundle(client, bundle_of, tmp_path):
    folder = bundle_of(12)
    run_id = trained(folder, tmp_path)
    trained(bundle_of(13), tmp_path)
    runs = len(client.search_runs([client.get_run(run_id).info.experiment_id]))
    (tmp_path / "grid.png").write_bytes(b"x")
    tracking.log_evaluation(
        "r64", "gan", 0, Bundle.load(folder).sha256, {"test.accuracy": 0.5}, [tmp_path / "grid.png"]
    )
    run = client.get_run(run_id)

    assert run.data.metrics["test/accuracy"] == 0.5
    assert "grid.png" in [file.path for file in client.list_artifacts(run_id)]
    assert len(client.search_runs([run.info.experiment_id])) == runs


def test_an_evaluation_of_a_bundle_that_the_store_has_not_seen_makes_one_run(client, bundle_of):
    sha256 = Bundle.load(bundle_of(14)).sha256
    for value in (0.25, 0.75):
        tracking.log_evaluation("r64", "gan", 14, sha256, {"test.accuracy": value}, [])
    (experiment,) = client.search_experiments(filter_string="name = 'skygen'")
    (run,) = [run for run in client.search_runs([experiment.experiment_id]) if run.info.run_name == "r64-gan-14"]

    assert run.data.tags["skygen.restored"] == "true"
    assert run.data.metrics["test/accuracy"] == 0.75


def test_a_champion_is_registered_once_and_serves_the_bundle_s_tiles(client, bundle_of, tmp_path):
    folder = bundle_of(15)
    trained(folder, tmp_path)
    first, again = (register("r64", folder) for _ in range(2))
    champion = mlflow.pyfunc.load_model("models:/skygen-r64@champion")

    assert first == again
    assert len(client.search_model_versions("name = 'skygen-r64'")) == 1
    assert client.get_model_version_by_alias("skygen-r64", "champion").tags["recipe"] == "gan"
    assert np.array_equal(champion.predict({"seed": [7], "n": [4]}), Bundle.load(folder).generate(7, 4))


def test_the_alias_follows_the_champion_and_versions_are_found_again(client, bundle_of, tmp_path):
    def champion():
        return client.get_model_version_by_alias("skygen-gri128", "champion").version

    first, second = (bundle_of(seed, "gri128") for seed in (16, 17))
    trained(first, tmp_path)
    versions = []
    for folder in (first, second, first):  # the second was trained where this store is not
        versions.append(register("gri128", folder))
        assert str(champion()) == versions[-1]

    assert versions == ["1", "2", "1"]
    assert len(client.search_model_versions("name = 'skygen-gri128'")) == 2


def test_a_bundle_that_moved_is_the_same_bundle(client, bundle_of, tmp_path):
    folder = bundle_of(18)
    run_id = trained(folder, tmp_path)
    moved = Path(shutil.copytree(folder, tmp_path / "elsewhere"))
    tracking.log_evaluation("r64", "gan", 0, Bundle.load(moved).sha256, {"test.accuracy": 1.0}, [])

    assert client.get_run(run_id).data.metrics["test/accuracy"] == 1.0


def test_nothing_is_written_beside_the_store(store):
    assert {path.name for path in store.iterdir()} <= {"mlflow.db", "mlruns", "mlartifacts"}
