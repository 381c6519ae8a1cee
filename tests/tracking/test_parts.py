"""Runs with parts, such as folds: one that the others belong to, whatever order they reach a store in."""

import pytest

from skygen import tracking
from skygen.bundle.bundle import Bundle
from skygen.files import write_json
from skygen.tracking.parts import Part, current_part
from tests.tracking.conftest import records

PARENT = "mlflow.parentRunId"


@pytest.fixture
def folds():
    """A function: the run of the folds of an identity, as `skygen folds` has it."""

    def begin(identity, name):
        return tracking.parent_run(identity, name, {"tiles": "r64"})

    return begin


@pytest.fixture
def in_fold(monkeypatch):
    """A function: what follows belongs to a fold."""

    def enter(parent, field):
        monkeypatch.setenv("SKYGEN_PART", str(Part(parent, field)))

    return enter


def test_the_environment_says_which_fold_a_stage_is_of(in_fold, monkeypatch):
    in_fold("p0", "94-1-12")
    assert current_part() == Part("p0", "94-1-12")
    monkeypatch.delenv("SKYGEN_PART")
    assert current_part() is None


def test_a_training_of_a_fold_and_its_evaluation_are_one_run_below_that_of_the_folds(
    runs_named, folds, in_fold, bundle_of, trained, tmp_path
):
    with folds("p1" * 16, "folds one") as run:
        in_fold("p1" * 16, "94-1-12")
        sha256 = trained(bundle_of(300), "r64-gan-300")
        tracking.log_evaluation("r64", "gan", 300, sha256, {"test.frechet": 2.0}, [])
        write_json(tmp_path / "gan.json", {"mean": 2.0})
        run.summary({"test/frechet": 2.0, "spread/test/frechet": 0.5}, tmp_path / "gan.json")
    (parent,), (child,) = runs_named("folds one"), runs_named("r64-gan-300")
    assert child.data.tags[PARENT] == parent.info.run_id
    assert child.data.tags["skygen.part"] == "94-1-12"
    assert child.data.metrics["test/frechet"] == 2.0
    assert parent.data.metrics == {"test/frechet": 2.0, "spread/test/frechet": 0.5}
    assert parent.info.status == "FINISHED"
    assert records(tracking.checkpoints()) == []


def test_a_bundle_that_is_measured_in_several_folds_keeps_the_values_of_each(
    runs_named, folds, in_fold, bundle_of, trained, monkeypatch
):
    sha256 = trained(bundle_of(301), "outside")
    tracking.log_evaluation("r64", "gan", 301, sha256, {"test.frechet": 1.0}, [])
    with folds("p2" * 16, "folds two"):
        for field, value in (("94-1-12", 2.0), ("94-2-13", 3.0), ("94-2-13", 4.0)):
            in_fold("p2" * 16, field)
            tracking.log_evaluation("r64", "gan-1", 301, sha256, {"test.frechet": value}, [])
    (parent,), (outside,) = runs_named("folds two"), runs_named("outside")
    children = runs_named("r64-gan-1-301")
    assert {run.data.tags[PARENT] for run in children} == {parent.info.run_id}
    found = {run.data.tags["skygen.part"]: run.data.metrics["test/frechet"] for run in children}
    assert found == {"94-1-12": 2.0, "94-2-13": 4.0}
    assert outside.data.metrics["test/frechet"] == 1.0
    assert PARENT not in outside.data.tags
    assert children[0].data.params == {"tiles": "r64", "recipe": "gan-1", "seed": "301"}
    monkeypatch.delenv("SKYGEN_PART")
    tracking.log_evaluation("r64", "gan", 301, sha256, {"test.frechet": 5.0}, [])
    assert runs_named("outside")[0].data.metrics["test/frechet"] == 5.0


def test_folds_that_stopped_go_on_in_their_run(runs_named, folds, tmp_path):
    write_json(tmp_path / "gan.json", {})
    with pytest.raises(KeyboardInterrupt), folds("p3" * 16, "folds three"):
        raise KeyboardInterrupt
    (stopped,) = runs_named("folds three")
    for value in (1.0, 2.0):  # the second time after its end
        with folds("p3" * 16, "folds three") as run:
            run.summary({"test/frechet": value}, tmp_path / "gan.json")
    (run,) = runs_named("folds three")
    assert (stopped.info.status, run.info.status) == ("KILLED", "FINISHED")
    assert run.info.run_id == stopped.info.run_id
    assert run.data.metrics["test/frechet"] == 2.0


def test_folds_that_failed_say_so_in_their_run_until_they_go_well(runs_named, folds):
    with pytest.raises(RuntimeError, match="one fold"), folds("p4" * 16, "folds four"):
        raise RuntimeError("one fold")
    (run,) = runs_named("folds four")
    assert (run.info.status, run.data.tags["skygen.error"]) == ("FAILED", "RuntimeError: one fold")
    with folds("p4" * 16, "folds four"):
        pass
    (run,) = runs_named("folds four")
    assert run.info.status == "FINISHED"
    assert "skygen.error" not in run.data.tags


def test_what_waited_for_a_server_comes_below_its_run_when_it_is_published(
    runs_named, folds, in_fold, bundle_of, trained, nobody, little_patience, tmp_path
):
    """A training sorts before the run it belongs to: the parent goes first all the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", nobody)
        with folds("p5" * 16, "folds five"):
            in_fold("p5" * 16, "94-1-12")
            sha256 = Bundle.load(bundle_of(302)).sha256
            tracking.log_evaluation("r64", "gan", 302, sha256, {"test.frechet": 2.0}, [])
    assert tracking.publish(tracking.checkpoints()) == 2
    (parent,), (child,) = runs_named("folds five"), runs_named("r64-gan-302")
    assert child.data.tags[PARENT] == parent.info.run_id


def test_an_evaluation_whose_folds_are_not_published_yet_waits_and_is_named(in_fold, bundle_of, runs_named, folds):
    in_fold("p6" * 16, "94-1-12")
    sha256 = Bundle.load(bundle_of(303)).sha256
    tracking.log_evaluation("r64", "gan", 303, sha256, {"test.frechet": 2.0}, [])
    with pytest.raises(ConnectionError, match="is not published yet"):
        tracking.publish(tracking.checkpoints())
    with folds("p6" * 16, "folds six"):
        pass
    tracking.publish(tracking.checkpoints())
    (parent,), (child,) = runs_named("folds six"), runs_named("r64-gan-303")
    assert child.data.tags[PARENT] == parent.info.run_id
    assert records(tracking.checkpoints()) == []
