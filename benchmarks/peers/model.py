"""What every peer serves: the bundles of a folder, and a request's tiles as npy or PNG, as one writes it by hand."""

import io
import os
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel

from skygen.bundle.bundle import Bundle
from skygen.formats.png import to_image8

BUNDLES = "PEER_BUNDLES"  # environment variable: a folder that holds SET/scene
MEDIA_TYPES = {"npy": "application/x-npy", "png": "image/png"}
Engine = Literal["auto", "eager"]


class Ask(BaseModel):
    """The body of a request: which tiles, as what, and by which engine; auto is the one of our own service."""

    tiles: str
    n: int = 1
    seed: int = 0
    format: Literal["npy", "png"] = "png"
    engine: Engine = "auto"


@cache
def bundle_of(tiles: str, engine: Engine = "auto") -> Bundle:
    """The bundle of a tile set."""
    return Bundle.load(Path(os.environ[BUNDLES]) / tiles / "scene", "cpu", engine=engine)


def file_of(flux: NDArray[np.float32], ask: Ask) -> bytes:
    """Tiles `[n, bands, H, W]` as a file: numpy's own, or Pillow's as it writes by default, tiles below each other."""
    stream = io.BytesIO()
    if ask.format == "npy":
        np.save(stream, flux)
    else:
        pictures = to_image8(flux, bundle_of(ask.tiles).card.bands)
        Image.fromarray(np.concatenate(list(pictures))).save(stream, format="PNG")
    return stream.getvalue()
