"""The BentoML service `skygen`: POST /v1/generate and GET /v1/models over the bundles beside it."""

import os
from pathlib import Path
from typing import Annotated

import bentoml
import torch
from bentoml.validators import ContentType
from pydantic import InstanceOf, WithJsonSchema
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from serving.catalogue import BUNDLES, Catalogue
from serving.limits import JsonBodies, KnownRoutes
from serving.metrics import BATCH_TILES, GENERATION_SECONDS, TILES_GENERATED
from serving.requests import GenerateRequest
from serving.responses import tiles_response
from skygen.provenance import choose_device

# A call computes on every core by itself, so one worker and two threads: a small request is not stuck behind a large
# one. The largest request, 256 tiles of 128 x 128 x 3 from a network of full width, takes about 6 s alone on 2 cores:
# 8 at once end within the 60 s after which a client is told 504; the ninth is told 429 at once.
TIMEOUT_SECONDS = 60
MAX_CONCURRENCY = 8
THREADS = 2

# What /docs.json says of the answer, whose type the request chooses.
BINARY = WithJsonSchema({"type": "string", "format": "binary"})
TilesFile = Annotated[Response, InstanceOf(), BINARY, ContentType("*/*")]


def bundles_folder() -> Path:
    """Where the bundles are: the folder that SKYGEN_BUNDLES names, else `bundles` beside this package in the Bento."""
    return Path(os.environ.get(BUNDLES) or Path(__file__).parent.parent / "bundles")


async def list_models(_: Request) -> JSONResponse:
    """The cards of every loaded bundle."""
    return JSONResponse({"models": bentoml.get_current_service().catalogue.cards()})


@bentoml.service(
    name="skygen",
    workers=1,
    threads=THREADS,
    traffic={"timeout": TIMEOUT_SECONDS, "max_concurrency": MAX_CONCURRENCY},
)
@bentoml.asgi_app(Starlette(routes=[Route("/v1/models", list_models)]))
class Skygen:
    """Synthetic tiles of the SDSS sky in nanomaggies: the same seed gives the same tile, bit for bit."""

    def __init__(self) -> None:
        self.catalogue = Catalogue.load(bundles_folder(), choose_device())

    @bentoml.on_deployment  # type: ignore[untyped-decorator]
    @staticmethod
    def require_bundles() -> None:
        """End the command with the reason where the bundles cannot be loaded; a worker that fails leaves it waiting."""
        Catalogue.load(bundles_folder(), torch.device("cpu"))

    def __is_ready__(self) -> bool:
        return bool(self.catalogue.champions)

    @bentoml.api(route="/v1/generate")  # type: ignore[untyped-decorator]
    def generate(self, request: GenerateRequest, /) -> TilesFile:
        """Tiles of a seed, in nanomaggies as npy, FITS or JSON, or as a PNG to look at."""
        bundle = self.catalogue.choose(request)
        recipe = bundle.card.recipe
        BATCH_TILES.labels(request.tiles).observe(request.n)
        with GENERATION_SECONDS.labels(request.tiles, recipe).time():
            tiles = bundle.generate(request.seed, request.n, noise=request.noise, seeing=request.seeing)
        TILES_GENERATED.labels(request.tiles, recipe).inc(request.n)
        return tiles_response(tiles, bundle, request)


for middleware in (KnownRoutes, JsonBodies):
    Skygen.add_asgi_middleware(middleware)  # type: ignore[attr-defined]  # the decorator made the class a Service
