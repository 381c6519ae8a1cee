"""A client that keeps no rule of HTTP: bytes down a socket, and whatever comes back."""

import re
import socket
import struct
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

Address = tuple[str, int]
Step = bytes | float  # bytes to send, or seconds to wait

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")


@dataclass(frozen=True)
class Heard:
    """What came back: the bytes, the statuses of the answers in them, and whether the server closed the connection."""

    content: bytes
    closed: bool

    @property
    def statuses(self) -> list[int]:
        """Of every answer, without interim ones; a tile's bytes hold none."""
        return [status for status in map(int, _STATUS.findall(self.content)) if status >= 200]


def exchange(address: Address, steps: Iterable[Step], patience: float = 5.0, half_close: bool = False) -> Heard:
    """What is heard while `steps` are taken and after them, until the server closes or says nothing for `patience`.

    With `half_close` the client says after its steps that it sends no more.
    """
    with socket.create_connection(address, timeout=patience) as connection:
        try:
            _take(connection, steps)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # an answer may have come before
        return _hear(connection)


def leave(address: Address, steps: Iterable[Step], reading: int = 0, reset: bool = False) -> None:
    """Take `steps`, read `reading` bytes of the answer, and leave: in order, or by a reset."""
    with socket.create_connection(address, timeout=5) as connection, suppress(OSError):
        _take(connection, steps)
        if reading:
            connection.recv(reading)
        if reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def post(body: bytes, *headers: str, path: str = "/v1/generate") -> bytes:
    """A POST whose head says how long `body` is, unless `headers` do."""
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", *headers]
    if not any(line.lower().startswith(("content-length", "transfer-encoding")) for line in headers):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def get(path: str, *headers: str, method: str = "GET") -> bytes:
    """A request without a body."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode()


def _take(connection: socket.socket, steps: Iterable[Step]) -> None:
    for step in steps:
        if isinstance(step, bytes):
            connection.sendall(step)
        else:
            time.sleep(step)


def _hear(connection: socket.socket) -> Heard:
    parts = []
    try:
        while part := connection.recv(65_536):
            parts.append(part)
    except TimeoutError:
        return Heard(b"".join(parts), closed=False)
    except ConnectionResetError:
        pass
    return Heard(b"".join(parts), closed=True)
