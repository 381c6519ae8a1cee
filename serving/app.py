"""The app: what stands at which address, and how it answers what goes wrong."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from serving import openapi, routes, sky_routes
from serving.batching import QueueFullError
from serving.http import static
from serving.monitoring import health
from serving.monitoring.metrics import REJECTED
from serving.requests import RequestError
from serving.settings import Settings

MOST_FAULTS = 16  # told of at once: a body may have thousands


def build(settings: Settings) -> FastAPI:
    """The app; it answers once `app.state.drawing` is there."""
    app = FastAPI(
        title="skygen",
        version=openapi.VERSION,
        description=openapi.DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        strict_content_type=False,
        redirect_slashes=False,
    )
    app.include_router(routes.router)
    app.include_router(sky_routes.router)
    app.include_router(health.router(has_metrics=settings.metrics != "off"))
    if settings.page == "on":
        app.include_router(static.router())
    app.exception_handler(RequestValidationError)(_invalid)
    app.exception_handler(RequestError)(_refused)
    app.exception_handler(QueueFullError)(_full)
    app.exception_handler(HTTPException)(_http)
    app.exception_handler(Exception)(_ours)
    app.openapi = lambda: openapi.document(app)  # type: ignore[method-assign]  # FastAPI's own way to change it
    return app


def problem(
    status: int, error: str, detail: Sequence[dict[str, Any]] = (), headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """An error as every route answers it: a sentence, and where a field is at fault, which and why."""
    content: dict[str, Any] = {"error": error} | ({"detail": list(detail)} if detail else {})
    return JSONResponse(content, status_code=status, headers=headers)


async def _invalid(_: Request, error: RequestValidationError) -> Response:
    detail: list[dict[str, Any]] = [
        {
            "loc": [part for part in found["loc"][1:] if isinstance(part, str)] or ["body"],
            "msg": str(found["msg"]).removeprefix("Value error, "),
        }
        for found in error.errors()[:MOST_FAULTS]
    ]
    return problem(400, "; ".join(_sentence(".".join(found["loc"]), found["msg"]) for found in detail), detail)


async def _refused(_: Request, error: RequestError) -> Response:
    return problem(error.status, _sentence(error.field, str(error)), [{"loc": [error.field], "msg": str(error)}])


def _sentence(field: str, message: str) -> str:
    """The message with the field before it, unless it begins with it."""
    return message if message.startswith(f"{field} ") else f"{field}: {message}"


async def _full(_: Request, error: QueueFullError) -> Response:
    REJECTED.labels("queue").inc()
    return problem(429, str(error), headers={"Retry-After": str(error.retry_after)})


async def _http(request: Request, error: HTTPException) -> Response:
    sentence = str(error.detail)
    if error.status_code == 400:
        sentence = "the body cannot be read as JSON"
    if error.status_code == 404 and sentence == "Not Found":
        sentence = f"no such route; there is {', '.join(openapi.paths(request.app))}"
    if error.status_code == 405:
        sentence = f"{request.method} is not for this route; see /docs.json"
    return problem(error.status_code, sentence, headers=error.headers)


async def _ours(_: Request, __: Exception) -> Response:
    return problem(500, "an error of the service's own; its log has the cause")
