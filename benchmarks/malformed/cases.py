"""Broken requests of many families for a raw socket: case `index` of a seed is the same whenever it is asked for.

None may be answered by an error of the service's own, none may keep a connection for ever, and what they are answered
is an error as every route gives it.
"""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.malformed import content as parts
from benchmarks.malformed import wire
from tests.harness.raw import Address, Heard, Step, exchange, leave

Rng = random.Random
End = Literal["wait", "half", "leave", "reset"]
REFUSED = frozenset({400, 404, 405, 406, 408, 413, 415, 431})
ANY = REFUSED | {200, 304}


@dataclass(frozen=True)
class Case:
    """What is sent, what the client does then (waits, sends no more, leaves), and what it may be answered."""

    family: str
    steps: tuple[Step, ...]
    allowed: frozenset[int] = REFUSED
    end: End = "wait"


def case(seed: int, index: int) -> Case:
    """The case: families take turns, and all else is drawn from (seed, index)."""
    rng = random.Random(f"{seed} {index}")  # noqa: S311  # no secret
    return FAMILIES[index % len(FAMILIES)](rng)


def play(address: Address, case: Case, patience: float = 20.0) -> str:
    """Play a case against a service; what is wrong with its answer, empty where nothing is."""
    if case.end in ("leave", "reset"):
        leave(address, case.steps, reading=100, reset=case.end == "reset")
        return ""
    heard = exchange(address, case.steps, patience, half_close=case.end == "half")
    return _judge(case, heard)


def _judge(case: Case, heard: Heard) -> str:
    wrong = [status for status in heard.statuses if status not in case.allowed]
    if wrong:
        return f"answered {wrong}: {heard.content[-300:]!r}"
    if case.end == "half" and not heard.closed:
        return "the connection was kept, though the client had ended"
    if case.end == "wait" and not heard.statuses:
        return "no answer, and the connection was " + ("closed" if heard.closed else "kept")
    if case.family == "pipeline":  # what follows may cut an answer short
        return ""
    return _judge_error(case, heard) if len(heard.statuses) == 1 and heard.statuses[0] >= 400 else ""


def _judge_error(case: Case, heard: Heard) -> str:
    body = heard.content.partition(b"\r\n\r\n")[2]
    is_head = isinstance(case.steps[0], bytes) and case.steps[0].startswith(b"HEAD ")
    try:
        sentence = "-" if is_head else json.loads(body)["error"]
    except (ValueError, KeyError, TypeError):
        sentence = ""
    return "" if isinstance(sentence, str) and sentence else f"an error that does not say why: {body[:300]!r}"


def _garbage(rng: Rng) -> Case:
    content = rng.choice([rng.randbytes(rng.randrange(1, 5_000)), *wire.PROTOCOLS])
    return Case("garbage", (content + rng.choice([b"", b"\r\n\r\n"]),), ANY, "half")


def _request_line(rng: Rng) -> Case:
    line = rng.choice(wire.REQUEST_LINES)
    return Case("request line", (line + b"\r\nHost: x\r\nConnection: close\r\n\r\n",), ANY, "half")


def _header(rng: Rng) -> Case:
    header = rng.choice(wire.HEADERS)
    head = b"GET /v1/models HTTP/1.1\r\nHost: x\r\n" + header + b"\r\nConnection: close\r\n\r\n"
    return Case("header", (head,), ANY, "half" if b"\0" in header or b"\n" in header else "wait")


