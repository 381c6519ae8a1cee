"""`skygen paper` over the real stages, tiny: again, several workers, killed, lost, and in MLflow."""

import os
import re
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient
from PIL import Image

from skygen.evaluation import scoring
from skygen.experiments import training
from skygen.experiments.cells import Cells
from skygen.experiments.run import run_experiment
from skygen.experiments.spec import read_experiments
from skygen.experiments.training import Clone
from skygen.files import read_json
from skygen.locks import alone
from skygen.params import load

PARENT = "mlflow.parentRunId"


def ran(lines):
    """The cells that were run, by what was printed."""
    return [found[1] for line in lines if (found := re.match(r"([\w.-]+): [\d.]+ min", line))]


def cells_of(name):
    """The first cells of an experiment in the current folder."""
    params = load(Path("params.yaml"))
    return Cells(read_experiments(params)[name], Clone(params)).first


def summary_of(clone, name):
    return read_json(clone.folder / f"reports/paper/{name}.json")


@pytest.fixture
def rates(clone, paper):
    """What the command printed that ran the experiment `rates`, once for all tests."""
    if not hasattr(clone, "rates"):
        before, _ = paper("--list")
        clone.rates = (before, *paper("table9"))
    return clone.rates


def test_an_experiment_runs_every_cell_once_and_its_best_arm_again(rates):
    before, lines, status = rates
    assert "rates, table9: 0 of 3 cells done. What do rates do?" in before
    assert status == 0
    assert ran(lines) == ["usual-r64-0", "hot-r64-0", "usual-r64-1"]
    assert "# What do rates do?" in lines


def test_a_lost_training_is_a_row_with_its_reason(rates, clone):
    arms = summary_of(clone, "rates")["sets"]["r64"]["arms"]
    assert list(arms) == ["usual", "hot"]
    assert arms["usual"]["seeds"] == [0, 1]
    assert arms["hot"]["values"] == {}
    assert arms["hot"]["lost"]["0"].startswith("not finite: ")
    _, lines, _ = rates
    assert any(re.match(r"\| `hot` \| 2 × 4 \| 0.3 \| 1 \| 1 \| – \|", line) for line in lines)  # noqa: RUF001
    assert any(line.startswith("- `hot`, seed 0, was lost: not finite: ") for line in lines)
    assert str(clone.folder) not in "\n".join(lines)


def test_tiles_of_the_arms_that_were_not_lost_are_in_one_picture(rates, in_clone):
    (usual, *_) = cells_of("rates")
    with Image.open("reports/paper/rates-r64.png") as picture, Image.open(usual.training.grid_file("r64")) as grid:
        shown = picture.crop((16, 40, picture.width - 16, picture.height - 16))
        assert shown.size == (460, 460)  # 7 x 7 tiles with their seams
        assert shown.tobytes() == grid.convert("RGB").crop((0, 0, 460, 460)).tobytes()


def test_claims_have_their_verdicts(rates, clone):
    """One seed is common to both arms, and from it the other arm was lost."""
    better, steadier = summary_of(clone, "rates")["claims"]
    assert (better["verdict"], better["rows"][0]["lost"]) == ("cannot be compared", {"hot": [0]})
    assert (steadier["verdict"], steadier["rows"][0]["difference"]) == ("cannot be compared", -1.0)
    _, lines, _ = rates
    assert any("**cannot be compared**: 1 of `hot` lost |" in line for line in lines)
    assert any("**cannot be compared**: one seed decides nothing |" in line for line in lines)


def test_what_the_table_says_is_what_the_stages_measured(rates, in_clone):
    values = summary_of(in_clone, "rates")["sets"]["r64"]["arms"]["usual"]["values"]["test.kernel"]
    usual = next(cell for cell in cells_of("rates") if cell.arm == "usual")
    measured = read_json(usual.training.metrics_file("r64"))["test"]["kernel"]["value"]
    assert values["seeds"]["0"] == measured
    assert values["mean"] == pytest.approx(np.mean(list(values["seeds"].values())), rel=1e-5)


def test_a_finished_cell_is_not_repeated(rates, paper, runs):
    before = {run.info.run_id for run in runs()}
    lines, status = paper("rates")
    assert (ran(lines), status) == ([], 0)
    assert {run.info.run_id for run in runs()} == before
    listed, _ = paper()
    assert "rates, table9: 3 of 3 cells done. What do rates do?" in listed


def test_changed_code_or_values_make_other_cells_and_the_old_ones_come_back(rates, paper, in_clone):
    script = in_clone.folder / "pipelines/evaluate.py"
    text = script.read_text()
    script.write_text(f"{text}# changed\n")
    try:
        assert "rates, table9: 1 of 3 cells done. What do rates do?" not in paper("--list")[0]
        assert "rates, table9: 0 of 3 cells done. What do rates do?" in paper("--list")[0]
    finally:
        script.write_text(text)
    in_clone.set_param(0.4, "recipes", "gan", "beta1")
    try:
        assert "rates, table9: 0 of 3 cells done. What do rates do?" in paper("--list")[0]
    finally:
        in_clone.set_param(0.5, "recipes", "gan", "beta1")
    assert "rates, table9: 3 of 3 cells done. What do rates do?" in paper("--list")[0]


