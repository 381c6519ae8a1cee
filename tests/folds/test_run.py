"""`skygen folds` over the real stages, tiny: killed, again, with a change, with a fold that fails, with a bundle."""

import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient

from skygen.files import read_json, sha256_folder
from tests.folds.conftest import FIELDS

pytestmark = pytest.mark.slow

TWO = FIELDS[:2]
ASKED = ("--sets", "r64", "--fields", ",".join(TWO))
OF_SET = ["tiles@r64", "controls@r64"]
STAGES = [*OF_SET, "train@r64-gan-0", "evaluate@r64-gan-0"]
PARENT = "mlflow.parentRunId"


def ran(lines, field):
    """The stages of a fold that were run, by what was printed."""
    words = [line.split() for line in lines if line.startswith(f"{field} ")]
    return [stage.removesuffix(":") for _, stage, *rest in words if rest[-1] == "min"]


def metrics_of(clone, field, recipe="gan"):
    return read_json(clone.folder / ".folds" / field / "reports/r64" / recipe / "0/metrics.json")


@pytest.fixture(scope="module")
def killed(clone):
    """What the first command printed up to its death by kill -9 in the second fold, and the second one to its end."""
    with clone.begin(*ASKED) as process:
        before = []
        for line in process.stdout:
            before.append(line)
            if line.startswith(f"{TWO[1]} tiles@r64"):
                process.kill()
    after, status = clone.folds(*ASKED)
    assert status == 0, "\n".join(after)
    return before, after


@pytest.fixture
def client(clone, monkeypatch):
    monkeypatch.chdir(clone.folder)
    return MlflowClient(f"sqlite:///{clone.folder}/mlflow.db")


@pytest.fixture
def runs(client):
    """A function: the runs of the clone's store whose name begins so, the newest first."""

    def find(name):
        experiment = client.get_experiment_by_name("skygen")
        return [run for run in client.search_runs([experiment.experiment_id]) if run.info.run_name.startswith(name)]

    return find


def test_a_killed_command_goes_on_and_repeats_nothing_that_was_finished(killed):
    before, after = killed
    assert ran(before, TWO[0]) == STAGES
    assert ran(after, TWO[0]) == []
    assert ran(before, TWO[1]) == ["tiles@r64"]
    assert ran(after, TWO[1]) in (STAGES[1:], STAGES[2:])  # what was at work when it was killed may have been finished


def test_each_fold_held_out_its_own_fields(clone, killed):
    for field, chooses in zip(TWO, FIELDS[1:], strict=False):
        card = read_json(clone.folder / ".folds" / field / "data/tiles/r64/tiles.json")
        assert (card["fields"]["test"], card["fields"]["validation"]) == ([field], [chooses])
        assert sorted(card["fields"]["train"]) == sorted(set(FIELDS) - {field, chooses})


def test_the_summary_is_numpys_of_the_folds_metrics(clone, killed):
    summary = read_json(clone.folder / "reports/folds/r64/gan.json")
    assert (summary["fields"], summary["failed"], summary["seeds"]) == (TWO, {}, [0])
    values = [metrics_of(clone, field)["test"]["frechet"]["value"] for field in TWO]
    found = summary["test"]["frechet"]["value"]
    assert found["mean"] == pytest.approx(np.mean(values), rel=1e-5)
    assert found["spread"] == pytest.approx(np.std(values, ddof=1), rel=1e-5)
    assert found["interval"] == pytest.approx([min(values), max(values)], rel=1e-5)  # of two, each half of the time
    assert "| `frechet` |" in (clone.folder / "reports/folds.md").read_text()


def test_the_run_of_the_folds_has_a_child_for_each_with_its_metrics(clone, killed, client, runs):
    (parent,) = runs("folds r64-gan")
    children = {run.data.tags["skygen.part"]: run for run in runs("r64-gan-0")}
    assert set(children) == set(TWO)
    for field, run in children.items():
        assert run.data.tags[PARENT] == parent.info.run_id
        assert run.data.params["recipe"] == "gan"
        measured = metrics_of(clone, field)
        for split in ("validation", "test"):
            assert run.data.metrics[f"{split}/frechet"] == measured[split]["frechet"]["value"]
        assert "metrics.json" in {file.path for file in client.list_artifacts(run.info.run_id)}
    summary = read_json(clone.folder / "reports/folds/r64/gan.json")["test"]["frechet"]["value"]
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics["test/frechet"] == summary["mean"]
    assert parent.data.metrics["spread/test/frechet"] == summary["spread"]


