import subprocess
import sys

import pytest

from skygen.tracking.record import FINISHED, KILLED, Record, Run, read_metrics, read_run, unfinished


@pytest.fixture
def record(tmp_path):
    made = Record(tmp_path / "a-0.run", Run("r64-gan-0", id="0", key="a"))
    made.begin()
    return made


def steps(folder):
    return [row["step"] for row in read_metrics(folder)[0]]


def test_a_record_holds_what_was_reported(record):
    record.metrics({"score": 0.5}, 32)
    record.artifact(b"first", "samples/1.png")
    record.artifact(b"second", "samples/1.png")
    record.tag("collapsed", "é\n")
    record.end(KILLED, "SIGTERM")
    run = read_run(record.folder)

    assert [row["values"] for row in read_metrics(record.folder)[0]] == [{"score": 0.5}]
    assert (record.folder / "artifacts/samples/1.png").read_bytes() == b"second"
    assert (run.tags, run.status, run.error) == ({"collapsed": "é\n"}, "KILLED", "SIGTERM")


def test_a_record_goes_on_where_it_was_left(record, tmp_path):
    record.metrics({"score": 0.5}, 32)
    again = unfinished(tmp_path, "a")
    again.begin(tags={"device": "cpu"})
    again.metrics({"score": 0.25}, 64)

    assert steps(record.folder) == [32, 64]
    assert again.folder == record.folder
    again.end(FINISHED)
    assert unfinished(tmp_path, "a") is None


def test_a_line_that_is_being_written_is_not_read_and_one_cut_short_costs_itself_alone(record, tmp_path):
    path = record.folder / "metrics.jsonl"
    record.metrics({"score": 0.5}, 32)
    whole = path.read_bytes()
    for cut in range(1, len(whole) - 1):
        path.write_bytes(whole + whole[:cut])
        assert steps(record.folder) == [32]
        unfinished(tmp_path, "a").metrics({"score": 0.25}, 64)
        assert steps(record.folder) == [32, 64]


def test_what_is_no_record_is_named(record, tmp_path):
    (record.folder / "run.json").write_text('{"colour": "red"}')

    with pytest.raises(ValueError, match=r"a-0\.run/run\.json: not the record of a run"):
        read_run(record.folder)
    assert unfinished(tmp_path, "a") is None


FULL = """
import resource, sys
from pathlib import Path
from skygen import tracking
from skygen.tracking.record import read_metrics
checkpoint, bundle, size = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
def full(room):  # no file of this process may be larger, as on a disk that is full
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
if not size:
    full(0)
with tracking.training_run(checkpoint, "full-disk", {}, {}, Path(), "f" * 64, ["r"]) as log:
    log.metrics({"validation_score": 4.0}, 1)
    full(size)
    for step in range(2, 4):
        log.metrics({"validation_score": 3.0}, step)
    log.curves([{"images_seen": 1, "discriminator_loss": 1.0, "generator_loss": 1.0}])
    log.bundle(bundle, "0" * 64, [bundle / "card.json"])
    full(resource.RLIM_INFINITY)
    log.metrics({"validation_score": 2.0}, 4)
    (record,) = checkpoint.parent.glob("*.run")
    steps = [row["step"] for row in read_metrics(record)[0] if "validation_score" in row["values"]]
    print("trained", steps)
"""


@pytest.mark.parametrize(("size", "kept"), [(0, [4]), (90, [1, 4])], ids=["from the start", "in between"])
def test_a_full_disk_costs_figures_and_not_the_training(tmp_path, bundle_of, size, kept):
    command = [sys.executable, "-W", "ignore", "-c", FULL, str(tmp_path / "full.pt"), str(bundle_of(80)), str(size)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert f"trained {kept}" in done.stdout
    assert done.stderr.count("figures are lost, the run goes on: [Errno 27] File too large") == 1
