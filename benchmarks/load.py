"""A closed-loop HTTP load in a process of its own: so many clients, each asks again when its answer is complete.

`python -m benchmarks.load` reads a `Load` as JSON from its input and prints a `LoadResult`. It speaks just enough
HTTP/1.1 for that, since the client runs on the cores that the server needs: keep-alive, and answers of known length.
"""

import asyncio
import json
import math
import re
import statistics
import subprocess
import sys
import time
from collections import Counter
from itertools import count
from typing import Any, NamedTuple, cast

import uvloop

FIRST_SEED = 10**11  # all seeds of a run have as many digits, so that all its bodies have one length
OK = "200"
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)\r\n", re.IGNORECASE)
_HEAD_END = b"\r\n\r\n"


class Load(NamedTuple):
    """What to ask of 127.0.0.1, by how many clients and for how long; every request adds a seed of its own."""

    port: int
    path: str
    fields: dict[str, Any]
    clients: int
    seconds: float  # of the window, which ends with the first answer after it
    warm_seconds: float = 0.3
    first_seed: int = FIRST_SEED


class LoadResult(NamedTuple):
    """What came back within a window, of which only the answers 200 count but in `statuses`.

    Latencies run from the request's writing to the answer's last byte; NaN where there was no answer 200.
    """

    per_second: float
    p50_seconds: float
    p99_seconds: float
    bytes_an_answer: float
    statuses: dict[str, int]


def measure(load: Load) -> LoadResult:
    """What a load generator of its own process measures; raises `CalledProcessError` where the server hangs up."""
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.load"], input=json.dumps(load._asdict()), stdout=-1, text=True, check=True
    )
    return LoadResult(**json.loads(ended.stdout))


def main() -> None:
    """Run the load given on the input."""
    load = Load(**json.load(sys.stdin))
    print(json.dumps(uvloop.run(run(load))._asdict()))


async def run(load: Load) -> LoadResult:
    """What `load` measures, on the running loop; raises `ConnectionError` where the server hangs up."""
    loop = asyncio.get_running_loop()
    record = _Record(load, loop.create_future())
    clients = [
        (await loop.create_connection(lambda: _Client(record), "127.0.0.1", load.port))[1] for _ in range(load.clients)
    ]
    try:
        await record.ended
    finally:
        for client in clients:
            client.close()
    return record.measured()


class _Record:
    """The answers of all clients within the window, and the requests that they send."""

    def __init__(self, load: Load, ended: asyncio.Future[None]) -> None:
        self.load, self.ended = load, ended
        self.seeds = count(load.first_seed)
        self.starts = time.perf_counter() + load.warm_seconds
        self.last = self.starts
        self.seconds: list[float] = []
        self.statuses: Counter[str] = Counter()
        self.bytes = 0
        fields = json.dumps(load.fields)[:-1] + (", " if load.fields else "")
        self.body = fields.encode().replace(b"%", b"%%") + b'"seed": %d}'
        self.head = (
            f"POST {load.path} HTTP/1.1\r\nHost: 127.0.0.1:{load.port}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(self.body % load.first_seed)}\r\n\r\n"
        ).encode()

    def request(self) -> bytes:
        return self.head + self.body % next(self.seeds)

    def add(self, seconds: float, status: str, size: int) -> None:
        self.last = time.perf_counter()
        if self.last < self.starts or self.ended.done():
            return
        self.statuses[status] += 1
        if status == OK:
            self.seconds.append(seconds)
            self.bytes += size
        if self.last >= self.starts + self.load.seconds:
            self.ended.set_result(None)

    def measured(self) -> LoadResult:
        answers, statuses = len(self.seconds), dict(self.statuses)
        if answers == 0:
            return LoadResult(0.0, math.nan, math.nan, math.nan, statuses)
        return LoadResult(
            per_second=answers / (self.last - self.starts),
            p50_seconds=statistics.median(self.seconds),
            p99_seconds=sorted(self.seconds)[math.ceil(0.99 * answers) - 1],
            bytes_an_answer=self.bytes / answers,
            statuses=statuses,
        )


class _Client(asyncio.Protocol):
    """A connection that always has one request in flight."""

    def __init__(self, record: _Record) -> None:
        self.record = record
        self.closing = False
        self.sent, self.head, self.size = 0.0, b"", 0
        self.left: int | None = None  # bytes of the answer, once its head has said how many

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._ask()

    def data_received(self, data: bytes) -> None:
        if self.left is None:
            self.head += data
            end = self.head.find(_HEAD_END)
            if end < 0:
                return
            self.size = _length(self.head[: end + 2])
            self.left = end + len(_HEAD_END) + self.size - len(self.head)
        else:
            self.left -= len(data)
        if self.left == 0:
            self.record.add(time.perf_counter() - self.sent, self.head[9:12].decode(), self.size)
            self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closing and not self.record.ended.done():
            self.record.ended.set_exception(ConnectionError(f"the server hung up: {exc or 'closed'}"))

    def close(self) -> None:
        self.closing = True
        self.transport.close()

    def _ask(self) -> None:
        self.head, self.left = b"", None
        self.sent = time.perf_counter()
        self.transport.write(self.record.request())


def _length(head: bytes) -> int:
    found = _LENGTH.search(head)
    if found is None:
        raise ValueError(f"an answer without Content-Length: {head!r}")
    return int(found[1])


if __name__ == "__main__":
    main()
