"""The page at `/` and its files, from the folder page/, with headers that keep it to itself."""

import mimetypes
from hashlib import sha256
from pathlib import Path

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

FOLDER = Path(__file__).parents[1] / "page"
POLICY = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; "
    "base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def router() -> APIRouter:
    """The routes `/` and `/page/{file}`, over the files as they are now."""
    files = {path.name: path.read_bytes() for path in FOLDER.iterdir() if path.is_file()}
    routes = APIRouter(include_in_schema=False)

    @routes.get("/")
    async def index(request: Request) -> Response:
        return _file("index.html", files, request)

    @routes.get("/page/{file}")
    async def file(file: str, request: Request) -> Response:
        if file not in files:
            raise HTTPException(404, "the page has no such file")
        return _file(file, files, request)

    return routes


def _file(name: str, files: dict[str, bytes], request: Request) -> Response:
    tag = f'"{sha256(files[name]).hexdigest()[:32]}"'
    headers = POLICY | {"ETag": tag}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(files[name], media_type=mimetypes.guess_type(name)[0], headers=headers)
