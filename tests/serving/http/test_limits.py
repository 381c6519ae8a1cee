"""The limits around any application, behind a real uvicorn: bodies, heads, slow senders and slow readers."""

import json
import socket
import time
from collections.abc import Iterator

import pytest
import uvicorn.config
from prometheus_client import REGISTRY
from starlette.types import Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serving.http.connections import BoundedProtocol, bound_connections
from serving.http.limits import MAX_BODY_BYTES, MAX_HEAD_BYTES, PIECE_BYTES, JsonBodies, SlowReaders
from tests.harness.raw import Address, Heard, exchange, get, leave, post
from tests.serving.local import answer, echo, listening

CHUNKED = "Transfer-Encoding: chunked"
LARGE = 50_000_000  # bytes, more than the kernel's buffers between two processes


@pytest.fixture(scope="module")
def limited() -> Iterator[Address]:
    """The echo behind the limits, with short times."""
    with listening(JsonBodies(echo, seconds=0.5), http="httptools") as address:
        yield address


@pytest.fixture(scope="module")
def bounded() -> Iterator[Address]:
    """The echo behind the protocol, with short times."""

    class Hasty(BoundedProtocol):
        head_seconds = 0.5

    with listening(echo, http=Hasty, timeout_keep_alive=1) as address:
        yield address


def rejected(reason: str) -> float:
    return REGISTRY.get_sample_value("skygen_rejected_total", {"reason": reason}) or 0.0


def said(heard: Heard) -> str:
    """The sentence of an error, the connection closed behind it."""
    assert heard.closed
    head, _, body = heard.content.partition(b"\r\n\r\n")
    assert b"content-type: application/json" in head.lower()
    (error,) = json.loads(body).values()
    return str(error)


def body_of(heard: Heard) -> bytes:
    return heard.content.partition(b"\r\n\r\n")[2]


def test_a_body_of_the_limit_passes_and_one_byte_more_does_not(limited: Address) -> None:
    last = "Connection: close"
    assert body_of(exchange(limited, [post(b"x" * MAX_BODY_BYTES, last)])) == b"%d" % MAX_BODY_BYTES
    before = rejected("body")
    heard = exchange(limited, [post(b"x" * (MAX_BODY_BYTES + 1))])
    assert heard.statuses == [413]
    assert said(heard) == "the body is larger than 64000 bytes; no request here needs more"
    assert rejected("body") == before + 1


def test_what_is_declared_too_large_is_refused_unread(limited: Address) -> None:
    heard = exchange(limited, [post(b"", "Content-Length: 100000000")])
    assert (heard.statuses, heard.closed) == ([413], True)


def test_chunks_are_counted_together(limited: Address) -> None:
    chunk = b"3e8\r\n" + b"x" * 1000 + b"\r\n"
    assert exchange(limited, [post(chunk * 64 + b"0\r\n\r\n", CHUNKED, "Connection: close")]).statuses == [200]
    assert exchange(limited, [post(chunk * 65, CHUNKED)]).statuses == [413]


def test_a_refused_client_that_goes_on_sending_hears_why(limited: Address) -> None:
    body = b"x" * 5_000_000
    with socket.create_connection(limited, timeout=10) as connection:
        connection.sendall(post(body))
        assert connection.recv(1000).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("framing", ["Content-Length: 1000", CHUNKED])
def test_a_body_that_trickles_is_given_up_as_a_whole(limited: Address, framing: str) -> None:
    before = rejected("slow_body")
    drop = b"1\r\nx\r\n" if framing == CHUNKED else b"x"
    heard = exchange(limited, [post(b"", framing), *[drop, 0.1] * 20])
    assert heard.statuses == [408]
    assert said(heard) == "the body was not whole after 0.5 seconds; send it at once"
    assert rejected("slow_body") == before + 1


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        ("Content-Type: text/plain", "'text/plain'; send the header Content-Type: application/json"),
        ("Content-Type: multipart/form-data; boundary=x", "'multipart/form-data'; send"),
        ("Content-Type:", "''; send the header"),
        ("Content-Encoding: gzip", "encoded as 'gzip'; send it plain"),
    ],
)
def test_only_plain_json_is_read(limited: Address, header: str, sentence: str) -> None:
    before = rejected("media_type")
    heard = exchange(limited, [post(b"{}", header)])
    assert heard.statuses == [415]
    assert sentence in said(heard)
    assert rejected("media_type") == before + 1


