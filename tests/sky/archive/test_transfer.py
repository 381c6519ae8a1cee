"""One file from a real HTTP server, with every fault that a server and a line can have."""

import bz2
import gzip

import httpx
import pytest
from tenacity import Future, RetryCallState

from skygen.sky.archive.download import download_field_list
from skygen.sky.archive.transfer import PassingError, pause_s
from skygen.sky.field import frame_name
from skygen.web import asked_pause_s
from tests.sky.archive.survey_server import (
    CONTENT,
    FIELD,
    LIST,
    NAME,
    URL,
    cut,
    drop,
    instead,
    page,
    promise,
    small_frame,
    span,
    stall,
    status,
    trickle,
    whole,
)


def test_a_cut_is_resumed_with_the_rest_alone(server, fetch):
    server.faults[URL] += [cut(100_000), cut(50_000)]
    (path,), _ = fetch()
    assert path.read_bytes() == CONTENT
    assert [asked for _, asked in server.requests] == [None, "bytes=100000-", "bytes=150000-"]
    assert server.sent[URL] == len(CONTENT)


def test_cuts_that_bring_a_mebibyte_each_do_not_count_as_failures(server, fetch):
    content = server.files[URL] = small_frame(2, 2200)
    server.faults[URL] += [cut(1_050_000)] * 2
    (path,), _ = fetch(attempts=1)
    assert path.read_bytes() == content
    assert server.sent[URL] == len(content)


def test_a_server_without_ranges_sends_all_again(server, fetch):
    server.faults[URL] += [cut(100_000), whole]
    (path,), _ = fetch()
    assert path.read_bytes() == CONTENT
    assert server.requests[1][1] == "bytes=100000-"
    assert server.sent[URL] == 100_000 + len(CONTENT)


def test_a_part_without_a_version_is_not_gone_on_with(server, fetch):
    server.faults[URL] += [lambda handler, content: handler.answer(200, content, stop_after=100_000)]
    (path,), _ = fetch()
    assert path.read_bytes() == CONTENT
    assert [asked for _, asked in server.requests] == [None, None]


def test_a_file_that_changed_on_the_server_starts_over(server, fetch):
    def change(handler, content):
        handler.file(content, stop_after=100_000)
        server.files[URL] = small_frame(7)

    server.faults[URL].append(change)
    (path,), _ = fetch()
    assert path.read_bytes() == small_frame(7)
    assert [asked for _, asked in server.requests] == [None, "bytes=100000-"]


WRONG_RANGES = {"elsewhere": span("bytes 10-99/100"), "nonsense": span("nonsense"), "HTTP 416": status(416)}


@pytest.mark.parametrize("answer", WRONG_RANGES)
def test_a_wrong_range_starts_over(server, fetch, answer):
    server.faults[URL] += [cut(100_000), WRONG_RANGES[answer]]
    (path,), _ = fetch()
    assert path.read_bytes() == CONTENT
    assert [asked for _, asked in server.requests] == [None, "bytes=100000-", None]


def test_a_file_without_checksums_is_not_pieced_together_from_the_wrong_place(server, params, tmp_path):
    content = server.files[LIST] = bz2.decompress(CONTENT)
    size = len(content)
    elsewhere = content[: size - 100_000]

    def fault(handler, _):
        handler.answer(206, elsewhere, {"Content-Range": f"bytes 0-{len(elsewhere) - 1}/{size}"})

    server.faults[LIST] += [cut(100_000), fault]
    path = download_field_list(server.params(params.frames.sdss), tmp_path, pause_s=0.001)
    assert path.read_bytes() == content


def test_the_server_is_not_to_compress_on_the_way(server, fetch):
    def squeeze(handler, content):
        if "gzip" in handler.headers.get("Accept-Encoding", "gzip"):
            handler.answer(200, gzip.compress(content), {"Content-Encoding": "gzip"})
        else:
            handler.file(content)

    server.faults[URL].append(squeeze)
    fetch()
    assert len(server.requests) == 1


