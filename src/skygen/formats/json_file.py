"""Tiles as JSON: for a web page or a first look; npy and FITS are smaller and faster."""

import numpy as np
import orjson
from numpy.typing import NDArray

from skygen.formats.origin import Origin


def to_json(tiles: NDArray[np.float32], origin: Origin) -> bytes:
    """The JSON object of tiles `[N, bands, H, W]` in nmgy: where they come from, and `data` as nested lists.

    orjson writes an array tens of times faster than json, and each float32 in the shortest form that gives it back.
    Raises `ValueError` where a pixel is not finite, since JSON has neither NaN nor infinity.
    """
    if not np.isfinite(tiles).all():
        raise ValueError(
            f"a tile of seed {origin.seed} of model {origin.model_sha256} is not finite; JSON cannot hold it"
        )
    content = {
        "tiles": origin.tiles,
        "seed": origin.seed,
        "bands": list(origin.bands),
        "unit": "nanomaggy",
        "pixel_scale_arcsec": origin.pixel_scale_arcsec,
        "noise": origin.noise,
        "seeing": origin.seeing,
        "model": {"recipe": origin.recipe, "sha256": origin.model_sha256},
        "data": np.ascontiguousarray(tiles),
    }
    return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
