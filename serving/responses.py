"""Tiles as HTTP responses: the bytes of each format, their type and what they came from."""

from collections.abc import Callable, Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path

import numpy as np
from fastapi import Response
from numpy.typing import NDArray

import skygen
from serving.monitoring.metrics import ENCODING_SECONDS, TILES
from skygen.bundle.bundle import Bundle
from skygen.bundle.tile import Tile
from skygen.formats.encode import MEDIA_TYPES, Format, encode

IMMUTABLE, ASK_AGAIN = "max-age=31536000, immutable", "no-cache"


def encoder(bundle: Bundle, tiles: Sequence[Tile], name: Format) -> Callable[[NDArray[np.float32]], bytes]:
    """What makes the bytes of `tiles` in a format from their flux [n, bands, H, W] in nmgy, and counts it."""
    card = bundle.card

    def encoded(flux: NDArray[np.float32]) -> bytes:
        with ENCODING_SECONDS.labels(card.tiles, name).time():
            content = encode(flux, name, bundle.origin(tiles))
        TILES.labels(card.tiles, card.recipe, name).inc(len(tiles))
        return content

    return encoded


def tiles_response(
    content: bytes, bundle: Bundle, tiles: Sequence[Tile], name: Format, media_type: str | None = None
) -> Response:
    """The response that carries `tiles` in the format `name`, under its media type or another of its names."""
    card = bundle.card
    file = f"skygen-{card.tiles}-{card.recipe}-{_said(tiles)}.{name}"
    disposition = "attachment" if name in ("npy", "fits") else "inline"
    headers = {
        "Content-Disposition": f'{disposition}; filename="{file}"',
        "X-Skygen-Model": bundle.sha256,
        "X-Skygen-Recipe": card.recipe,
        "X-Skygen-Engine": bundle.engine,
    }
    return Response(content, media_type=media_type or MEDIA_TYPES[name], headers=headers)


def etag(bundle: Bundle, tile: Tile, name: Format) -> str:
    """The entity tag of one tile's file: another tile, bundle, engine, device, format or release has another."""
    said = (_release(), bundle.sha256, bundle.engine, bundle.device, tile, name)
    return f'"{sha256(repr(said).encode()).hexdigest()[:32]}"'


def _said(tiles: Sequence[Tile]) -> str:
    """Which tiles, in a file's name: the seed and the first and last index, or both ends of a walk."""
    first, last = tiles[0], tiles[-1]
    if first.towards is not None:
        return f"{first.seed}-{first.index}-to-{first.towards[0]}-{len(tiles)}"
    return f"{first.seed}-{first.index}" + (f"-{last.index}" if len(tiles) > 1 else "")


@cache
def _release() -> str:
    """The hash of the code that draws, measures and writes tiles."""
    folders = (Path(skygen.__file__).parent, Path(__file__).parent)
    return sha256(
        b"".join(path.read_bytes() for folder in folders for path in sorted(folder.rglob("*.py")))
    ).hexdigest()
