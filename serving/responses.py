"""Tiles as HTTP responses: the bytes of each format, their type and what they came from."""

import numpy as np
from numpy.typing import NDArray
from starlette.responses import Response

from serving.requests import GenerateRequest
from skygen.bundle import Bundle
from skygen.formats.encode import MEDIA_TYPES, encode
from skygen.formats.origin import Origin


def tiles_response(tiles: NDArray[np.float32], bundle: Bundle, request: GenerateRequest) -> Response:
    """The response that carries tiles `[n, bands, H, W]` in nmgy in the format asked for."""
    card = bundle.card
    sky = bundle.conditions(request.seed, request.n, noise=request.noise, seeing=request.seeing)
    origin = Origin(
        tiles=card.tiles,
        recipe=card.recipe,
        model_sha256=bundle.sha256,
        seed=request.seed,
        noise=request.noise,
        seeing=request.seeing,
        bands=card.bands,
        pixel_scale_arcsec=card.pixel_scale_arcsec,
        sky_noise_nmgy=None if sky is None else sky.sky_noise_nmgy.numpy(),
    )
    name = f"skygen-{card.tiles}-{card.recipe}-{request.seed}-{request.n}.{request.format}"
    disposition = "attachment" if request.format in ("npy", "fits") else "inline"
    headers = {
        "Content-Disposition": f'{disposition}; filename="{name}"',
        "X-Skygen-Model": bundle.sha256,
        "X-Skygen-Recipe": card.recipe,
    }
    return Response(encode(tiles, request.format, origin), media_type=MEDIA_TYPES[request.format], headers=headers)
