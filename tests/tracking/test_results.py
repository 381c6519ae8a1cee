import shutil
from pathlib import Path

import mlflow
import numpy as np
import pytest

from skygen import tracking
from skygen.bundle import Bundle


@pytest.fixture
def trained(training, tmp_path):
    """A function: the hash of a bundle, which a run of its own has made."""

    def train(folder, name="r64-gan-0"):
        sha256 = Bundle.load(folder).sha256
        with training(sha256[:16], name) as log:
            log.bundle(folder, sha256, [])
        return sha256

    return train


def evaluate(sha256, value, seed=0, files=()):
    tracking.log_evaluation("r64", "gan", seed, sha256, {"test.accuracy": value}, files)


def register(tiles, folder):
    return tracking.register_champion(tiles, "gan", 0, folder, Bundle.load(folder).sha256)


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
    assert not list(tracking.JOURNALS.glob("*.journal"))


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
    tracking.deliver(tmp_path / "checkpoints")
    evaluate(sha256, 0.75, seed=15)

    assert runs_named("late")[0].data.metrics["test/accuracy"] == 0.75
    assert runs_named("r64-gan-15")[0].data.metrics["test/accuracy"] == 0.25


def test_a_champion_is_registered_once_and_serves_the_bundle_s_tiles(client, bundle_of, trained):
    folder = bundle_of(16)
    trained(folder)
    first, again = (register("r64", folder) for _ in range(2))
    champion = mlflow.pyfunc.load_model("models:/skygen-r64@champion")

    assert first == again
    assert len(client.search_model_versions("name = 'skygen-r64'")) == 1
    assert client.get_model_version_by_alias("skygen-r64", "champion").tags["recipe"] == "gan"
    assert np.array_equal(champion.predict({"seed": [7], "n": [4]}), Bundle.load(folder).generate(7, 4))


def test_the_alias_follows_the_champion_and_versions_are_found_again(client, bundle_of, trained):
    def champion():
        return client.get_model_version_by_alias("skygen-gri128", "champion").version

    first, second = (bundle_of(seed, "gri128") for seed in (17, 18))
    trained(first)
    versions = []
    for folder in (first, second, first):  # the second was trained where this store is not
        versions.append(register("gri128", folder))
        assert str(champion()) == versions[-1]

    assert versions == ["1", "2", "1"]
    assert len(client.search_model_versions("name = 'skygen-gri128'")) == 2


def test_a_bundle_that_moved_is_the_same_bundle(runs_named, bundle_of, trained, tmp_path):
    folder = bundle_of(19)
    trained(folder, "moved-bundle")
    moved = Path(shutil.copytree(folder, tmp_path / "elsewhere"))
    evaluate(Bundle.load(moved).sha256, 1.0)

    assert runs_named("moved-bundle")[0].data.metrics["test/accuracy"] == 1.0


def test_nothing_is_written_beside_the_store(store):
    assert {path.name for path in store.iterdir()} <= {"mlflow.db", "mlruns", "mlartifacts", ".checkpoints"}
