"""The audit by itself: what stood before, who may not be promoted, and what a run that was killed leaves."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skygen.tracking.audit import (
    MOST_VALUE,
    MOST_VERDICT,
    MOST_WHY,
    Audit,
    Entry,
    checked_why,
    one_line,
    who,
)


def entry(action, version, **more):
    return Entry(
        "2026-11-30T00:00:00+00:00", "ana", action, version, more.pop("over", None), version * 64, "a test", **more
    )


def audit(*entries, standing=None):
    return Audit.of_tags({f"audit.{number:06d}-0": one.text() for number, one in enumerate(entries, 1)}, standing)


@given(st.lists(st.sampled_from(["up", "back"]), max_size=20))
def test_rollbacks_walk_back_through_promotions_as_through_a_stack(steps):
    entries, stack, number = [], [], 0
    for step in steps:
        if step == "up":
            number += 1
            entries.append(entry("promoted", str(number), over=stack[-1] if stack else None))
            stack.append(str(number))
        elif len(stack) > 1:
            entries.append(entry("rolled back", stack.pop(), to=stack[-1]))
    standing = stack[-1] if stack else "none"

    assert audit(*entries).before(standing) == stack[:-1][::-1]


def test_what_stood_before_the_audit_began_or_was_moved_by_hand_is_known():
    known = audit(entry("promoted", "4", over="3"), entry("promoted", "6", over="5"))

    assert known.before("6") == ["5", "4", "3"]
    assert known.before("4") == ["3"]
    assert known.before("7") == ["6", "5", "4", "3"]


def test_a_bundle_is_barred_from_its_refusal_to_its_promotion():
    steps = [
        entry("promoted", "1"),
        entry("refused", "2"),
        entry("not promoted", "2"),
        entry("rolled back", "1", to="3"),
    ]

    assert audit(*steps[:1]).bar("1" * 64) is None
    assert audit(*steps).bar("2" * 64).action == "refused"
    assert audit(*steps).bar("1" * 64).action == "rolled back"
    assert audit(*steps, entry("promoted", "2")).bar("2" * 64) is None


def test_a_begun_entry_is_what_the_alias_says():
    begun = entry("promoted", "2", over="1", state="begun")

    assert [one.state for one in audit(begun, standing="2").entries.values()] == ["done"]
    assert [one.state for one in audit(begun, standing="1").entries.values()] == ["broken off"]
    assert audit(begun, standing="1").latest("2") is None
    assert "(broken off)" in str(*audit(begun, standing="1").entries.values())


def test_entries_come_in_their_order_and_the_next_one_is_behind_them_all():
    tags = {f"audit.{number:06d}-{number:x}": entry("refused", str(number)).text() for number in (10, 9, 11)}
    read = Audit.of_tags(tags | {"audit.note": "of somebody else", "recipe": "gan"}, None)

    assert [one.version for one in read.entries.values()] == ["9", "10", "11"]
    assert read.next_tag.startswith("audit.000012-")
    assert read.next_tag != read.next_tag


def test_an_entry_has_the_keys_that_others_read():
    plain = json.loads(entry("promoted", "2", over="1").text())

    assert list(plain) == ["when", "who", "action", "version", "over", "sha256", "why"]
    assert json.loads(entry("promoted", "2", anyway=True, verdict="worse").text())["anyway"] is True


def test_a_spoilt_entry_is_named():
    with pytest.raises(ValueError, match=r"the tag audit\.000001-0 is no entry of the audit"):
        Audit.of_tags({"audit.000001-0": "[]"}, None)


@pytest.mark.parametrize("why", ["", " \n ", "x" * (MOST_WHY + 1)])
def test_a_reason_that_is_none_or_too_long_is_refused(why):
    with pytest.raises(ValueError, match="--why"):
        checked_why(why)


def test_the_longest_entry_fits_a_tag_and_a_longer_one_is_refused():
    longest = replace(
        entry("promoted", "2"), why=checked_why("ä" * MOST_WHY), verdict=one_line("ü" * 10 * MOST_VERDICT)
    )

    assert len(longest.text()) <= MOST_VALUE
    assert longest.text().count("ü") == MOST_VERDICT - 1
    with pytest.raises(ValueError, match=f"a tag holds {MOST_VALUE}"):
        replace(longest, why="\x00" * MOST_WHY).text()


def test_who_acts_is_chosen_or_the_servers_user_or_the_systems(monkeypatch):
    monkeypatch.setenv("SKYGEN_WHO", " ana\nlytica ")
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "server-user")
    assert who() == "ana lytica"
    monkeypatch.setenv("SKYGEN_WHO", "")
    assert who() == "server-user"
    monkeypatch.delenv("MLFLOW_TRACKING_USERNAME")
    monkeypatch.setenv("LOGNAME", "observer")
    assert who() == "observer"