def test_again_nothing_runs_and_nothing_is_added_to_mlflow(clone, killed, runs):
    before = {run.info.run_id for run in runs("")}
    lines, status = clone.folds(*ASKED)
    assert status == 0
    assert [ran(lines, field) for field in TWO] == [[], []]
    assert {run.info.run_id for run in runs("")} == before


def test_what_was_deleted_comes_back_from_the_cache_of_the_clone(clone, killed):
    models = clone.folder / ".folds" / TWO[0] / "models/r64/gan"
    before = sha256_folder(models)
    shutil.rmtree(models)
    lines, status = clone.folds(*ASKED)
    assert status == 0
    assert ran(lines, TWO[0]) == []
    assert sha256_folder(models) == before


def test_a_bundle_is_evaluated_in_each_fold_and_its_own_run_keeps_its_values(clone, killed, runs):
    training = clone.folder / ".folds" / TWO[0] / "models/r64/gan/0"
    before = {run.info.run_id: run.data.metrics for run in runs("r64-gan-0")}
    lines, status = clone.folds("--bundle", str(training), "--fields", ",".join(TWO))
    assert status == 0, "\n".join(lines)
    recipe = f"gan-{sha256_folder(training / 'bundle')[:8]}"
    assert [ran(lines, field) for field in TWO] == [[f"evaluate@r64-{recipe}-0"]] * 2
    (parent,) = runs(f"folds r64-{recipe}")
    children = {run.data.tags["skygen.part"]: run for run in runs(f"r64-{recipe}-0")}
    assert set(children) == set(TWO)
    for field, run in children.items():
        assert run.data.tags[PARENT] == parent.info.run_id
        assert run.data.metrics["test/frechet"] == metrics_of(clone, field, recipe)["test"]["frechet"]["value"]
    assert {run.info.run_id: run.data.metrics for run in runs("r64-gan-0")} == before
    assert metrics_of(clone, TWO[0], recipe)["test"] == metrics_of(clone, TWO[0])["test"]


def test_a_fold_that_fails_is_named_and_the_others_go_on_with_what_changed(clone, killed, runs):
    """A changed recipe trains anew and nothing else; then one fold's training cannot write, until that is mended."""
    clone.set_param(0.4, "recipes", "gan", "beta1")
    blocked = clone.folder / ".folds" / TWO[0] / "models/r64/gan"
    shutil.rmtree(blocked)
    blocked.touch()
    try:
        lines, status = clone.folds(*ASKED)
        assert status == 1
        assert ran(lines, TWO[1]) == STAGES[2:]
        assert any(line.startswith(f"{TWO[0]}: train@r64-gan-0 failed") for line in lines)
        summary = read_json(clone.folder / "reports/folds/r64/gan.json")
        assert (summary["fields"], list(summary["failed"])) == ([TWO[1]], [TWO[0]])
        failed = runs("folds r64-gan")[0]
        assert failed.info.status == "FAILED"
        assert TWO[0] in failed.data.tags["skygen.error"]
        blocked.unlink()
        lines, status = clone.folds(*ASKED)
        assert status == 0
        assert (ran(lines, TWO[0]), ran(lines, TWO[1])) == (STAGES[2:], [])
        (mended, *_), children = runs("folds r64-gan"), runs("r64-gan-0")
        assert (mended.info.run_id, mended.info.status) == (failed.info.run_id, "FINISHED")
        assert sum(run.data.tags[PARENT] == mended.info.run_id for run in children) == 2
        assert len(children) == 4
    finally:
        clone.set_param(0.5, "recipes", "gan", "beta1")


def test_sigterm_ends_the_stage_too_and_says_so_in_mlflow(clone, killed, runs):
    clone.set_param(20000, "scales", "laptop", "training", "r64", "iterations")
    try:
        before = trainings(clone)
        with clone.begin(*ASKED, forked=False) as process:
            while trainings(clone) <= before:
                assert process.poll() is None
                time.sleep(0.1)
            process.terminate()
            assert process.wait(120) == 128 + signal.SIGTERM
        assert not [found for found in processes() if found == clone.folder / ".folds" / TWO[0]]
    finally:
        clone.set_param(2, "scales", "laptop", "training", "r64", "iterations")
    assert runs("folds r64-gan")[0].info.status == "KILLED"
    assert runs("r64-gan-0")[0].info.status == "KILLED"


def trainings(clone):
    """What trainings that are at work, or stopped, have measured: the machine, after ten seconds."""
    return set((clone.folder / ".checkpoints").glob("*-????????.run/metrics.jsonl"))


def processes():
    """The current folders of all processes."""
    for path in Path("/proc").glob("[0-9]*/cwd"):
        try:
            yield path.readlink()
        except OSError:
            continue
