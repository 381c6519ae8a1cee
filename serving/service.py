"""The BentoML service `skygen`: loads the bundles, starts the threads that draw, and puts the app in front."""

import gc
import os
from pathlib import Path

import bentoml
import torch
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from serving import quality
from serving.app import build
from serving.auth import ApiKeys, read_keys
from serving.batching import Batcher
from serving.catalogue import Catalogue
from serving.connections import bound_connections
from serving.front import HEALTH, METRICS, InFront
from serving.hall import Hall
from serving.limits import JsonBodies, SlowReaders
from serving.settings import Settings
from skygen.provenance import choose_device

SETTINGS = Settings.of_environment()
APP = build(SETTINGS)
bound_connections(SETTINGS.head_seconds)  # here: uvicorn chooses its protocol before it starts the service
FREE_OF_KEYS = ("/", "/page/", *HEALTH)


def bundles_folder() -> Path:
    """Where the bundles are: the folder that SKYGEN_BUNDLES names, else `bundles` beside this package in the Bento."""
    return SETTINGS.bundles or Path(__file__).parent.parent / "bundles"


def load(device: torch.device) -> Catalogue:
    """The catalogue that is served; raises as `Catalogue.load`."""
    return Catalogue.load(bundles_folder(), device, SETTINGS.engine)


def guarded(app: ASGIApp) -> ASGIApp:
    """`app` behind its limits: keys, bodies, and pages of other sites, as the settings say."""
    keys = read_keys(SETTINGS.api_keys, SETTINGS.api_keys_file)
    if SETTINGS.metrics == "keys" and not keys:
        raise ValueError("SKYGEN_METRICS is keys, but there are none; set SKYGEN_API_KEYS or SKYGEN_API_KEYS_FILE")
    free = FREE_OF_KEYS if SETTINGS.metrics == "keys" else (*FREE_OF_KEYS, METRICS)
    guarded: ASGIApp = JsonBodies(SlowReaders(app), seconds=SETTINGS.body_seconds)
    guarded = ApiKeys(guarded, keys, free) if keys else guarded
    if SETTINGS.cors_origins:
        guarded = CORSMiddleware(
            guarded,
            allow_origins=SETTINGS.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type"],
            expose_headers=["ETag", "Retry-After", "X-Skygen-Model", "X-Skygen-Recipe", "X-Skygen-Engine"],
        )
    return guarded


@bentoml.service(
    name="skygen",
    workers=SETTINGS.workers,
    resources={"gpu": 1} if torch.cuda.is_available() and choose_device().type == "cuda" else {},
)
class Skygen:
    """Synthetic tiles of the SDSS sky in nanomaggies: the same seed gives the same tile, bit for bit."""

    def __init__(self) -> None:
        catalogue = load(choose_device())
        self.watch = quality.start(catalogue)
        threads = SETTINGS.threads or len(os.sched_getaffinity(0))
        self.batcher = Batcher(threads, SETTINGS.queue_tiles)
        is_open = not read_keys(SETTINGS.api_keys, SETTINGS.api_keys_file)
        APP.state.hall = Hall(catalogue, self.batcher, SETTINGS.timeout_seconds, is_open)
        gc.collect()
        gc.freeze()  # what is loaded stays: to search all of it for garbage would halt every request for 0.15 s

    @bentoml.on_deployment  # type: ignore[untyped-decorator]
    @staticmethod
    def require_bundles() -> None:
        """End the command with the reason where the bundles cannot be loaded; a worker that fails leaves it waiting."""
        try:
            load(torch.device("cpu"))
            guarded(APP)
        except (OSError, ValueError) as error:
            raise SystemExit(f"nothing to serve: {error}") from None

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    def finish(self) -> None:
        """Draw what is still wanted, and end."""
        self.batcher.close()
        self.watch.stop()

    def __is_ready__(self) -> bool:
        return hasattr(APP.state, "hall")


Skygen.add_asgi_middleware(InFront, front=APP, guard=guarded, has_metrics=SETTINGS.metrics != "off")  # type: ignore[attr-defined]  # the decorator made the class a Service