@pytest.mark.parametrize("header", ["Content-Type: Application/JSON; charset=utf-8", "Content-Encoding: identity"])
def test_json_may_be_described_as_http_allows(limited: Address, header: str) -> None:
    assert exchange(limited, [post(b"{}", header, "Connection: close")]).statuses == [200]


def test_other_methods_may_bring_a_body_within_the_same_limits(limited: Address) -> None:
    last = "Connection: close"
    ignored = get("/", "Content-Length: 2", "Content-Type: text/plain", last)
    assert exchange(limited, [ignored + b"hi"]).statuses == [200]
    assert exchange(limited, [get("/", "Content-Length: 64001")]).statuses == [413]
    assert exchange(limited, [get("/", "Content-Length: 9")]).statuses == [408]
    assert exchange(limited, [get("/", last)]).statuses == [200]


def test_a_head_has_a_limit(limited: Address) -> None:
    before = rejected("head")
    fits, large = ("a" * (MAX_HEAD_BYTES + more) for more in (-100, 100))
    assert exchange(limited, [get("/", f"X-A: {fits}", "Connection: close")]).statuses == [200]
    for head in (get("/", f"X-A: {large}"), get("/", *["X-A: " + "a" * 995] * 40), get("/?" + large)):
        heard = exchange(limited, [head])
        assert heard.statuses == [431]
        assert "larger than 32000 bytes" in said(heard)
    assert rejected("head") == before + 3


def test_requests_one_behind_the_other_are_answered_in_order(limited: Address) -> None:
    last = get("/", "Connection: close")
    assert exchange(limited, [post(b"a") + post(b"ab") + post(b"abc") + last]).statuses == [200] * 4


def test_who_leaves_in_mid_body_is_counted_and_the_application_never_called(limited: Address) -> None:
    before = rejected("disconnected")
    leave(limited, [post(b"half", "Content-Length: 100")])
    leave(limited, [post(b"half", "Content-Length: 100"), 0.1], reset=True)
    end = time.monotonic() + 10
    while rejected("disconnected") < before + 2 and time.monotonic() < end:
        time.sleep(0.01)
    assert rejected("disconnected") == before + 2
    assert exchange(limited, [get("/", "Connection: close")]).statuses == [200]


def test_a_head_that_is_never_whole_is_given_up(bounded: Address) -> None:
    for steps in ([b"GET / HTTP/1.1\r\nHost: x\r\n"], [b"G"], [b"GET / HTTP/1.1\r\n", *[b"A: b\r\n", 0.1] * 20]):
        heard = exchange(bounded, steps)
        assert heard.statuses == [408]
        assert said(heard) == "the headers were not whole after 0.5 seconds"


def test_a_connection_that_says_nothing_is_closed_without_a_word(bounded: Address) -> None:
    assert exchange(bounded, []) == Heard(b"", closed=True)
    assert exchange(bounded, [b"\r\n", 0.1] * 20).closed


def test_a_head_without_end_is_given_up(bounded: Address) -> None:
    for piece in (b"a" * 1000, b"A: b\r\n" * 200):
        heard = exchange(bounded, [b"GET / HTTP/1.1\r\nX-A: ", *[piece] * 5_000])
        assert heard.statuses == [431]
        assert "larger than 32000 bytes" in said(heard)


@pytest.mark.parametrize("around", [b"0\r\nX-A: " + b"a" * 1000, b"1;" + b"a" * 1000])
def test_what_stands_around_chunks_has_an_end(bounded: Address, around: bytes) -> None:
    """Trailers and extensions of chunks: the parser keeps them from the application, whatever their size."""
    head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    heard = exchange(bounded, [head, 0.1, around, *[b"a" * 1000] * 2_000])
    assert heard.statuses == [431]
    assert said(heard) == "the sizes and trailers of the body's chunks are too large"


