"""The routes under /v1 of a process alone: rectangles of its sky, and catalogues of what lies in them and in tiles."""

from collections.abc import Callable, Sequence

from fastapi import APIRouter, Request, Response

from serving.bundles import check
from serving.drawing import chosen_format, drawing_of
from serving.monitoring.metrics import CATALOGUE_ROWS
from serving.openapi import ERRORS, catalogues, files
from serving.requests import CatalogueChoice, CatalogueRequest, RequestError, SkyCatalogueRequest, SkyRequest
from serving.responses import catalogue_of, file_response, said_of, said_of_sky
from serving.truth import check_truth, draw_sky, find_objects, find_sky_objects
from skygen.bundle.bundle import Bundle
from skygen.formats.catalogue import CATALOGUE_TYPES
from skygen.formats.origin import Origin, Truth

router = APIRouter()
TYPES = {str(name): of for name, of in CATALOGUE_TYPES.items()} | {"json": "application/json"}


@router.post("/v1/catalogue", responses=catalogues() | ERRORS, response_class=Response)
async def catalogue(asked: CatalogueRequest, request: Request) -> Response:
    """The objects of tiles of a process: where each is, what it is, how bright, how large, and how plain to see."""
    drawing, wanted = drawing_of(request), asked.wanted()
    bundle = drawing.catalogue.find(asked.tiles, asked.model)
    check(bundle, wanted, truth=True)
    written = _written(bundle, lambda: bundle.origin(wanted), asked.format)
    content = await find_objects(drawing, request, bundle, wanted, asked.min_snr, written)
    return file_response(content, bundle, TYPES[asked.format], f"{said_of(wanted)}-objects.{asked.format}")


@router.post("/v1/sky", responses=files("png", "npy", "fits") | ERRORS, response_class=Response)
async def sky(asked: SkyRequest, request: Request) -> Response:
    """A rectangle of the endless sky of a seed, by a process; rectangles that overlap agree there bit for bit.

    npy is `[bands, H, W]`. The whole sky of a seed has the conditions of the seed's tile 0.
    """
    drawing, wanted = drawing_of(request), asked.wanted()
    name, media_type = chosen_format(request, asked.format)
    if name == "json":
        raise RequestError("format", "a sky comes as png, npy or fits; JSON would be ten times as large")
    bundle = drawing.catalogue.find(asked.tiles, asked.model)
    check(bundle, [wanted.observed()], truth=True)
    check_truth(asked.truth, name, 1, max(wanted.width, wanted.height))
    content = await draw_sky(drawing, request, bundle, wanted, name, asked.truth)
    response = file_response(content, bundle, media_type, f"{said_of_sky(wanted)}.{name}")
    response.headers["Vary"] = "Accept"
    return response


@router.post("/v1/sky/catalogue", responses=catalogues() | ERRORS, response_class=Response)
async def sky_catalogue(asked: SkyCatalogueRequest, request: Request) -> Response:
    """The objects of a rectangle of a seed's sky, as `/v1/catalogue` tells of those of tiles."""
    drawing, wanted = drawing_of(request), asked.wanted()
    bundle = drawing.catalogue.find(asked.tiles, asked.model)
    check(bundle, [wanted.observed()], truth=True)
    written = _written(bundle, lambda: bundle.sky_origin(wanted), asked.format)
    content = await find_sky_objects(drawing, request, bundle, wanted, asked.min_snr, written)
    return file_response(content, bundle, TYPES[asked.format], f"{said_of_sky(wanted)}-objects.{asked.format}")


def _written(bundle: Bundle, origin: Callable[[], Origin], name: CatalogueChoice) -> Callable[[Sequence[Truth]], bytes]:
    """What makes the bytes of a catalogue of truths, and counts its rows."""

    def written(truths: Sequence[Truth]) -> bytes:
        rows = sum(len(truth.rows) for truth in truths)
        CATALOGUE_ROWS.labels(bundle.card.tiles, bundle.card.recipe, name).inc(rows)
        return catalogue_of(truths, origin(), name)

    return written