PASSING = {
    "HTTP 500": status(500),
    "HTTP 503": status(503, Retry_After="0"),
    "HTTP 429": status(429, Retry_After="1"),
    "no answer": drop,
    "a web page": page,
    "a longer length": promise(len(CONTENT) + 1),
    "a shorter length": promise(len(CONTENT) - 1000),
    "not bz2 inside": instead(b"BZh9" + bytes(2000)),
    "a flipped bit": instead(CONTENT[:9000] + bytes([CONTENT[9000] ^ 1]) + CONTENT[9001:]),
    "no FITS inside": instead(bz2.compress(bytes(2880))),
    "no whole FITS inside": instead(bz2.compress(b"SIMPLE  =" + bytes(2880))),
    "far too much inside": instead(bz2.compress(b"SIMPLE  =" + bytes(1 << 20)) * 65),
    "nothing": instead(b""),
}


@pytest.mark.parametrize("fault", PASSING)
def test_a_passing_fault_is_tried_again(server, fetch, fault):
    server.faults[URL].append(PASSING[fault])
    (path,), missing = fetch()
    assert missing == []
    assert path.read_bytes() == CONTENT
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        (status(500), "HTTP 500"),
        (page, "b'<!DOCTYPE html>': a web page"),
        (cut(1000), "connection failed"),
        (PASSING["a flipped bit"], "bz2 cannot decode it"),
        (PASSING["no FITS inside"], "is not FITS"),
    ],
    ids=["HTTP 500", "a web page", "a cut", "a flipped bit", "no FITS inside"],
)
def test_a_lasting_fault_is_reported_after_so_many_attempts_and_the_rest_goes_on(server, fetch, fault, cause):
    (other,) = server.add(1)
    server.faults[URL] += [fault] * 9
    paths, (missing,) = fetch([FIELD, other], attempts=3)
    assert (missing.field_id, missing.name) == (FIELD, NAME)
    assert cause in missing.cause
    assert "mirror" in missing.remedy
    assert [path.name for path in paths] == [frame_name("r", other)]
    assert len([path for path, _ in server.requests if path == URL]) == 3
    assert not (paths[0].parent / NAME).exists()


@pytest.mark.parametrize("fault", [stall(100_000), trickle], ids=["stall", "trickle"])
def test_a_connection_that_brings_too_little_is_given_up(server, fetch, fault):
    server.faults[URL].append(fault)
    (path,), _ = fetch(timeout_s=0.3)
    assert path.read_bytes() == CONTENT
    assert len(server.requests) == 2


def test_a_server_that_asks_to_wait_is_obeyed_within_reason():
    def after(attempts, asked_s):
        state = RetryCallState(None, None, (), {})
        state.attempt_number = attempts
        state.outcome = Future.construct(attempts, PassingError("busy", asked_s), has_exception=True)
        return pause_s(state, 1.0)

    assert after(1, 7.0) == 7.0
    assert after(1, 1e9) == 300.0
    for attempts in range(1, 6):
        assert 2 ** (attempts - 1) <= after(attempts, 0.0) <= 2 ** (attempts - 1) + 1
    assert 60.0 <= after(50, 0.0) <= 61.0
    assert len({after(3, 0.0) for _ in range(5)}) > 1  # jitter


@pytest.mark.parametrize(
    ("stated", "seconds"),
    [("12", 12.0), ("", 0.0), ("soon", 0.0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0), ("-5", 0.0)],
)
def test_retry_after_is_seconds_or_a_date(stated, seconds):
    assert asked_pause_s(httpx.Response(429, headers={"Retry-After": stated}).headers) == seconds


def test_retry_after_may_be_a_coming_date():
    assert asked_pause_s(httpx.Response(503, headers={"Retry-After": "Fri, 01 Jan 2999 00:00:00 GMT"}).headers) > 1e9
