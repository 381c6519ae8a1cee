"""Whether a worker can draw, told by how its passes end; and the routes that say so, and what is counted."""

import asyncio
import time
from threading import Lock
from typing import Final

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.exceptions import HTTPException

from serving.monitoring import metrics
from skygen.bundle.bundle import Bundle

FAILURES: Final = 3  # passes in a row, of requests or canaries, after which a worker is not ready
DEAD_SECONDS: Final = 30.0  # of that, after which it is not alive: a device that failed comes back with a new process
HUNG_SECONDS: Final = 60.0  # for a canary, which takes milliseconds
PATHS: Final = ("/livez", "/readyz", "/healthz")


class Health:
    """The state of a worker's device, as passes and canaries find it. Safe from any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._failures = 0
        self._ill_since: float | None = None
        self._canary_since: float | None = None
        metrics.READY.set(1)

    def passed(self) -> None:
        """Note that a pass was drawn."""
        with self._lock:
            if self._failures:
                self._failures, self._ill_since = 0, None
                metrics.READY.set(1)

    def failed(self, bundle: Bundle, kind: str) -> None:
        """Note that a pass of `bundle` raised an exception; `kind` is request or canary."""
        metrics.FAILED_PASSES.labels(bundle.card.tiles, bundle.card.recipe, kind).inc()
        with self._lock:
            self._failures += 1
            if self._failures >= FAILURES and self._ill_since is None:
                self._ill_since = time.monotonic()
                metrics.READY.set(0)

    def canary_begins(self) -> None:
        """Note that a canary is drawn from now on: a device may also hang."""
        self._canary_since = time.monotonic()

    def canary_ends(self) -> None:
        """Note that it is done, however it ended."""
        self._canary_since = None

    def ill_seconds(self) -> float:
        """For how long the worker has not been ready; 0 where it is."""
        now, since, canary_since = time.monotonic(), self._ill_since, self._canary_since
        failing = 0.0 if since is None else max(now - since, 1e-9)
        hanging = 0.0 if canary_since is None else now - canary_since - HUNG_SECONDS
        return max(failing, hanging, 0.0)


def router(has_metrics: bool) -> APIRouter:
    """The routes of health, and /metrics."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/healthz")
    @routes.get("/livez")
    async def livez(request: Request) -> Response:
        if _ill_seconds(request) > DEAD_SECONDS:
            raise HTTPException(503, "the device fails: replace this worker")
        return Response("\n", media_type="text/plain")

    @routes.get("/readyz")
    async def readyz(request: Request) -> Response:
        if not hasattr(request.app.state, "drawing"):
            raise HTTPException(503, "the bundles are being loaded")
        if _ill_seconds(request) > 0:
            raise HTTPException(503, "the device fails: the last passes could not be drawn")
        return Response("\n", media_type="text/plain")

    if has_metrics:

        @routes.get("/metrics")
        async def counted() -> Response:
            return Response(await asyncio.to_thread(_exposition), media_type=CONTENT_TYPE_LATEST)

    return routes


def _ill_seconds(request: Request) -> float:
    health: Health | None = getattr(request.app.state, "health", None)
    return 0.0 if health is None else health.ill_seconds()


def _exposition() -> bytes:
    """The metrics of all workers, in Prometheus's text format."""
    if not metrics.folder():
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