def test_a_body_in_the_smallest_chunks_is_read(bounded: Address) -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    heard = exchange(bounded, [head, 0.1, *[b"1\r\nx\r\n" * 1000] * 50, b"0\r\n\r\n"])
    assert (heard.statuses, body_of(heard)) == ([200], b"50000")


def test_the_second_head_of_a_connection_is_bounded_like_the_first(bounded: Address) -> None:
    whole = get("/")
    late = exchange(bounded, [whole, 0.2, b"GET / HTTP/1.1\r\n", *[b"A: b\r\n", 0.1] * 20])
    assert late.statuses == [200, 408]
    large = exchange(bounded, [whole, 0.2, b"GET / HTTP/1.1\r\nX-A: ", *[b"a" * 1000] * 5_000])
    assert large.statuses == [200, 431]
    empty = exchange(bounded, [whole, 0.2, *[b"\r\n", 0.1] * 5])
    assert (empty.statuses, empty.closed) == ([200], True)


def test_a_body_and_the_next_head_in_one_piece_are_told_apart(bounded: Address) -> None:
    heard = exchange(bounded, [post(b"x" * 200_000) + b"GET / HT", 0.1, b"TP/1.1\r\nHost: x\r\n\r\n"])
    assert heard.statuses == [200, 200]


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_what_is_not_http_is_answered_as_every_error(bounded: Address, nonsense: bytes) -> None:
    heard = exchange(bounded, [nonsense])
    assert heard.statuses == [400]
    assert said(heard) == "Invalid HTTP request received."


def test_an_upgrade_is_answered_in_plain_http(bounded: Address) -> None:
    wanted = [
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: MDEyMzQ1Njc4OQ==",
    ]
    assert exchange(bounded, [get("/", *wanted)]).statuses == [200]


async def large_answer(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, bytes(LARGE) if scope["path"] == "/" else b"small")


def test_who_reads_nothing_is_given_up() -> None:
    before = rejected("slow_reader")
    with listening(SlowReaders(large_answer, seconds=0.3)) as address, socket.create_connection(address) as connection:
        connection.sendall(get("/"))
        end = time.monotonic() + 10
        while rejected("slow_reader") == before and time.monotonic() < end:
            time.sleep(0.01)
        assert rejected("slow_reader") == before + 1
        received = 0
        while part := connection.recv(1_000_000):
            received += len(part)
        assert 0 < received < LARGE


def test_who_takes_pieces_too_slowly_is_given_up() -> None:
    before = rejected("slow_reader")
    slow = SlowReaders(large_answer, seconds=0.5, bytes_per_second=LARGE / 0.5)
    with listening(slow) as address, socket.create_connection(address) as connection:
        connection.sendall(get("/"))
        end = time.monotonic() + 10
        while rejected("slow_reader") == before and time.monotonic() < end:
            connection.recv(20_000)
            time.sleep(0.05)
    assert rejected("slow_reader") == before + 1


def test_who_reads_gets_every_byte_in_pieces() -> None:
    sizes: list[int] = []

    async def measured(scope: Scope, receive: Receive, send: Send) -> None:
        async def noting(message: Message) -> None:
            sizes.append(len(message.get("body", b"")))
            await send(message)

        await SlowReaders(large_answer)(scope, receive, noting)

    with listening(measured) as address:
        heard = exchange(address, [get("/", "Connection: close")])
        assert body_of(heard) == bytes(LARGE)
        assert max(sizes) == PIECE_BYTES
        assert body_of(exchange(address, [get("/small", "Connection: close")])) == b"small"


def test_a_server_that_would_speak_without_bounds_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a release of uvicorn would have it that looks its protocols up elsewhere."""
    monkeypatch.setitem(uvicorn.config.HTTP_PROTOCOLS, "auto", "put back after the test")
    bound_connections(BoundedProtocol.head_seconds)
    monkeypatch.setattr(uvicorn.config, "import_from_string", lambda _: HttpToolsProtocol)
    with pytest.raises(RuntimeError, match=r"would speak HTTP by .*HttpToolsProtocol.*, without the bounds"):
        bound_connections(BoundedProtocol.head_seconds)
