"""The pipeline as its users run it: a tiny `dvc repro`, then what a change re-runs, then the champion in MLflow."""

import io
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import mlflow
import numpy as np
import pytest
from astropy.io import fits
from mlflow import MlflowClient

from skygen.bundle.bundle import Bundle
from skygen.evaluation.scoring import CONTROLS, SAID, entries
from skygen.files import sha256_folder
from skygen.measure.table import MEANINGS
from tests.e2e.conftest import Project
from tests.harness.served import await_ready
from tools.rehearse.programs import free_port

SETS, PAINTERS = ("r64", "gri128"), ("gan", "improved")
RECIPES = (*PAINTERS, "scene")


def test_repro_again_does_nothing(project: Project) -> None:
    assert project.repro() == set()


def test_changed_recipe_reruns_its_trainings_and_what_follows_and_nothing_else(project: Project) -> None:
    project.set_param(0.3, "recipes", "improved", "beta1")
    improved = {f"{stage}@{tiles}-improved-0" for stage in ("train", "evaluate") for tiles in SETS}
    assert project.repro() == improved | {"compare", "package"}


def test_changed_tile_set_touches_that_set_alone(project: Project) -> None:
    project.set_param(12.0, "tiles", "r64", "source_snr")
    assert project.repro("--dry") == {"tiles@r64", "train_process@scene-0"}
    of_models = {f"{stage}@r64-{recipe}-0" for stage in ("train", "evaluate") for recipe in PAINTERS}
    of_models |= {"train_process@scene-0", *(f"evaluate@{tiles}-scene-0" for tiles in SETS)}  # one for both sets
    of_set = {f"{stage}@r64" for stage in ("tiles", "controls")}
    assert project.repro("--dry", "--force", "--downstream", "tiles@r64") == of_models | of_set | {"compare", "package"}
    project.set_param(10.0, "tiles", "r64", "source_snr")
    assert project.repro("--dry") == set()


def test_frames_folder_is_what_dvc_compares(project: Project) -> None:
    note = project.folder / "data/local/note.txt"
    note.write_text("new")
    assert project.repro("--dry") == {"frames"}
    note.unlink()
    assert project.repro("--dry") == set()


