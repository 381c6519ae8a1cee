"""The load generator counts what a server really answered."""

import asyncio
import json
import re
from collections.abc import Callable

import pytest

from benchmarks.load import FIRST_SEED, Load, Measured, run

BODY = bytes(200_000)  # comes in several pieces
CLIENTS = 3


def against(answer: Callable[[int], bytes]) -> tuple[Measured, list[dict[str, object]]]:
    """What is measured of a server on a real port, and the bodies it was sent; `answer` makes the n-th answer."""
    bodies: list[dict[str, object]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(re.search(rb"Content-Length: (\d+)", head)[1])
                bodies.append(json.loads(await reader.readexactly(length)))
                writer.write(answer(len(bodies)))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def both() -> Measured:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            return await run(Load(port, "/generate", {"tiles": "100 %"}, CLIENTS, seconds=0.1, warm_seconds=0))

    return asyncio.run(both()), bodies


def reply(status: str, body: bytes) -> bytes:
    return b"HTTP/1.1 %s X\r\ncontent-length: %d\r\n\r\n" % (status.encode(), len(body)) + body


def test_every_answer_is_counted_once_with_its_status_and_size():
    measured, bodies = against(lambda number: reply("429", b"no") if number % 2 else reply("200", BODY))
    answered = sum(measured.statuses.values())
    assert answered <= len(bodies) <= answered + CLIENTS  # the rest were in flight when the window ended
    assert abs(measured.statuses["200"] - measured.statuses["429"]) <= CLIENTS
    assert measured.bytes_an_answer == len(BODY)
    assert 0 < measured.p50_seconds <= measured.p99_seconds


def test_every_request_has_a_seed_of_its_own():
    _, bodies = against(lambda _: reply("200", b"x"))
    assert sorted(body["seed"] for body in bodies) == list(range(FIRST_SEED, FIRST_SEED + len(bodies)))
    assert {body["tiles"] for body in bodies} == {"100 %"}


def test_the_rate_is_of_answers_200_alone():
    measured, _ = against(lambda _: reply("503", b""))
    assert measured.per_second == 0
    assert set(measured.statuses) == {"503"}


def test_a_server_that_hangs_up_is_no_measurement():
    with pytest.raises(ConnectionError, match="hung up"):
        against(lambda _: b"HTTP/1.1 200 X\r\n\r\n")  # says no length, so that the client cannot go on
