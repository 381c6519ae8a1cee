"""A real HTTP server that stands in for the survey's: files with ETag and Range, and the faults that tests ask for."""

import bz2
import hashlib
import io
import re
import threading
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
from astropy.io import fits

from skygen.params import SurveyParams
from skygen.sky.field import FieldId, frame_name, parse_frame_name

RANGE = re.compile(r"bytes=(\d+)-")
Fault = Callable[["Handler", bytes], None]


def frame_path(name: str) -> str:
    """Where the survey's server has a frame."""
    _, field_id = parse_frame_name(name)
    return f"/frames/301/{field_id.run}/{field_id.camcol}/{name}"


def small_frame(seed: int, kibibytes: int = 256) -> bytes:
    """FITS in bz2 of about so many KiB: noise, which bz2 cannot make smaller."""
    pixels = np.random.default_rng(seed).integers(0, 2**31, (kibibytes, 256), np.int32)
    stream = io.BytesIO()
    fits.PrimaryHDU(pixels).writeto(stream)
    return bz2.compress(stream.getvalue())


FIELD = FieldId(94, 1, 12)
NAME = frame_name("r", FIELD)
URL = frame_path(NAME)
CONTENT = small_frame(0)
LIST = "/resolve/window_flist.fits"


class Handler(BaseHTTPRequestHandler):
    """Answers GET."""

    protocol_version = "HTTP/1.1"
    server: "SurveyServer"

    def do_GET(self) -> None:
        site = self.server
        site.requests.append((self.path, self.headers.get("Range")))
        content = site.files.get(self.path)
        fault = site.faults[self.path].popleft() if site.faults[self.path] else None
        try:
            if fault is not None:
                fault(self, content or b"")
            elif content is None:
                self.answer(404, b"not here")
            else:
                self.file(content)
        except (BrokenPipeError, ConnectionResetError):  # the client left
            self.close_connection = True

    def file(self, content: bytes, ranges: bool = True, stop_after: int | None = None) -> None:
        """The file, or the rest of it that is asked for; only the first `stop_after` bytes of what is promised."""
        etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        asked = RANGE.fullmatch(self.headers.get("Range", ""))
        start = int(asked[1]) if asked and ranges and self.headers.get("If-Range", etag) == etag else 0
        headers = {"ETag": etag} if ranges else {}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self.answer(206 if start else 200, content[start:], headers, stop_after)

    def answer(
        self, status: int, body: bytes, headers: dict[str, str] | None = None, stop_after: int | None = None
    ) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        sent = body[:stop_after]
        self.server.sent[self.path] += len(sent)
        self.wfile.write(sent)
        self.wfile.flush()
        self.close_connection |= len(sent) < len(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Not on stderr."""


class SurveyServer(ThreadingHTTPServer):
    """`files` by path; `faults` by path, one for each request until they are used up; what was asked for and sent."""

    daemon_threads = False  # closing the server waits for every answer: none leaks into the next test

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.faults: defaultdict[str, deque[Fault]] = defaultdict(deque)
        self.requests: list[tuple[str, str | None]] = []
        self.sent: Counter[str] = Counter()
        self.released = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def add(self, count: int) -> list[FieldId]:
        """So many fields, each with a small frame in r on the server."""
        fields = [FieldId(94, 1, number) for number in range(100, 100 + count)]
        content = small_frame(1, 2)
        self.files.update({frame_path(frame_name("r", field)): content for field in fields})
        return fields

    def params(self, shipped: SurveyParams, **changes: object) -> SurveyParams:
        """The shipped parameters with this server's addresses, and `changes`."""
        here = {"frames_url": f"{self.url}/frames", "field_list_url": f"{self.url}{LIST}"}
        return shipped.model_copy(update={**here, **changes})


@contextmanager
def survey_server() -> Iterator[SurveyServer]:
    """A running server."""
    with SurveyServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.released.set()
            server.shutdown()
            thread.join()


def cut(after: int) -> Fault:
    """The connection ends after so many bytes of the body."""
    return lambda handler, content: handler.file(content, stop_after=after)


def stall(after: int) -> Fault:
    """After so many bytes of the body nothing more comes, but the connection stays."""

    def fault(handler: Handler, content: bytes) -> None:
        handler.file(content, stop_after=after)
        handler.server.released.wait()

    return fault


def trickle(handler: Handler, content: bytes) -> None:
    """A byte now and then, never so late that the connection looks dead."""
    handler.answer(200, content, stop_after=0)
    for byte in content:
        if handler.server.released.wait(0.02):
            return
        handler.wfile.write(bytes([byte]))
        handler.wfile.flush()


def status(code: int, **headers: str) -> Fault:
    """An error, with a page that explains it; an underscore in a header's name stands for a hyphen."""
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return lambda handler, content: handler.answer(code, b"<html>sorry</html>", named)


def page(handler: Handler, content: bytes) -> None:
    """A web page in the file's place, as a portal or a broken mirror sends: HTTP 200."""
    handler.answer(200, b"<!DOCTYPE html><html><body>Welcome</body></html>", {"Content-Type": "text/html"})


def whole(handler: Handler, content: bytes) -> None:
    """All of the file, whatever was asked for: a server that knows no Range and names no version."""
    handler.file(content, ranges=False)


def instead(other: bytes) -> Fault:
    """Other bytes, whole, with a Content-Length that agrees."""
    return lambda handler, content: handler.file(other)


def promise(length: int) -> Fault:
    """The file under a wrong Content-Length."""
    return lambda handler, content: handler.answer(200, content, {"Content-Length": str(length), "Connection": "close"})


def drop(handler: Handler, content: bytes) -> None:
    """No answer at all."""
    handler.close_connection = True


def span(text: str) -> Fault:
    """Partial content of another place than asked for."""
    return lambda handler, content: handler.answer(206, content[10:], {"Content-Range": text})
