"""What is refused before any route runs: heads and bodies too large, too slow or not JSON. And slow readers."""

import asyncio
from collections.abc import Iterator
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.monitoring.metrics import REJECTED

MAX_HEAD_BYTES: Final = 32_000
MAX_BODY_BYTES: Final = 64_000
LINGER_SECONDS: Final = 1.0  # for what a refused client still sends: closed at once, it might not read the answer
PIECE_BYTES: Final = 262_144


class JsonBodies:
    """Middleware that reads the body before the application does, and refuses those that no request here needs.

    It answers 431 to a head of more than `MAX_HEAD_BYTES`, 413 to a body of more than `max_bytes`, 408 to one that is
    not whole after `seconds` however it trickles, and 415 to a POST of what is not plain JSON. A body that comes with
    another method is read under the same limits, and left to the application to ignore.
    """

    def __init__(self, app: ASGIApp, max_bytes: int = MAX_BODY_BYTES, seconds: float = 10.0) -> None:
        self.app = app
        self.max_bytes = max_bytes
        self.seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its body read, or refuse it."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        if _head_bytes(scope) > MAX_HEAD_BYTES:
            REJECTED.labels("head").inc()
            return await refuse(431, f"the headers are larger than {MAX_HEAD_BYTES} bytes", receive, send)
        posted = scope["method"] == "POST"
        if not posted and not _announces_body(scope):
            return await self.app(scope, receive, send)
        headers = Headers(scope=scope)
        if posted and (problem := _wrong_type(headers)):
            REJECTED.labels("media_type").inc()
            return await refuse(415, problem, receive, send)
        try:
            async with asyncio.timeout(self.seconds):
                messages = await _read(receive, headers, self.max_bytes)
        except TimeoutError:
            REJECTED.labels("slow_body").inc()
            problem = f"the body was not whole after {self.seconds:g} seconds; send it at once"
            return await refuse(408, problem, receive, send, linger=0.0)
        if messages is None:
            REJECTED.labels("body").inc()
            problem = f"the body is larger than {self.max_bytes} bytes; no request here needs more"
            return await refuse(413, problem, receive, send)
        if messages[-1]["type"] == "http.disconnect":
            REJECTED.labels("disconnected").inc()
            return None
        return await self.app(scope, _replay(messages, receive), send)


class SlowReaders:
    """Middleware that hands large answers over in pieces, and gives up a client that takes none for `seconds`.

    It also gives up one that takes them at less than `bytes_per_second`. Without it, a client that asks for 256 tiles
    and reads nothing holds their 50 MB for as long as it likes.
    """

    def __init__(self, app: ASGIApp, seconds: float = 30.0, bytes_per_second: float = 250_000.0) -> None:
        self.app = app
        self.seconds = seconds
        self.bytes_per_second = bytes_per_second

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, with a `send` that waits for its client `seconds` at most."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        given_up = False

        async def patient(message: Message) -> None:
            nonlocal given_up
            in_all = self.seconds + len(message.get("body", b"")) / self.bytes_per_second
            try:
                async with asyncio.timeout(in_all):
                    for piece in _pieces(message):
                        async with asyncio.timeout(self.seconds):
                            await send(piece)
            except TimeoutError:
                given_up = True
                REJECTED.labels("slow_reader").inc()
                raise

        try:
            await self.app(scope, receive, patient)
        except Exception:
            if not given_up:
                raise


async def refuse(
    status: int,
    sentence: str,
    receive: Receive,
    send: Send,
    headers: dict[str, str] | None = None,
    linger: float = LINGER_SECONDS,
) -> None:
    """Answer an error `{"error": sentence}`, after which the connection is closed, since its body may not be read.

    What still arrives of the body is dropped, for `linger` seconds at most. A client that has not sent everything would
    else be reset, and might never see the answer.
    """
    response = JSONResponse({"error": sentence}, status_code=status, headers={"Connection": "close", **(headers or {})})
    await send({"type": "http.response.start", "status": status, "headers": response.raw_headers})
    await send({"type": "http.response.body", "body": response.body, "more_body": True})
    try:
        async with asyncio.timeout(linger):
            while (await receive()).get("more_body", False):
                pass
    except TimeoutError:
        pass
    await send({"type": "http.response.body", "body": b""})


def _head_bytes(scope: Scope) -> int:
    line = len(scope["path"]) + len(scope["query_string"])
    return line + sum(len(name) + len(value) + 4 for name, value in scope["headers"])


def _announces_body(scope: Scope) -> bool:
    return any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"])


def _wrong_type(headers: Headers) -> str:
    """Why a body that is so described is not read; empty where it is plain JSON, or not described."""
    media_type = headers.get("content-type", "application/json").split(";")[0].strip().lower()
    if media_type != "application/json":
        return f"the body is said to be {media_type!r}; send the header Content-Type: application/json"
    encoding = headers.get("content-encoding", "identity").strip().lower()
    return "" if encoding == "identity" else f"the body is said to be encoded as {encoding!r}; send it plain"


async def _read(receive: Receive, headers: Headers, max_bytes: int) -> list[Message] | None:
    """The messages of a request's body, or None where it is declared or found to be larger than `max_bytes`."""
    declared = headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > max_bytes:
        return None
    messages: list[Message] = []
    size = 0
    while not messages or messages[-1].get("more_body", False):
        messages.append(await receive())
        size += len(messages[-1].get("body", b""))
        if size > max_bytes:
            return None
    return messages


def _replay(messages: list[Message], receive: Receive) -> Receive:
    rest = iter(messages)

    async def replay() -> Message:
        return next(rest, None) or await receive()

    return replay


def _pieces(message: Message) -> Iterator[Message]:
    """The message, or where it carries a large body, several that carry it piece by piece."""
    body = message.get("body", b"")
    if len(body) <= PIECE_BYTES:
        yield message
        return
    for start in range(0, len(body), PIECE_BYTES):
        end = start + PIECE_BYTES
        yield {**message, "body": body[start:end], "more_body": end < len(body) or message.get("more_body", False)}
