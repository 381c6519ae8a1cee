"""The BentoML service `skygen`: loads the bundles, starts the threads that draw, and has our app answer."""

import gc
import os
import sys
from pathlib import Path

import bentoml
import torch
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from serving import command
from serving.app import build
from serving.batching import Batcher
from serving.bundles import ServedBundles
from serving.drawing import Drawing
from serving.http.auth import ApiKeys, Keyring
from serving.http.connections import bound_connections
from serving.http.instrumentation import AccessLog, Instrumented
from serving.http.limits import JsonBodies, SlowReaders
from serving.http.mount import HeadAsGet, Mount, Ours
from serving.monitoring import watch
from serving.monitoring.build import announce
from serving.monitoring.health import PATHS as HEALTH
from serving.monitoring.health import Health
from serving.settings import Settings
from skygen.bundle.engines import choose_engine
from skygen.cores import cores
from skygen.provenance import choose_device

SETTINGS = Settings.of_environment()
APP, OURS, LOG = build(SETTINGS), Ours(), AccessLog(sys.stdout)
OF_TILES = ("Model", "Recipe", "Engine")
FREE_OF_KEYS = ("/", "/page/", *HEALTH)
LATEST_SECONDS = SETTINGS.body_seconds + SETTINGS.timeout_seconds + 10  # for an answer to begin: ours come before
try:  # here: uvicorn chooses its protocol before it starts the service
    bound_connections(SETTINGS.head_seconds)
except RuntimeError as error:
    raise SystemExit(f"nothing to serve: {error}") from None


def bundles_folder() -> Path:
    """Where the bundles are: the folder that SKYGEN_BUNDLES names, else `bundles` beside this package in the Bento."""
    return (SETTINGS.bundles or Path(__file__).parent.parent / "bundles").absolute()


def load(device: torch.device) -> ServedBundles:
    """The catalogue that is served; raises as `ServedBundles.load`."""
    return ServedBundles.load(bundles_folder(), device, SETTINGS.engine)


def device() -> torch.device:
    """The device that draws; raises `ValueError` where there is no such one, or the settings ask too much of it."""
    chosen = choose_device()
    choose_engine(chosen, SETTINGS.engine)
    if chosen.type != "cpu" and SETTINGS.workers > 1:
        raise ValueError(
            f"SKYGEN_WORKERS is {SETTINGS.workers}, all of which would draw on one GPU; it must be 1 there: run a "
            "service for each GPU, with a CUDA_VISIBLE_DEVICES of its own"
        )
    return chosen


def guarded(app: ASGIApp) -> ASGIApp:
    """`app` behind its limits: keys, bodies, and pages of other sites, as the settings say; raises as `Keyring`."""
    keys = Keyring(SETTINGS.api_keys, SETTINGS.api_keys_file)
    APP.state.is_open = not keys
    if SETTINGS.metrics == "keys" and not keys:
        raise ValueError("SKYGEN_METRICS is keys, but there are none; set SKYGEN_API_KEYS or SKYGEN_API_KEYS_FILE")
    free = (*FREE_OF_KEYS, "/metrics") if SETTINGS.metrics == "open" else FREE_OF_KEYS
    guarded: ASGIApp = JsonBodies(SlowReaders(HeadAsGet(app)), seconds=SETTINGS.body_seconds)
    guarded = ApiKeys(guarded, keys, free) if keys else guarded
    if SETTINGS.cors_origins:
        guarded = CORSMiddleware(
            guarded,
            allow_origins=SETTINGS.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type"],
            expose_headers=[
                "ETag",
                "Retry-After",
                "X-Request-ID",
                "X-Skygen-Model",
                "X-Skygen-Recipe",
                "X-Skygen-Engine",
            ],
        )
    return Instrumented(guarded, APP.routes, LOG if SETTINGS.access_log == "on" else None)


def _draws_on_gpu() -> bool:
    """Whether a GPU is to be reserved; a wrong setting is judged later, where there is somebody to tell."""
    return torch.cuda.is_available() and os.environ.get("SKYGEN_DEVICE") != "cpu"


# Our own metrics, log and deadlines stand in for BentoML's, which cost several times the rest of a small request and
# label their series with whatever path is asked for (docs/design.md, Service).
@bentoml.service(
    name="skygen",
    workers=SETTINGS.workers,
    resources={"gpu": 1} if _draws_on_gpu() else {},
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
    tracing={"excluded_urls": ".*"},
    traffic={"timeout": LATEST_SECONDS},
)
class Skygen:
    """Synthetic tiles of the SDSS sky in nanomaggies: the same seed gives the same tile, bit for bit."""

    def __init__(self) -> None:
        try:
            self._start()
        except Exception as error:
            command.end(f"nothing to serve: {error}")
        command.serves()

    def _start(self) -> None:
        catalogue, health = load(device()), Health()
        OURS.app = guarded(APP)
        announce(SETTINGS)
        self.watch = watch.start(catalogue, health)
        threads = SETTINGS.threads or cores()
        self.batcher = Batcher(threads, SETTINGS.queue_tiles, health)
        APP.state.health = health
        APP.state.drawing = Drawing(catalogue, self.batcher, SETTINGS.timeout_seconds, APP.state.is_open)
        gc.collect()
        gc.freeze()  # what is loaded stays: to search all of it for garbage would halt every request for 0.15 s

    @bentoml.on_deployment  # type: ignore[untyped-decorator]
    @staticmethod
    def check_settings() -> None:
        """End the command with the reason where a setting cannot be honoured, before there is a worker; else lead."""
        try:
            device()
            load(torch.device("cpu"))
            guarded(APP)
        except (OSError, ValueError) as error:
            raise SystemExit(f"nothing to serve: {error}") from None
        SETTINGS.export()
        command.lead()

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    def finish(self) -> None:
        """Draw what is still wanted, and end."""
        self.batcher.close()
        self.watch.stop()
        LOG.flush()


Skygen.add_asgi_middleware(Mount, ours=OURS)  # type: ignore[attr-defined]  # the decorator made the class a Service