def test_a_stage_that_refuses_leaves_what_was_there(project: Project) -> None:
    """One field of the folder, which is read and inspected, where three are asked for."""
    frames, local = project.folder / "data/frames", project.folder / "data/local"
    before = sha256_folder(frames)
    some = [shutil.copy(path, local) for path in frames.glob("frame-?-900001-*")]
    assert len(some) == 3
    project.set_param("local", "frames", "source")
    refused = subprocess.run(
        ["dvc", "repro", "frames"],
        cwd=project.folder,
        env=project.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode != 0
    assert "1 fields are usable in g, i, r, but frames.min_fields asks for 3" in refused.stderr
    assert sha256_folder(frames) == before
    project.set_param("simulated", "frames", "source")
    for path in some:
        Path(path).unlink()
    assert project.repro("--dry") == set()


def test_changed_evaluation_measures_anew_and_trains_nothing(project: Project) -> None:
    project.set_param(1, "evaluation", "seed")
    assert project.repro("--dry") == {f"controls@{tiles}" for tiles in SETS} | {
        *(f"evaluate@{tiles}-{recipe}-0" for tiles in SETS for recipe in RECIPES),
        "compare",
        "package",
    }
    project.set_param(0, "evaluation", "seed")
    assert project.repro("--dry") == set()


@pytest.mark.parametrize("tiles", SETS)
@pytest.mark.parametrize("recipe", RECIPES)
def test_every_run_reports_every_metric_with_its_controls(project: Project, tiles: str, recipe: str) -> None:
    folder = project.folder / "reports" / tiles
    content = json.loads((folder / recipe / "0" / "metrics.json").read_text())
    assert content["encoder"] == json.loads((folder / "controls.json").read_text())["encoder"]
    assert content["bundle"] == Bundle.load(project.folder / "models" / tiles / recipe / "0" / "bundle").sha256
    for split in ("validation", "test"):
        found = dict(entries(content[split]))
        lacking = () if tiles == "gri128" else ("sources.g_r", "sources.r_i")
        lacking += () if recipe in PAINTERS else ("discriminator_accuracy",)  # a process keeps none that judges tiles
        assert ("accuracy_own_density" in found) == (recipe not in PAINTERS)
        own = found.pop("accuracy_own_density", None)
        assert own is None or set(own) == {"value", "interval", "real_10th_percentile", "reached"}
        assert list(found) == [key for key in MEANINGS if key not in lacking]
        if recipe in PAINTERS:
            assert set(found.pop("discriminator_accuracy")) == {"value", "interval"}
        for metric in found.values():
            assert set(metric) == {"value", "interval", *SAID, *CONTROLS}
        assert found["diversity"]["collapsed"] == pytest.approx(0, abs=1e-4)
        assert 0 <= found["accuracy"]["real_real"] <= 1  # below 1 where so few real tiles have no part of it


@pytest.fixture
def store(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[MlflowClient]:
    """MLflow with the project as the current folder, as `make ui` has it: the places of artifacts are below it."""
    monkeypatch.chdir(project.folder)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{project.folder}/mlflow.db")
    yield MlflowClient()
    mlflow.set_tracking_uri(before)


def test_mlflow_compares_the_runs_of_one_experiment(store: MlflowClient) -> None:
    experiment = store.get_experiment_by_name("skygen")
    runs = store.search_runs([experiment.experiment_id])
    assert {run.info.run_name for run in runs} == {f"{tiles}-{recipe}-0" for tiles in SETS for recipe in RECIPES}
    names = [set(run.data.metrics) for run in runs if run.data.params["tiles"] == "r64"]
    some = {name for name in set.union(*names) if name.startswith("system/") or "discriminator_accuracy" in name}
    some |= {f"{split}/accuracy_own_density" for split in ("validation", "test")}
    some |= {"validation_scene_diversity"}
    assert len({frozenset(of_run - some) for of_run in names}) == 1  # some need time, a process, or a judge of tiles
    assert len({frozenset(run.data.params) for run in runs if run.data.params["recipe"] in PAINTERS}) == 1
    for run in runs:
        painted = run.data.params["recipe"] in PAINTERS
        assert run.data.tags["departs_from_recipe"].startswith("laptop: dropout_factor" if painted else "no")
        artifacts = {file.path for file in store.list_artifacts(run.info.run_id)}
        assert {"samples", "metrics.json", "distributions.json", "grid.png", "neighbours.png"} <= artifacts
        assert {f"{split}/{key}" for split in ("validation", "test") for key in ("accuracy", "c2st/pixels")} <= set(
            run.data.metrics
        )


@pytest.mark.parametrize("tiles", SETS)
def test_registered_champion_draws_the_tiles_of_a_champion(project: Project, store: MlflowClient, tiles: str) -> None:
    """Of the first run or the last: one that stands stays unless it is beaten by more than chance."""
    champion = json.loads((project.folder / "reports/comparison.json").read_text())["champions"][tiles]
    last = project.folder / "models" / tiles / champion["recipe"] / "0" / "bundle"
    bundles = {bundle.sha256: bundle for bundle in map(Bundle.load, (project.first_champions / tiles, last))}
    bundle = bundles[store.get_model_version_by_alias(f"skygen-{tiles}", "champion").tags["skygen.bundle_sha256"]]
    model = mlflow.pyfunc.load_model(f"models:/skygen-{tiles}@champion")
    np.testing.assert_array_equal(model.predict({"seed": 7, "n": 2}), bundle.generate(7, 2))


@pytest.fixture(scope="module")
def served(project: Project) -> Iterator[str]:
    """The address of the packaged Bento, unpacked and served as `make serve` does."""
    bento = project.folder / ".bento"
    bento.mkdir()
    project.run("python", "-m", "tarfile", "-e", "dist/skygen.bento", ".bento")
    port = free_port()
    command = ["bentoml", "serve", str(bento), "--host", "127.0.0.1", "--port", str(port)]
    environment = {key: value for key, value in project.environment.items() if key != "PYTHONPATH"}
    environment["BENTOML_HOME"] = str(bento / "home")
    with (project.folder / "serve.log").open("w") as log:
        server = subprocess.Popen(command, cwd=project.folder, env=environment, stdout=log, stderr=log)
    try:
        await_ready(f"http://127.0.0.1:{port}", server, project.folder / "serve.log")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=120)


def test_bento_serves_every_bundle_of_the_pipeline_and_the_registry_s_champions(
    project: Project, store: MlflowClient, served: str
) -> None:
    cards = httpx.get(f"{served}/v1/models").json()["models"]
    standing = {
        tiles: store.get_model_version_by_alias(f"skygen-{tiles}", "champion").tags["skygen.bundle_sha256"]
        for tiles in SETS
    }
    assert {card["tiles"]: card["sha256"] for card in cards if card["champion"]} == standing
    assert {(card["tiles"], card["recipe"]) for card in cards} == {(t, r) for t in SETS for r in RECIPES}
    for card in cards:
        request = {"tiles": card["tiles"], "model": card["recipe"], "n": 2, "seed": 7, "format": "fits"}
        answer = httpx.post(f"{served}/v1/generate", json=request, timeout=60)
        last = Bundle.load(project.folder / "models" / card["tiles"] / card["recipe"] / "0" / "bundle")
        stays = card["champion"] and card["sha256"] != last.sha256  # the first champion, which the last did not beat
        bundle = Bundle.load(project.first_champions / card["tiles"]) if stays else last
        with fits.open(io.BytesIO(answer.content), checksum=True) as hdus:
            assert hdus[2].header["MODEL"] == bundle.sha256
            np.testing.assert_array_equal(np.squeeze(bundle.generate(7, 2)[1]), hdus[2].data)
