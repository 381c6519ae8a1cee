"""uvicorn's HTTP protocol, with the bounds that it lacks: an application sees nothing before a request's head ends.

uvicorn waits for ever for the end of a head, and its parser takes one of any size in time that grows with its square.
"""

import asyncio
import json
import os
import socket
from contextlib import suppress
from typing import Any, ClassVar, Final

import uvicorn.config
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from serving.http.limits import MAX_HEAD_BYTES
from serving.monitoring.metrics import REJECTED

MOST_AROUND_BYTES: Final = 10 * MAX_HEAD_BYTES  # a body of 64,000 bytes in chunks of one byte has 320,000 around it
UNTAKEN_MILLISECONDS: Final = 60_000
_REASONS: Final = {400: "bad_http", 408: "slow_head", 431: "head"}


class BoundedProtocol(HttpToolsProtocol):
    """A connection that is closed where a request's head is not whole after `head_seconds`, or grows without end.

    The first is answered 408, the second 431, bad HTTP 400, all as JSON. There are no WebSockets here.
    """

    head_seconds: ClassVar[float] = 10.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.ws_protocol_class = None
        self._silent = self._in_head = self._in_first_head = True
        self._begun = False  # a head, in the bytes at hand
        self._head_bytes = 0  # of those that came after the ones in which it began
        self._body_bytes = self._around_bytes = 0  # of the bytes at hand; of what stands around a body's chunks
        self._head_timer: asyncio.TimerHandle | None = None
        self._answering: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Wait for the first head."""
        super().connection_made(transport)
        _let_go_of_who_acknowledges_nothing(transport)
        self._head_timer = self.loop.call_later(self.head_seconds, self._head_is_late)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection, and tell the answer in the making: uvicorn tells that to the last request alone."""
        self._stop_timer()
        super().connection_lost(exc)
        if self._answering is not None and not self._answering.response_complete:
            self._answering.disconnected = True
            self._answering.message_event.set()

    def data_received(self, data: bytes) -> None:
        """Parse what came, and see that a head that is not whole yet ends some time."""
        self._silent = self._begun = False
        self._body_bytes = 0
        super().data_received(data)
        if self.transport.is_closing():
            return
        self._around_bytes += 0 if self._in_head or self._begun else len(data) - self._body_bytes
        if self._around_bytes > MOST_AROUND_BYTES:
            self._end(431, "the sizes and trailers of the body's chunks are too large")
        elif self._in_head:
            self._head_bytes += 0 if self._begun else len(data)
            if self._head_bytes > 2 * MAX_HEAD_BYTES:  # whole heads are measured exactly, by JsonBodies
                self._end(431, f"the headers are larger than {MAX_HEAD_BYTES} bytes")
            elif self._head_timer is None:
                self._head_timer = self.loop.call_later(self.head_seconds, self._head_is_late)
        elif self.cycle.response_complete and self.timeout_keep_alive_task is None:  # empty lines between requests
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def on_message_begin(self) -> None:
        """Begin a head."""
        super().on_message_begin()
        self._in_head = self._begun = True
        self._head_bytes = self._around_bytes = 0

    def on_body(self, body: bytes) -> None:
        """Hand a part of the body over."""
        self._body_bytes += len(body)
        super().on_body(body)

    def on_headers_complete(self) -> None:
        """End a head."""
        self._in_head = self._in_first_head = False
        self._stop_timer()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer 400 as every error is answered here."""
        self._end(400, msg)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing: a request to speak another protocol is answered in this one."""

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self._silent:
            self.transport.close()
        elif self._in_first_head or self.cycle.response_complete:  # else the keep-alive timer follows the answer
            self._end(408, f"the headers were not whole after {self.head_seconds:g} seconds")

    def _end(self, status: int, sentence: str) -> None:
        if not self.transport.is_closing():
            REJECTED.labels(_REASONS[status]).inc()
            body = json.dumps({"error": sentence}).encode()
            head = (
                "content-type: application/json\r\nx-content-type-options: nosniff\r\n"
                f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(STATUS_LINE[status] + head.encode() + body)
            self.transport.close()

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


def _let_go_of_who_acknowledges_nothing(transport: asyncio.Transport) -> None:
    """Have the kernel end a connection whose client takes nothing for a minute: closing it waits for a flush."""
    with (
        suppress(OSError, AttributeError),
        socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno())) as s,
    ):
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNTAKEN_MILLISECONDS)


def bound_connections(head_seconds: float) -> None:
    """Have uvicorn speak HTTP as above in this process, whoever starts it: BentoML lets nobody choose.

    uvicorn documents its setting `http`, which takes a class, but not the table of names that its default is looked up
    in. Raises `RuntimeError` where a server would speak another protocol all the same.
    """
    BoundedProtocol.head_seconds = head_seconds
    uvicorn.config.HTTP_PROTOCOLS["auto"] = f"{__name__}:{BoundedProtocol.__name__}"
    config = uvicorn.Config(_nothing, log_config=None)
    config.load()
    if config.http_protocol_class is not BoundedProtocol:
        raise RuntimeError(
            f"uvicorn {uvicorn.__version__} would speak HTTP by {config.http_protocol_class}, without the bounds of "
            "serving/http/connections.py; install the version of requirements.lock"
        )


async def _nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that does nothing."""
