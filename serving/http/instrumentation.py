"""Requests counted by the template of their route, whatever path was asked for, and logged, a line of JSON each.

Outermost around the application, so that what is refused on the way in is counted too. A request costs some
microseconds. Every answer gets the headers that every answer has.
"""

import asyncio
import json
import re
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from time import perf_counter
from typing import Final, TextIO

from fastapi.routing import iter_route_contexts
from prometheus_client import Counter, Histogram
from starlette.routing import BaseRoute, compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.http.auth import NAME
from serving.monitoring.metrics import IN_FLIGHT, REQUEST_SECONDS, REQUESTS

OTHER: Final = "other"  # a path without a route, and a method that nothing here could take
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
FAILED, LEFT = 500, 499  # the answer broke off by our fault; by the client's, in nginx's number
EVERY_SECONDS: Final = 0.1  # lines are written
PROBES: Final = frozenset({"/livez", "/readyz", "/healthz", "/metrics"})  # not logged where all is well
_ID: Final = re.compile(rb"[\w.:-]{1,128}", re.ASCII)


class AccessLog:
    """Lines of JSON about requests, written to a stream ten times a second.

    To write each at once takes a sixth off the requests a second: a write gives Python's lock away, and threads that
    draw keep it for long.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lines: list[str] = []

    def add(self, said: Mapping[str, object]) -> None:
        """Write a line soon; needs a running loop."""
        if not self._lines:
            asyncio.get_running_loop().call_later(EVERY_SECONDS, self.flush)
        self._lines.append(json.dumps(said) + "\n")

    def flush(self) -> None:
        """Write what waits. A log that cannot be written, to a full disk say, stops no request."""
        lines, self._lines = self._lines, []
        with suppress(OSError, ValueError):
            self._stream.write("".join(lines))
            self._stream.flush()


class Instrumented:
    """Middleware that counts and times every HTTP request; `routes` name those that were refused before routing.

    Each has an id: its header X-Request-ID where that is one, else a new one; the answer has it too. With `log` it
    leaves a line of JSON: no query, no body and no header, which may hold secrets, but the name of the API key.
    """

    def __init__(self, app: ASGIApp, routes: Sequence[BaseRoute] = (), log: AccessLog | None = None) -> None:
        self.app, self._log = app, log
        found = [(route.original_route, route.path) for route in iter_route_contexts(routes) if route.path]
        self._templates = {id(route): path for route, path in found}  # a route knows no prefix of its router's
        self._patterns = [(compile_path(path)[0], path) for _, path in found]
        self._counters: dict[tuple[str, str, int], Counter] = {}
        self._timers: dict[str, Histogram] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on; count a request when it has ended, however it did."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        exchange = _Exchange(receive, send, _id_of(scope))
        begun = perf_counter()
        IN_FLIGHT.inc()
        try:
            await self.app(scope, exchange.receive, exchange.send)
        except BaseException:
            exchange.failed = True
            raise
        finally:
            IN_FLIGHT.dec()
            route, seconds = self._route(scope), (exchange.ended or perf_counter()) - begun
            self._count(route, scope["method"], exchange.status(), seconds)
            if self._log and not (scope["path"] in PROBES and exchange.status() < 400):
                self._log.add(_said(scope, exchange, route, seconds))

    def _count(self, route: str, method: str, status: int, seconds: float) -> None:
        key = route, method if method in METHODS else OTHER, status
        counter, timer = self._counters.get(key), self._timers.get(route)
        if counter is None or timer is None:  # looking labels up costs as much as counting
            counter = self._counters[key] = REQUESTS.labels(*key)
            timer = self._timers[route] = REQUEST_SECONDS.labels(route)
        counter.inc()
        timer.observe(seconds)

    def _route(self, scope: Scope) -> str:
        """The template of the route that took the request, or that would have."""
        route = scope.get("route")
        if route is not None:
            return self._templates.get(id(route)) or str(getattr(route, "path", OTHER))
        return next((path for pattern, path in self._patterns if pattern.match(scope["path"])), OTHER)


def _id_of(scope: Scope) -> bytes:
    sent = [value for name, value in scope["headers"] if name == b"x-request-id"]
    return sent[0] if len(sent) == 1 and _ID.fullmatch(sent[0]) else secrets.token_hex(8).encode()


def _said(scope: Scope, exchange: "_Exchange", route: str, seconds: float) -> dict[str, object]:
    """What the log says of a request."""
    client = scope.get("client")
    return {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "id": exchange.id.decode(),
        "client": client[0] if client else None,
        "key": scope.get(NAME),
        "method": scope["method"],
        "path": scope["path"],
        "route": route,
        "status": exchange.status(),
        "bytes": exchange.bytes,
        "seconds": round(seconds, 6),
    }


class _Exchange:
    """A request's two channels, and what became of the answer."""

    __slots__ = ("_receive", "_send", "_status", "bytes", "ended", "failed", "id", "left")

    def __init__(self, receive: Receive, send: Send, id: bytes) -> None:
        self._receive, self._send, self.id = receive, send, id
        self.bytes = 0  # of the body
        self._status = 0  # until the answer is begun
        self.ended: float | None = None  # when the last byte was handed over
        self.failed = self.left = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.left = True
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            more = [(b"x-content-type-options", b"nosniff"), (b"x-request-id", self.id)]
            await self._send({**message, "headers": [*message.get("headers", ()), *more]})
            self._status = message["status"]
            return
        await self._send(message)
        self.bytes += len(message.get("body", b""))
        if not message.get("more_body", False):
            self.ended = perf_counter()

    def status(self) -> int:
        """What the client was told; of an answer that did not reach its end, 499 where the client is why, else 500."""
        if self.ended is not None:
            return self._status
        return LEFT if self.left or (self._status and not self.failed) else FAILED
