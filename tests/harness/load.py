"""An open HTTP load: requests come when they come, whether earlier ones are answered or not, as from the world."""

import asyncio
import hashlib
import json
import random
import re
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from tests.harness.raw import Address

_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)\r\n", re.IGNORECASE)
Idle = tuple[float, asyncio.StreamReader, asyncio.StreamWriter]  # since when
IDLE_SECONDS = 2.0  # less than the service keeps a connection that asks nothing


@dataclass
class Answers:
    """What came back: how often each status, after how long, and what no service may do."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: dict[int, list[float]] = field(default_factory=dict)
    failures: Counter[str] = field(default_factory=Counter)  # hung up on, or other bytes for the same request
    unanswered: int = 0  # when the load ended
    hashes: dict[int, bytes] = field(default_factory=dict)

    def add(self, which: int, status: int, body: bytes, seconds: float) -> None:
        """Count an answer to request `which`; the first good one is what every later one must equal."""
        self.statuses[status] += 1
        self.seconds.setdefault(status, []).append(seconds)
        if status == 200:
            digest = hashlib.blake2b(body).digest()
            if self.hashes.setdefault(which, digest) != digest:
                self.failures[f"request {which} has another answer"] += 1


async def load(address: Address, requests: Sequence[bytes], rate: float, seconds: float, seed: int) -> Answers:
    """The answers to `rate` requests a second for `seconds`, drawn from `requests`; then every client leaves."""
    rng = random.Random(seed)  # noqa: S311  # no secret
    answers, idle, asking = Answers(), list[Idle](), set[asyncio.Task[None]]()
    end = due = time.perf_counter()
    end += seconds
    while (due := due + rng.expovariate(rate)) < end:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        which = rng.randrange(len(requests))
        task = asyncio.create_task(_ask(address, which, requests[which], idle, answers))
        asking.add(task)
        task.add_done_callback(asking.discard)
    answers.unanswered = len(asking)
    for task in list(asking):
        task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    for _, _, writer in idle:
        writer.close()
    return answers


async def _ask(address: Address, which: int, request: bytes, idle: list[Idle], answers: Answers) -> None:
    started = time.perf_counter()
    writer = None
    try:
        reader, writer = await _connection(address, idle)
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        body = await reader.readexactly(int(length[1])) if length else b""
        answers.add(which, int(head[9:12]), body, time.perf_counter() - started)
        if b"\r\nconnection: close\r\n" not in head.lower():
            idle.append((time.perf_counter(), reader, writer))
            writer = None
    except (OSError, asyncio.IncompleteReadError) as error:
        answers.failures[type(error).__name__] += 1
    finally:
        if writer is not None:
            with suppress(OSError):
                writer.transport.abort()


async def _connection(address: Address, idle: list[Idle]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """The connection that was used last, where the service surely keeps it, or a new one."""
    if idle and time.perf_counter() - idle[-1][0] < IDLE_SECONDS:
        return idle.pop()[1:]
    while idle:
        idle.pop()[2].close()
    return await asyncio.open_connection(*address, limit=1_000_000)


def post(path: str, **fields: object) -> bytes:
    """A POST of `fields` as JSON."""
    body = json.dumps(fields).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def get(path: str) -> bytes:
    """A GET."""
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
