"""Tiles as HTTP responses: the bytes of each format, their type and what they came from."""

from collections.abc import Callable, Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from fastapi import Response
from numpy.typing import NDArray

import skygen
from serving.monitoring.metrics import ENCODING_SECONDS, SKY_PIXELS, TILES
from serving.requests import CatalogueChoice
from skygen.bundle.bundle import Bundle
from skygen.bundle.tile import Rectangle, Tile
from skygen.formats.catalogue import catalogue, truth_table
from skygen.formats.encode import MEDIA_TYPES, Format, encode
from skygen.formats.npy import to_npy
from skygen.formats.origin import Origin, Truth

IMMUTABLE, ASK_AGAIN = "max-age=31536000, immutable", "no-cache"


def encoder(bundle: Bundle, tiles: Sequence[Tile], name: Format) -> Callable[..., bytes]:
    """What makes the bytes of `tiles` in a format from their flux [n, bands, H, W] in nmgy, and counts it.

    In FITS there is room for their truths, too.
    """
    card = bundle.card

    def encoded(flux: NDArray[np.float32], truths: Sequence[Truth] | None = None) -> bytes:
        with ENCODING_SECONDS.labels(card.tiles, name).time():
            content = encode(flux, name, bundle.origin(tiles), truths)
        TILES.labels(card.tiles, card.recipe, name).inc(len(tiles))
        return content

    return encoded


def tiles_response(
    content: bytes, bundle: Bundle, tiles: Sequence[Tile], name: Format, media_type: str | None = None
) -> Response:
    """The response that carries `tiles` in the format `name`, under its media type or another of its names."""
    return file_response(content, bundle, media_type or MEDIA_TYPES[name], f"{said_of(tiles)}.{name}")


def sky_encoder(bundle: Bundle, rectangle: Rectangle, name: Format) -> Callable[[Any, list[Truth]], bytes]:
    """What makes the bytes of a rectangle in a format from its flux [bands, H, W] and its truth, if any."""
    card = bundle.card

    def encoded(flux: NDArray[np.float32], truths: list[Truth]) -> bytes:
        with ENCODING_SECONDS.labels(card.tiles, name).time():
            if name == "npy":
                content = to_npy(flux)
            else:
                content = encode(flux[None], name, bundle.sky_origin(rectangle), truths or None)
        SKY_PIXELS.labels(card.tiles, card.recipe, name).inc(flux.size)
        return content

    return encoded


def catalogue_of(truths: Sequence[Truth], origin: Origin, name: CatalogueChoice) -> bytes:
    """The bytes of a catalogue; as JSON it is `meta`, where it comes from, and `columns`, each a list."""
    if name != "json":
        return catalogue(truths, origin, name)
    table = truth_table(truths, origin)
    columns = {column.name: column.tolist() for column in table.itercols()}
    units = {column.name: str(column.unit) for column in table.itercols() if column.unit is not None}
    return orjson.dumps({"meta": dict(table.meta), "units": units, "columns": columns})


def file_response(content: bytes, bundle: Bundle, media_type: str, name: str) -> Response:
    """The response that carries a file `skygen-SET-RECIPE-name`."""
    card = bundle.card
    shown = "inline" if name.rpartition(".")[2] in ("png", "json") else "attachment"
    headers = {
        "Content-Disposition": f'{shown}; filename="skygen-{card.tiles}-{card.recipe}-{name}"',
        "X-Skygen-Model": bundle.sha256,
        "X-Skygen-Recipe": card.recipe,
        "X-Skygen-Engine": bundle.engine,
    }
    return Response(content, media_type=media_type, headers=headers)


def said_of_sky(rectangle: Rectangle) -> str:
    """Which rectangle, in a file's name."""
    return f"{rectangle.seed}-at{rectangle.x:+d}{rectangle.y:+d}-{rectangle.width}x{rectangle.height}"


def etag(bundle: Bundle, tile: Tile, name: str) -> str:
    """The entity tag of one tile's file: another tile, bundle, engine, device, format or release has another."""
    said = (_release(), bundle.sha256, bundle.engine, bundle.device, tile, name)
    return f'"{sha256(repr(said).encode()).hexdigest()[:32]}"'


def said_of(tiles: Sequence[Tile]) -> str:
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
