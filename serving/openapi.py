"""What the OpenAPI document says beyond what FastAPI reads off the routes: files, errors, keys."""

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from skygen.formats.catalogue import CATALOGUE_TYPES
from skygen.formats.encode import MEDIA_TYPES, Format

try:
    VERSION = version("skygen")
except PackageNotFoundError:  # in a Bento, which holds the package without its metadata
    VERSION = "packaged"
DESCRIPTION = "Synthetic tiles of the SDSS sky in nanomaggies: the same seed gives the same tile, bit for bit."
_BINARY = {"type": "string", "format": "binary"}
_JSON = {"type": "object"}
Responses = dict[int | str, dict[str, Any]]


class Fault(BaseModel):
    """A field at fault, and why."""

    loc: list[str]
    msg: str


class Problem(BaseModel):
    """Any error: a sentence, and the fields at fault where there are some."""

    error: str
    detail: list[Fault] = []


def files(*names: Format, cached: bool = False) -> Responses:
    """The responses that carry tiles in the formats `names`; `cached` ones may also be 304."""
    content = {MEDIA_TYPES[name]: {"schema": _JSON if name == "json" else _BINARY} for name in names}
    content |= {"image/fits": {"schema": _BINARY}} if set(names) == set(MEDIA_TYPES) else {}
    found: Responses = {200: {"description": "tiles", "content": content}}
    return found | ({304: {"description": "as you have it already"}} if cached else {})


def catalogues() -> Responses:
    """The responses that carry a catalogue."""
    types = {*CATALOGUE_TYPES.values(), "application/json"}
    content = {name: {"schema": _JSON if name == "application/json" else _BINARY} for name in sorted(types)}
    return {200: {"description": "objects", "content": content}}


def _error(description: str) -> dict[str, Any]:
    return {"description": description, "model": Problem}


OBJECT: Responses = {200: {"description": "found", "content": {"application/json": {"schema": _JSON}}}}
NUMBERS: Responses = OBJECT | {304: {"description": "as you have it already"}}
ERRORS: Responses = {
    400: _error("a field is wrong: which, and what is allowed"),
    401: _error("an API key is wanted"),
    404: _error("there is no such thing here"),
    406: _error("no format that Accept allows"),
    408: _error("the body came too slowly"),
    413: _error("the body is too large"),
    415: _error("the body is not JSON"),
    431: _error("the headers are too large"),
    429: _error("too much is asked for at once; Retry-After says when to come again"),
    500: _error("an error of the service's own"),
    504: _error("not done in time"),
}


def paths(app: FastAPI) -> list[str]:
    """The addresses that the document has."""
    return sorted(app.openapi()["paths"])


def document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of `app`, made once: its errors are 400, never FastAPI's own 422."""
    if app.openapi_schema is None:
        made = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        for operations in made["paths"].values():
            for operation in operations.values():
                operation["responses"].pop("422", None)
        for name in ("HTTPValidationError", "ValidationError"):
            made["components"]["schemas"].pop(name, None)
        made["servers"] = [{"url": "."}]  # beside this document, wherever a proxy puts it
        made["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        made["security"] = [{}, {"key": []}]
        app.openapi_schema = made
    return app.openapi_schema
