import subprocess
import sys

import pytest

from skygen.tracking.journal import Journal, Position, events, position, save_position, undelivered


@pytest.fixture
def journal(tmp_path):
    made = Journal(tmp_path / "a.journal")
    yield made
    made.close()


def test_events_come_back_in_order_from_where_they_are_asked_for(journal):
    for number in range(3):
        journal.append("tag", name=str(number), value="é\n")
    found = list(events(journal.folder))

    assert [event.content for event in found] == [{"name": str(number), "value": "é\n"} for number in range(3)]
    assert [event.content["name"] for event in events(journal.folder, found[0].end)] == ["1", "2"]


def test_a_journal_goes_on_where_it_was_left(journal):
    journal.append("tag", name="a", value="1")
    journal.close()
    again = Journal(journal.folder)
    again.append("tag", name="b", value="2")
    again.close()

    assert [event.content["name"] for event in events(journal.folder)] == ["a", "b"]


def test_a_line_that_is_being_written_is_not_read_and_one_cut_short_is_removed(journal, caplog):
    path = journal.folder / "events.jsonl"
    journal.append("tag", name="a", value="1")
    journal.close()
    whole = path.read_bytes()
    for cut in range(1, len(whole)):
        path.write_bytes(whole + whole[:cut])
        assert len(list(events(journal.folder))) == 1
    Journal(journal.folder).close()

    assert path.read_bytes() == whole
    assert f"{len(whole) - 1} bytes are lost" in caplog.text


def test_what_was_delivered_does_not_wait(journal):
    assert position(journal.folder) == Position()
    for name in "ab":
        journal.append("tag", name=name, value="1")
    first = next(events(journal.folder))
    delivered = Position(first.end, "sqlite:///mlflow.db", "run", "RUNNING", 32)
    save_position(journal.folder, delivered)

    assert position(journal.folder) == delivered
    assert undelivered(journal.folder) == 1


def test_a_journal_has_one_owner(journal):
    with pytest.raises(BlockingIOError, match="another process trains this; wait for its end"):
        Journal(journal.folder, patience_s=0)
    journal.close()
    Journal(journal.folder, patience_s=0).close()


def test_a_removed_journal_is_no_journal(journal):
    journal.append_file(b"x", "samples/1.png")
    (event,) = events(journal.folder)
    assert (journal.folder / "files" / event.content["place"] / event.content["name"]).read_bytes() == b"x"
    journal.remove()

    assert not journal.folder.exists()
    assert undelivered(journal.folder) == 0


FULL = """
import resource, sys
from pathlib import Path
from skygen import tracking
from skygen.tracking.journal import events
checkpoint, bundle = Path(sys.argv[1]), Path(sys.argv[2])
with tracking.training_run(checkpoint, "full-disk", {}, {}, Path(), "f" * 64, ["r"]) as log:
    journal = checkpoint.with_suffix(".journal")
    size = (journal / "events.jsonl").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, resource.RLIM_INFINITY))  # no file of this process grows
    for step in range(1, 4):
        log.metrics({"validation_score": 3.0}, step)
    log.curves([{"images_seen": 1, "discriminator_loss": 1.0, "generator_loss": 1.0}])
    log.bundle(bundle, "0" * 64, [bundle / "card.json"])
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    log.metrics({"validation_score": 2.0}, 4)
    print("trained", [event.content["step"] for event in events(journal) if event.kind == "metrics"])
"""


def test_a_full_disk_costs_figures_and_not_the_training(tmp_path, bundle_of):
    command = [sys.executable, "-W", "ignore", "-c", FULL, str(tmp_path / "full.pt"), str(bundle_of(80))]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert "trained [4]" in done.stdout
    assert done.stderr.count("figures are lost, the training goes on: [Errno 27] File too large") == 1