def test_cells_are_runs_below_that_of_their_experiment(rates, clone, runs):
    (parent,) = runs("paper rates")
    children = {run.data.tags["skygen.part"]: run for run in runs(part="rates-")}
    assert set(children) == {"rates-usual-0", "rates-hot-0", "rates-usual-1"}
    assert {run.data.tags[PARENT] for run in children.values()} == {parent.info.run_id}
    assert children["rates-hot-0"].info.status == "FAILED"
    usual = summary_of(clone, "rates")["sets"]["r64"]["arms"]["usual"]["values"]["test.kernel"]
    assert children["rates-usual-1"].data.metrics["test/kernel"] == usual["seeds"]["1"]
    assert parent.data.metrics["r64/usual/test/kernel"] == usual["mean"]
    assert parent.info.status == "FINISHED"
    kept = MlflowClient(f"sqlite:///{clone.folder}/mlflow.db").list_artifacts(parent.info.run_id)
    assert [file.path for file in kept] == ["rates-r64.png", "rates.json"]


def test_a_cell_that_another_experiment_has_done_is_taken_over(rates, clone, paper, runs):
    lines, status = paper("twice")
    assert (ran(lines), status) == ([], 0)
    value = summary_of(clone, "twice")["sets"]["r64"]["arms"]["gan"]["values"]["test.kernel"]["seeds"]["0"]
    assert value == summary_of(clone, "rates")["sets"]["r64"]["arms"]["usual"]["values"]["test.kernel"]["seeds"]["0"]
    (parent,), (child,) = runs("paper twice"), runs(part="twice-gan-0")
    assert child.data.tags[PARENT] == parent.info.run_id
    assert child.data.metrics["test/kernel"] == value


@pytest.mark.slow
def test_two_workers_take_no_cell_twice(clone, begin, runs):
    workers = [begin("shared") for _ in range(2)]
    printed = [worker.communicate()[0].splitlines() for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], printed
    assert sorted(ran(printed[0]) + ran(printed[1])) == [f"gan-r64-{seed}" for seed in (5, 6, 7)]
    assert len(runs(part="shared-")) == 3
    for lines in printed:  # each shows all, whoever ran them
        assert any("3 of 3 cells done" in line for line in lines)


def test_a_cell_that_another_has_is_left_and_waited_for(in_clone):
    first, second = cells_of("held")
    params, said = load(Path("params.yaml")), []
    first.training.folder.mkdir(parents=True)
    with alone(first.training.folder / "lock", "another worker"):
        arguments = (read_experiments(params)["held"], Clone(params), said.append)
        worker = threading.Thread(target=run_experiment, args=arguments)
        worker.start()
        while not (said and said[-1].startswith("waiting for what other processes have: ")):
            assert worker.is_alive()
            time.sleep(0.1)
        assert ran(said) == [second.name]
        assert said[-1].endswith(f": {first.name}")
    worker.join()
    assert ran(said) == [second.name, first.name]


def test_a_killed_cell_goes_on_from_its_checkpoint(in_clone, begin, paper, runs):
    """Its worker is killed first: while the training goes on alone, nobody else can begin it."""
    (cell,) = cells_of("long")
    before = set(Path(".checkpoints").glob("*.pt"))
    with begin("long", forked=False) as process:
        while not (kept := set(Path(".checkpoints").glob("????????????????.pt")) - before):
            assert process.poll() is None, process.stdout.read()
            time.sleep(0.05)
        process.kill()
        process.wait()
        with pytest.raises(BlockingIOError, match="another run"), alone(cell.training.folder / "lock", "this"):
            pass
        os.kill(int(kept.pop().with_suffix(".lock").read_text()), signal.SIGKILL)
    killed_at_ms = time.time() * 1000
    lines, status = paper("long")
    assert (ran(lines), status) == (["long-r64-0"], 0)
    (run,) = runs(part="long-")
    assert run.info.status == "FINISHED"
    store = MlflowClient(f"sqlite:///{in_clone.folder}/mlflow.db")
    history = store.get_metric_history(run.info.run_id, "validation_score")
    steps = [metric.step for metric in history]
    assert steps == sorted(set(steps))
    assert len(steps) == 10
    assert history[0].timestamp < killed_at_ms < history[-1].timestamp


def test_a_stage_that_fails_is_no_result(in_clone, paper):
    """The others go on; once the cause is mended the cell is run."""
    encoder = in_clone.folder / "encoders/r64"
    encoder.rename(in_clone.folder / "encoders/away")
    try:
        cells = cells_of("twice")
        assert cells[0].result() is None
        lines, status = paper("twice")
        assert status == 1
        assert any(line.startswith("gan-r64-0: evaluate failed: ") for line in lines)
        assert summary_of(in_clone, "twice")["failed"].keys() == {"gan-r64-0"}
    finally:
        (in_clone.folder / "encoders/away").rename(encoder)
    lines, status = paper("twice")
    assert status == 0


def test_code_that_changes_while_the_command_runs_is_no_result(in_clone):
    (cell,) = cells_of("twice")
    cell.training.evaluation("r64")  # as the command found it
    script = in_clone.folder / "pipelines/evaluate.py"
    text = script.read_text()
    script.write_text(f"{text}# changed\n")
    try:
        with pytest.raises(OSError, match="changed while the command ran"):
            cell.training.run("r64", 0, {})
    finally:
        script.write_text(text)


def test_generated_tiles_that_are_not_finite_are_a_lost_training_too():
    with pytest.raises(ValueError, match="hold NaN") as found:
        scoring.describe(np.full((2, 1, 64, 64), np.nan, np.float32), [])
    assert training._LOST.fullmatch(f"ValueError: {found.value}")[2] == "generated tiles hold NaN or infinity"
