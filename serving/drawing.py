"""Where requests meet generators: drawing with a deadline, for as long as somebody waits for it."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from fastapi import Request
from numpy.typing import NDArray
from starlette.exceptions import HTTPException
from starlette.types import Receive

from serving.batching import Batcher
from serving.bundles import ServedBundles, check
from serving.http.instrumentation import LEFT
from serving.http.negotiation import choose_format
from serving.monitoring.metrics import REJECTED
from skygen.bundle.bundle import Bundle
from skygen.bundle.tile import Tile
from skygen.formats.encode import MEDIA_TYPES, Format

T = TypeVar("T")


@dataclass(frozen=True)
class Drawing:
    """The loaded bundles, the threads that draw, the seconds that an answer may take, and whether all may have it."""

    catalogue: ServedBundles
    batcher: Batcher
    timeout: float
    is_open: bool  # without keys: a cache may give an answer to another client

    async def draw(
        self,
        request: Request,
        bundle: Bundle,
        tiles: Sequence[Tile],
        finish: Callable[[NDArray[np.float32]], T],
    ) -> T:
        """`finish` of the flux of `tiles` [n, bands, H, W] in nmgy.

        Ends with 504 past the deadline and with 499 where the client leaves; what has not begun is then not drawn.
        Raises `RequestError` where the bundle cannot draw such tiles, and `QueueFullError`.
        """
        check(bundle, tiles)
        return await self._wait(request, self.batcher.draw(bundle, tiles, finish))

    async def run(
        self,
        request: Request,
        bundle: Bundle,
        pieces: Sequence[Callable[[], Any]],
        weight: int,
        finish: Callable[[list[Any]], T],
    ) -> T:
        """`finish` of what `pieces` of work for a bundle give, each worth `weight` tiles; ends as `draw` does."""
        return await self._wait(request, self.batcher.run(bundle, pieces, weight, finish))

    async def _wait(self, request: Request, answer: Coroutine[Any, Any, T]) -> T:
        drawing = asyncio.ensure_future(answer)
        leaving = asyncio.ensure_future(_left(request.receive))
        try:
            await asyncio.wait({drawing, leaving}, timeout=self.timeout, return_when=asyncio.FIRST_COMPLETED)
            if drawing.done():
                return drawing.result()
            reason = "disconnected" if leaving.done() else "deadline"
        finally:
            for task in (drawing, leaving):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await task
        REJECTED.labels(reason).inc()
        if reason == "disconnected":
            raise HTTPException(LEFT, "the client left")
        raise HTTPException(504, f"not done within {self.timeout:g} s; ask for fewer tiles, or again later")


async def _left(receive: Receive) -> None:
    """Wait until the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


def drawing_of(request: Request) -> Drawing:
    """Of the app that a request is for."""
    drawing: Drawing = request.app.state.drawing
    return drawing


def chosen_format(request: Request, asked: Format | None) -> tuple[Format, str]:
    """The format that is asked for, by name or by Accept, and its media type; ends with 406 where there is none."""
    named = (asked, MEDIA_TYPES[asked]) if asked else None
    chosen = named or choose_format(", ".join(request.headers.getlist("accept")))
    if chosen is None:
        raise HTTPException(406, f"there is {', '.join(MEDIA_TYPES.values())}; ask for one of them by Accept or format")
    return chosen
