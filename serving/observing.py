"""Requests counted by the template of their route, whatever path was asked for.

Outermost around the application, so that what is refused on the way in is counted too. A request costs some
microseconds.
"""

from collections.abc import Sequence
from time import perf_counter
from typing import Final

from fastapi.routing import iter_route_contexts
from prometheus_client import Counter, Histogram
from starlette.routing import BaseRoute, compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.metrics import IN_FLIGHT, REQUEST_SECONDS, REQUESTS

OTHER: Final = "other"  # a path without a route, and a method that nothing here could take
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
FAILED, LEFT = 500, 499  # the answer broke off by our fault; by the client's, in nginx's number


class Observed:
    """Middleware that counts and times every HTTP request; `routes` name those that were refused before routing."""

    def __init__(self, app: ASGIApp, routes: Sequence[BaseRoute] = ()) -> None:
        self.app = app
        found = [(route.original_route, route.path) for route in iter_route_contexts(routes) if route.path]
        self._templates = {id(route): path for route, path in found}  # a route knows no prefix of its router's
        self._patterns = [(compile_path(path)[0], path) for _, path in found]
        self._counters: dict[tuple[str, str, int], Counter] = {}
        self._timers: dict[str, Histogram] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on; count a request when it has ended, however it did."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        exchange = _Exchange(receive, send)
        begun = perf_counter()
        IN_FLIGHT.inc()
        try:
            await self.app(scope, exchange.receive, exchange.send)
        except BaseException:
            exchange.failed = True
            raise
        finally:
            IN_FLIGHT.dec()
            self._count(
                self._route(scope), scope["method"], exchange.status(), (exchange.ended or perf_counter()) - begun
            )

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


class _Exchange:
    """A request's two channels, and what became of the answer."""

    __slots__ = ("_receive", "_send", "_status", "ended", "failed", "left")

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self._status = 0  # until the answer is begun
        self.ended: float | None = None  # when the last byte was handed over
        self.failed = self.left = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.left = True
        return message

    async def send(self, message: Message) -> None:
        await self._send(message)
        if message["type"] == "http.response.start":
            self._status = message["status"]
        elif not message.get("more_body", False):
            self.ended = perf_counter()

    def status(self) -> int:
        """What the client was told; of an answer that did not reach its end, 499 where the client is why, else 500."""
        if self.ended is not None:
            return self._status
        return LEFT if self.left or (self._status and not self.failed) else FAILED
