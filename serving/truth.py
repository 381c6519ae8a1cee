"""Truths and skies beside other requests: as pieces of work, so that none holds a thread for long."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from fastapi import Request
from numpy.typing import NDArray

from serving.drawing import Drawing
from serving.monitoring import quality
from serving.requests import MAX_TRUTH_PX, MAX_TRUTHS, RequestError
from serving.responses import encoder, sky_encoder
from skygen.bundle.bundle import Bundle
from skygen.bundle.tile import Rectangle, Tile
from skygen.formats.encode import Format
from skygen.formats.origin import Truth

WEIGHT = 5  # tiles that could be drawn in the time in which the objects of one are measured


def check_truth(truth: bool, name: Format, tiles: int, sides_px: int = 0) -> None:
    """Raise `RequestError` where a file cannot hold the truth that is asked for, or it is too much."""
    if truth and name != "fits":
        raise RequestError("truth", f"a table of objects is for FITS, not for {name}; ask /v1/catalogue for it")
    if truth and tiles > MAX_TRUTHS:
        raise RequestError("truth", f"at most {MAX_TRUTHS} tiles come with their objects; ask several times")
    if truth and sides_px > MAX_TRUTH_PX:
        raise RequestError("truth", f"sides of at most {MAX_TRUTH_PX} px come with their objects; ask for parts")


async def draw_tiles(
    drawing: Drawing, request: Request, bundle: Bundle, tiles: Sequence[Tile], name: Format, truth: bool
) -> bytes:
    """The bytes of tiles in a format, with their truths if asked; ends as `Drawing.draw` does."""
    encoded = encoder(bundle, tiles, name)
    if not truth:
        return await drawing.draw(request, bundle, tiles, encoded)

    def both(tile: Tile) -> tuple[NDArray[np.float32], Truth]:
        flux = bundle.draw([tile])
        _refuse_bad(flux, bundle)
        return flux, bundle.truth([tile])[0]

    def finish(found: list[Any]) -> bytes:
        flux, truths = zip(*found, strict=True)
        return encoded(np.concatenate(flux), truths)

    return await drawing.run(request, bundle, [partial(both, tile) for tile in tiles], 1 + WEIGHT, finish)


async def find_objects(
    drawing: Drawing,
    request: Request,
    bundle: Bundle,
    tiles: Sequence[Tile],
    min_snr: float,
    finish: Callable[[list[Truth]], bytes],
) -> bytes:
    """`finish` of the truths of tiles; ends as `Drawing.draw` does."""
    pieces = [partial(lambda tile: bundle.truth([tile], min_snr)[0], tile) for tile in tiles]
    return await drawing.run(request, bundle, pieces, WEIGHT, finish)


async def draw_sky(
    drawing: Drawing, request: Request, bundle: Bundle, rectangle: Rectangle, name: Format, truth: bool
) -> bytes:
    """The bytes of a rectangle in a format, with its truth if asked; ends as `Drawing.draw` does."""
    squares = rectangle.squares()
    encoded = sky_encoder(bundle, rectangle, name)

    def part(square: Rectangle) -> NDArray[np.float32]:
        flux = bundle.sky(square)
        _refuse_bad(flux[None], bundle)
        return flux

    def finish(found: list[Any]) -> bytes:
        flux = np.empty((len(bundle.card.bands), rectangle.height, rectangle.width), np.float32)
        for square, drawn in zip(squares, found[: len(squares)], strict=True):
            top, left = square.y - rectangle.y, square.x - rectangle.x
            flux[:, top : top + square.height, left : left + square.width] = drawn
        return encoded(flux, found[len(squares) :])

    pieces: list[Callable[[], Any]] = [partial(part, square) for square in squares]
    pieces += [partial(bundle.sky_truth, rectangle)] if truth else []
    return await drawing.run(request, bundle, pieces, _weight(bundle, squares[0]), finish)


async def find_sky_objects(
    drawing: Drawing,
    request: Request,
    bundle: Bundle,
    rectangle: Rectangle,
    min_snr: float,
    finish: Callable[[list[Truth]], bytes],
) -> bytes:
    """`finish` of the truth of a rectangle; ends as `Drawing.draw` does."""
    weight = WEIGHT * _weight(bundle, rectangle)
    return await drawing.run(request, bundle, [partial(bundle.sky_truth, rectangle, min_snr)], weight, finish)


def _weight(bundle: Bundle, rectangle: Rectangle) -> int:
    """How many tiles a rectangle is as large as."""
    return math.ceil(rectangle.width * rectangle.height / bundle.card.size**2)


def _refuse_bad(flux: NDArray[np.float32], bundle: Bundle) -> None:
    if quality.count(flux, bundle):
        raise ValueError(f"tiles of {bundle.sha256} hold pixels that are no numbers")
