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
