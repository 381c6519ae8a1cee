"""Requests that no HTTP library sends, down raw sockets, and what a running service owes their senders and everyone."""

import json
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import httpx

from tests.harness.raw import Address, Heard, Step, exchange, get, leave, post
from tests.harness.served import Service

CLIENTS = 8
HURRY = {"SKYGEN_BODY_SECONDS": "4", "SKYGEN_HEAD_SECONDS": "4"}  # the time of slow clients is the time of the run
UNDOCUMENTED = {"other", "/", "/page/{file}", "/docs.json", "/metrics", "/livez", "/readyz", "/healthz"}
GOOD = {"tiles": "gri128", "n": 2, "seed": 7, "format": "npy"}


@dataclass(frozen=True)
class Case:
    """What is sent, what it may be answered, and what the client does then: waits, sends no more, leaves or resets."""

    name: str
    steps: Sequence[Step]
    statuses: frozenset[int] = frozenset({400})
    end: Literal["wait", "half", "leave", "reset"] = "wait"


END = b"Host: x\r\nConnection: close\r\n\r\n"
MODELS = b"GET /v1/models HTTP/1.1\r\n"
BODY = b'{"tiles": "r64", "format": "npy"}'
LARGE = b'{"tiles": "gri128", "n": 64, "format": "npy"}'
CHUNKED = post(b"", "Transfer-Encoding: chunked", "Connection: close")
DROPS: Sequence[Step] = (b"X-A: b\r\n", 0.3) * 30
OK, SLOW, TOO_LARGE, LONG_HEAD = (frozenset({status}) for status in (200, 408, 413, 431))


def _of_length(value: str) -> bytes:
    return post(b"", f"Content-Length: {value}", "Connection: close") + BODY


CASES = (
    Case("TLS", [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256))]),
    Case("a request line of four words", [b"GET / HTTP/1.1 HTTP/1.1\r\n" + END]),
    Case("a path that is not UTF-8", [b"GET /\xff\xfe HTTP/1.1\r\n" + END]),
    Case("a path out of the page's folder", [b"GET /page/../../etc/passwd HTTP/1.1\r\n" + END], frozenset({404})),
    Case("a huge URL", [b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\n" + END], LONG_HEAD),
    Case("a header without a colon", [MODELS + b"X-A\r\n" + END]),
    Case("a header with NUL", [MODELS + b"X-A: \0\r\n" + END]),
    Case("a header that is not UTF-8", [MODELS + b"X-\xff: \xfe\r\n" + END]),
    Case("a list of 5,000 media types", [MODELS + b"Accept: " + b"a/b," * 5_000 + b"\r\n" + END], OK),
    Case("5,000 headers", [MODELS + b"X-A: b\r\n" * 5_000 + END], LONG_HEAD),
    Case("a header of 1 MB", [MODELS + b"X-A: " + b"a" * 1_000_000 + b"\r\n" + END], LONG_HEAD),
    Case("an upgrade", [get("/v1/models", "Connection: upgrade, close", "Upgrade: websocket")], OK),
    Case("a negative length", [_of_length("-1")]),
    Case("two lengths", [_of_length("5\r\nContent-Length: 6")]),
    Case("a length and chunks", [_of_length("5\r\nTransfer-Encoding: chunked")]),
    Case("a length of 64 bits", [_of_length("18446744073709551615")], TOO_LARGE),
    Case("a length too short", [_of_length("3")]),
    Case("a chunk of no number", [CHUNKED + b"0x2\r\n{}\r\n0\r\n\r\n"]),
    Case("a chunk that is longer than it says", [CHUNKED + b"1\r\n{}\r\n0\r\n\r\n"]),
    Case("a chunk of 2**63 bytes", [CHUNKED + b"7fffffffffffffff\r\n{}"], SLOW),
    Case("5,000 trailers", [CHUNKED + b"2\r\n{}\r\n0\r\n" + b"X-A: b\r\n" * 5_000 + b"\r\n"], LONG_HEAD),
    Case("chunks without end", [CHUNKED, *[b"c350\r\n" + b" " * 50_000 + b"\r\n"] * 40], TOO_LARGE),
    Case("a body that is not UTF-8", [post(b'{"tiles": "\xff\xfe"}', "Connection: close")]),
    Case("a body in drops", [_of_length("999"), *DROPS], SLOW),
    Case("a head in drops", [MODELS, *DROPS], SLOW),
    Case("a body cut by a half-closed connection", [_of_length("99")], end="half"),
    Case("a head cut by a half-closed connection", [MODELS], end="half"),
    Case("an unknown expectation", [post(BODY, "Expect: 200-ok", "Connection: close")], frozenset({200, 417})),
    Case("good and bad ones in one piece", [post(BODY) * 3 + post(b"{") + get("/v1/models") * 9 + END], OK | {400}),
    Case("gone in the midst of many", [post(LARGE) * 4, 0.05], end="reset"),
    Case("gone in the body", [_of_length("99")], end="leave"),
    Case("gone in mid-answer", [post(LARGE), 0.1], end="reset"),
)


def play(address: Address, case: Case, patience: float = 20.0) -> str:
    """Play a case against a service; what is wrong with its answer, empty where nothing is."""
    if case.end in ("leave", "reset"):
        leave(address, case.steps, reading=100 if case.name == "gone in mid-answer" else 0, reset=case.end == "reset")
        return ""
    heard = exchange(address, case.steps, patience, half_close=case.end == "half")
    if not case.statuses.issuperset(heard.statuses):
        return f"{case.name}: answered {heard.statuses}: {heard.content[-300:]!r}"
    if case.end == "half":
        return "" if heard.closed else f"{case.name}: the connection was kept, though the client had ended"
    if not heard.statuses:
        return f"{case.name}: no answer, and the connection was {'closed' if heard.closed else 'kept'}"
    only_error = len(heard.statuses) == 1 and heard.statuses[0] >= 400
    return "" if not only_error or _reason(heard) else f"{case.name}: no reason is given: {heard.content[-300:]!r}"


def _reason(heard: Heard) -> str:
    """The sentence of an answer that is an error as every route gives it."""
    try:
        return str(json.loads(heard.content.partition(b"\r\n\r\n")[2])["error"])
    except (ValueError, KeyError, TypeError):
        return ""


def play_all(service: Service, cases: Sequence[Case]) -> list[str]:
    """What was wrong with the answers to these cases, of which some are played at a time."""
    with ThreadPoolExecutor(CLIENTS) as clients:
        return [wrong for wrong in clients.map(lambda case: play(service.address, case), cases) if wrong]


def good(service: Service) -> bytes:
    """The answer to a sound request; raises where there is none."""
    return httpx.post(f"{service.url}/v1/generate", json=GOOD, timeout=60).raise_for_status().content


def scan(service: Service) -> list[str]:
    """What a scan of 100 unknown paths leaves in the metrics, and every route there that nobody documented."""
    with httpx.Client(base_url=service.url, timeout=60) as client:
        known = UNDOCUMENTED | set(client.get("/docs.json").json()["paths"])
        client.get("/0.php")
        client.get("/metrics")
        before = service.series()
        for number in range(100):
            client.get(f"/{number}.php")
    after = service.series()
    routes = {route for line in after for route in re.findall(r'route="([^"]*)"', line)}
    return [*sorted(after - before), *(f"a route in the metrics: {route}" for route in sorted(routes - known))]
