"""The routes under /v1: tiles by seed, walks, measurements, cards, real tiles; and the document of them all."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse

from serving.bundles import RealTiles, check
from serving.drawing import chosen_format, drawing_of
from serving.measurements import measure_tile
from serving.openapi import ERRORS, NUMBERS, OBJECT, files
from serving.requests import (
    MAX_JSON_TILES,
    GenerateRequest,
    Index,
    InterpolateRequest,
    RequestError,
    Seed,
    TileFileQuery,
    TileQuery,
    TileSet,
)
from serving.responses import ASK_AGAIN, IMMUTABLE, etag, tiles_response
from serving.truth import check_truth, draw_tiles
from skygen.bundle.bundle import Bundle
from skygen.bundle.tile import SURVEY, Tile
from skygen.formats.encode import MEDIA_TYPES, encode
from skygen.formats.origin import Origin

router = APIRouter()
TileFormat = Literal["png", "fits", "npy"]


@router.post("/v1/generate", responses=files(*MEDIA_TYPES) | ERRORS, response_class=Response)
async def generate(asked: GenerateRequest, request: Request) -> Response:
    """Tiles of a seed, in nanomaggies as npy, FITS or JSON, or as a PNG to look at."""
    return await _tiles(request, asked, "n", asked.n, asked.truth)


@router.post("/v1/interpolate", responses=files(*MEDIA_TYPES) | ERRORS, response_class=Response)
async def interpolate(asked: InterpolateRequest, request: Request) -> Response:
    """The walk from one seed's tile to another's, in equal steps; noise and conditions stay those of the first.

    Of a recipe that paints tiles. A process has no walk: between two skies objects would appear and vanish.
    """
    return await _tiles(request, asked, "steps", asked.steps)


@router.get(
    "/v1/tile/{tiles}/{seed}.{format}",
    responses=files("png", "fits", "npy", cached=True) | ERRORS,
    response_class=Response,
)
async def tile(
    tiles: TileSet, seed: Seed, format: TileFormat, query: Annotated[TileFileQuery, Query()], request: Request
) -> Response:
    """One tile. With `version` it may be kept for ever; without it a cache asks again, since a champion may change."""
    bundle, wanted = _one(request, tiles, seed, query, query.truth)
    check_truth(query.truth, format, 1)

    async def draw() -> Response:
        content = await draw_tiles(drawing_of(request), request, bundle, wanted, format, query.truth)
        return tiles_response(content, bundle, wanted, format)

    named = f"{format} with truth" if query.truth else format
    return await _cached(request, etag(bundle, wanted[0], named), query.version, draw)


@router.get("/v1/measure/{tiles}/{seed}", responses=NUMBERS | ERRORS, response_class=JSONResponse)
async def measure(tiles: TileSet, seed: Seed, query: Annotated[TileQuery, Query()], request: Request) -> Response:
    """What is measured of one tile: its flux histogram and sky noise in each band, and the sources found in r."""
    bundle, wanted = _one(request, tiles, seed, query)

    async def draw() -> Response:
        card = bundle.card
        found = await drawing_of(request).draw(
            request, bundle, wanted, lambda flux: measure_tile(flux[0], card.bands, card.pixel_scale_arcsec)
        )
        return JSONResponse({"tiles": tiles, "seed": str(seed), "index": query.index, "recipe": card.recipe, **found})

    return await _cached(request, etag(bundle, wanted[0], "json"), query.version, draw)


@router.get("/v1/models", responses=OBJECT | ERRORS, response_class=JSONResponse)
async def models(request: Request) -> Response:
    """The cards of every loaded bundle; a champion's has its version in the registry, where that is known."""
    return JSONResponse({"models": drawing_of(request).catalogue.cards()})


@router.get("/v1/real/{tiles}", responses=OBJECT | ERRORS, response_class=JSONResponse)
async def real_tiles(tiles: TileSet, request: Request) -> Response:
    """How many real tiles of a set there are to compare with, and where they come from."""
    real = _real(request, tiles)
    return JSONResponse({"tiles": tiles, "count": len(real.flux), **real.card.model_dump()})


@router.get(
    "/v1/real/{tiles}/{index}.{format}", responses=files("png", "fits", "npy") | ERRORS, response_class=Response
)
async def real_tile(tiles: TileSet, index: Index, format: TileFormat, request: Request) -> Response:
    """One real tile, held out from training, so that an eye can be tested on it."""
    real = _real(request, tiles)
    if index >= len(real.flux):
        raise RequestError("index", f"there are {len(real.flux)} real tiles of {tiles}, from 0 on", status=404)
    card = drawing_of(request).catalogue.find(tiles, "champion").card
    origin = Origin(tiles, "real", "", 0, SURVEY, SURVEY, card.bands, card.pixel_scale_arcsec, first=index)
    content = encode(np.asarray(real.flux[index : index + 1], dtype=np.float32), format, origin)
    return Response(content, media_type=MEDIA_TYPES[format], headers={"Cache-Control": ASK_AGAIN})


@router.get("/docs.json", include_in_schema=False)
async def document(request: Request) -> Response:
    """The service as an OpenAPI document."""
    return JSONResponse(request.app.openapi())


async def _tiles(
    request: Request,
    asked: GenerateRequest | InterpolateRequest,
    counted: str,
    count: int,
    truth: bool = False,
) -> Response:
    name, media_type = chosen_format(request, asked.format)
    if name == "json" and count > MAX_JSON_TILES:
        raise RequestError(counted, f"at most {MAX_JSON_TILES} tiles come as JSON; npy and FITS hold more")
    bundle, wanted = drawing_of(request).catalogue.find(asked.tiles, asked.model), asked.wanted()
    check(bundle, wanted, truth)
    check_truth(truth, name, count)
    content = await draw_tiles(drawing_of(request), request, bundle, wanted, name, truth)
    response = tiles_response(content, bundle, wanted, name, media_type)
    response.headers["Vary"] = "Accept"
    return response


async def _cached(request: Request, tag: str, version: str | None, draw: Callable[[], Any]) -> Response:
    """The response of `draw` with its entity tag, or 304 where the client has it already."""
    whose = "public" if drawing_of(request).is_open else "private"
    headers = {"ETag": tag, "Cache-Control": ASK_AGAIN if version is None else f"{whose}, {IMMUTABLE}"}
    sent = ",".join(request.headers.getlist("if-none-match")).split(",")
    known = [known.strip().removeprefix("W/") for known in sent]
    if tag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    response: Response = await draw()
    response.headers.update(headers)
    return response


def _one(
    request: Request, tiles: str, seed: int, query: TileQuery, truth: bool = False
) -> tuple[Bundle, Sequence[Tile]]:
    bundle = drawing_of(request).catalogue.find(tiles, query.model, query.version)
    wanted = [query.tile(seed)]
    check(bundle, wanted, truth)
    return bundle, wanted


def _real(request: Request, tiles: str) -> RealTiles:
    catalogue = drawing_of(request).catalogue
    catalogue.find(tiles, "champion")
    if tiles not in catalogue.real:
        raise RequestError("tiles", f"no real tiles of {tiles} were packaged with these bundles", status=404)
    return catalogue.real[tiles]
