"""The app: what stands at which address, and how it answers what goes wrong."""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from serving import openapi, routes, site
from serving.batching import QueueFull
from serving.hall import Hall
from serving.metrics import REJECTED
from serving.requests import Refused
from serving.settings import Settings


def build(settings: Settings) -> FastAPI:
    """The app; it answers once `app.state.hall` is there."""
    app = FastAPI(
        title="skygen",
        version=openapi.VERSION,
        description=openapi.DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        strict_content_type=False,
    )
    app.include_router(routes.router)
    if settings.page == "on":
        app.include_router(site.router())
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(QueueFull, _full)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _ours)
    app.openapi = lambda: openapi.document(app)  # type: ignore[method-assign]  # FastAPI's own way to change it
    return app


def open_to_calls(app: FastAPI, hall: Hall) -> None:
    """Give the app what it serves from."""
    app.state.hall = hall


def problem(status: int, error: str, detail: Sequence[dict[str, Any]] = (), **headers: str) -> JSONResponse:
    """An error as every route answers it: a sentence, and where a field is at fault, which and why."""
    content: dict[str, Any] = {"error": error} | ({"detail": list(detail)} if detail else {})
    return JSONResponse(content, status_code=status, headers={name.replace("_", "-"): headers[name] for name in headers})


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    detail = [
        {
            "loc": [part for part in found["loc"][1:] if isinstance(part, str)],
            "msg": str(found["msg"]).removeprefix("Value error, "),
        }
        for found in error.errors()
    ]
    sentence = "; ".join(": ".join([*found["loc"], found["msg"]]) for found in detail)
    return problem(400, sentence, detail)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return problem(error.status, f"{error.field}: {error}", [{"loc": [error.field], "msg": str(error)}])


async def _full(_: Request, error: Exception) -> Response:
    assert isinstance(error, QueueFull)
    REJECTED.labels("queue").inc()
    return problem(429, str(error), Retry_After=str(error.retry_after))


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    sentence = str(error.detail)
    if error.status_code == 404 and sentence == "Not Found":
        sentence = f"no such route; there is {', '.join(openapi.paths(request.app))}"
    if error.status_code == 405:
        sentence = f"{request.method} is not for this route; see /docs.json"
    return problem(error.status_code, sentence, **(error.headers or {}))


async def _ours(_: Request, __: Exception) -> Response:
    return problem(500, "an error of the service's own; its log has the cause")
