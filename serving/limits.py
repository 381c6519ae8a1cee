"""What the service refuses before any of its code runs: bodies too large or not JSON, and paths it does not have."""

from collections.abc import Iterable
from pathlib import Path

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES = 64_000


class JsonBodies:
    """Middleware that answers 413 to a body of more than `max_bytes`, having read no more, and 415 to what is not JSON.

    BentoML would read a body of any size, and parse forms, which nothing here needs.
    """

    def __init__(self, app: ASGIApp, max_bytes: int = MAX_BODY_BYTES) -> None:
        self.app = app
        self.max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its body read, or refuse it."""
        if scope["type"] != "http" or scope["method"] != "POST":
            return await self.app(scope, receive, send)
        headers = Headers(scope=scope)
        media_type = headers.get("content-type", "application/json").split(";")[0].strip().lower()
        messages = await _read(receive, headers, self.max_bytes)
        if messages is None:
            refusal = _refusal(413, f"the body is larger than {self.max_bytes} bytes; no request here needs more")
        elif media_type != "application/json":
            refusal = _refusal(
                415, f"the body is said to be {media_type!r}; send the header Content-Type: application/json"
            )
        else:
            return await self.app(scope, _replay(messages, receive), send)
        return await refusal(scope, receive, send)


class KnownRoutes:
    """Middleware that answers 404 to paths without a route before the request is counted.

    BentoML labels its metrics with whatever path is asked for, outside any middleware of the service, so a port scan
    would fill its memory with series. The startup message carries the application: there the check is put outermost.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on; at startup, put the check around the whole application."""
        if scope["type"] == "lifespan":
            application: Starlette = scope["app"]
            stack = application.middleware_stack or application.build_middleware_stack()
            application.middleware_stack = _gate(stack, known_paths(application.routes))
        await self.app(scope, receive, send)


def known_paths(routes: Iterable[BaseRoute], prefix: str = "") -> frozenset[str]:
    """Every path that the routes answer: of routes, of what is mounted, and of static files."""
    found: set[str] = set()
    for route in routes:
        if isinstance(route, Route):
            found.add(prefix + route.path)
        elif isinstance(route, Mount) and isinstance(route.app, StaticFiles):
            files = (name for folder in route.app.all_directories for name in _files(Path(folder)))
            found |= {prefix + route.path + name for name in files}
        elif isinstance(route, Mount):
            found |= known_paths(route.routes, prefix + route.path)
    return frozenset(found)


def _files(folder: Path) -> list[str]:
    return [f"/{path.relative_to(folder).as_posix()}" for path in folder.rglob("*") if path.is_file()]


def _gate(app: ASGIApp, known: frozenset[str]) -> ASGIApp:
    ours = ", ".join(sorted(path for path in known if path.startswith("/v1/")))

    async def gate(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or scope["path"] in known:
            return await app(scope, receive, send)
        return await _refusal(404, f"no such route; there is {ours}")(scope, receive, send)

    return gate


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


def _refusal(status: int, message: str) -> JSONResponse:
    """An error after which the connection is closed, since the body may not have been read to its end."""
    return JSONResponse({"error": message}, status_code=status, headers={"Connection": "close"})