def _huge_header(rng: Rng) -> Case:
    size = rng.choice([40_000, 100_000, 1_000_000])
    many = b"X-A: b\r\n" * (size // 8)
    one = b"X-A: " + b"a" * size + b"\r\n"
    name = b"X-" + b"a" * size + b": b\r\n"
    head = rng.choice([b"GET /v1/models HTTP/1.1\r\n", b"POST /v1/generate HTTP/1.1\r\nContent-Length: 2\r\n"])
    body = b"{}" if head.startswith(b"POST") else b""
    return Case("huge header", (head + rng.choice([many, one, name]) + b"\r\n" + body,), frozenset({431}))


def _length(rng: Rng) -> Case:
    header = rng.choice(wire.LENGTHS)
    head = b"POST /v1/generate HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + header + b"\r\n\r\n"
    return Case("length", (head + parts.good(rng),), ANY, "half")


def _chunks(rng: Rng) -> Case:
    body = rng.choice(wire.CHUNKS)
    return Case("chunks", (parts.chunked_head(rng) + body,), ANY, "half")


def _json(rng: Rng) -> Case:
    return Case("json", (parts.post(rng.choice(parts.BODIES)),), frozenset({400}))


def _field(rng: Rng) -> Case:
    """A request of which one field, or a field more, holds what it cannot; some of it can be."""
    path, fields = rng.choice(parts.REQUESTS)
    name = rng.choice([*fields, "first", "noise", "seeing", "index", "__proto__", ""])
    body = json.dumps({**fields, name: rng.choice(parts.VALUES)}, ensure_ascii=rng.random() < 0.5)
    return Case("field", (parts.post(body.encode("utf-8", "surrogatepass"), path=path),), frozenset({200, 400}))


def _media_type(rng: Rng) -> Case:
    header = rng.choice(parts.MEDIA_TYPES)
    return Case("media type", (parts.post(parts.good(rng), header),), frozenset({200, 400, 406, 415}))


def _query(rng: Rng) -> Case:
    path = rng.choice(parts.PATHS)
    query = "&".join(
        f"{rng.choice(parts.QUERY_NAMES)}={rng.choice(parts.QUERY_VALUES)}" for _ in range(rng.randrange(4))
    )
    line = f"GET {path}?{query} HTTP/1.1\r\nHost: x\r\nAccept: {rng.choice(parts.ACCEPTS)}\r\nConnection: close\r\n\r\n"
    return Case("query", (line.encode("latin-1"),), ANY)


def _method(rng: Rng) -> Case:
    method, path = rng.choice(wire.METHODS), rng.choice(["/v1/generate", "/v1/models", "/", "/docs.json", "/nowhere"])
    return Case("method", (f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode(),), ANY)


def _slow_body(rng: Rng) -> Case:
    """A body in drops: some whole in time, some never; the service is started with a second's patience."""
    body = parts.good(rng)
    drops = [step for byte in body[: rng.randrange(3, 12)] for step in (bytes([byte]), rng.choice([0.01, 0.3]))]
    ending = rng.choice([[body[len(drops) // 2 :]], []])
    return Case("slow body", (parts.post_head(len(body)), *drops, *ending), frozenset({200, 408}))


def _large_body(rng: Rng) -> Case:
    size = 100_000_000 if rng.random() < 0.1 else rng.randrange(65_000, 5_000_000)
    piece = b" " * 50_000
    if rng.random() < 0.5:
        return Case("large body", (parts.post_head(size), *[piece] * (size // len(piece))), frozenset({413}))
    chunk = b"c350\r\n" + piece + b"\r\n"
    return Case("large body", (parts.chunked_head(rng), *[chunk] * (size // len(piece) + 1)), frozenset({413}))


def _leaves(rng: Rng) -> Case:
    """A client that leaves: in the head, in the body, before the answer or in the midst of it."""
    whole = parts.post(json.dumps({"tiles": "gri128", "n": 64, "format": "npy", "seed": rng.randrange(10**9)}).encode())
    until = rng.choice([0, rng.randrange(len(whole)), len(whole), len(whole)])
    return Case("leaves", (whole[:until], rng.choice([0.0, 0.01, 0.1])), ANY, rng.choice(["leave", "reset"]))


def _pipeline(rng: Rng) -> Case:
    """Requests one behind the other in one piece, good ones and broken ones."""
    good, bad = parts.post(parts.good(rng)), parts.post(rng.choice(parts.BODIES))
    pieces = [
        rng.choice([good, bad, b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n"]) for _ in range(rng.randrange(2, 30))
    ]
    last = rng.choice([b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"nonsense\r\n\r\n"])
    return Case("pipeline", (b"".join([*pieces, last]),), ANY)


def _expects(rng: Rng) -> Case:
    body = parts.good(rng)
    expected = rng.choice([b"100-continue", b"200-ok", b"100-CONTINUE", b""])
    head = parts.post_head(len(body), b"Expect: " + expected)
    return Case("expects", (head, rng.choice([0.0, 0.1]), body), frozenset({200, 400, 417}))


def _mutant(rng: Rng) -> Case:
    """A good request with some of its bytes changed, lost, doubled or new."""
    content = bytearray(parts.post(parts.good(rng)))
    for _ in range(rng.randrange(1, 8)):
        at = rng.randrange(len(content))
        end = at + rng.randrange(1, 50)
        content[at:end] = rng.choice(
            [
                bytes([content[at] ^ 1 << rng.randrange(8)]) + content[at + 1 : end],
                rng.randbytes(end - at),
                rng.choice(wire.INSERTS) + content[at:end],
                content[at:end] * 2,
                b" ",
            ]
        )
    return Case("mutant", (bytes(content),), ANY, "half")


FAMILIES: Sequence[Callable[[Rng], Case]] = (
    *(_garbage, _request_line, _header, _huge_header, _length, _chunks, _json, _field, _media_type, _query, _method),
    *(_slow_body, _large_body, _leaves, _pipeline, _expects, _mutant),
)
