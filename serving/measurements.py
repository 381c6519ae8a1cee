"""What is measured of one tile, for who looks at it: flux histogram, sky noise, sources."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skygen.measure import sources
from skygen.sky.noise import sky_noise

BINS = 48
SOFTENING_NMGY = 0.05  # about the sky noise: bins are equal below it, and grow with flux above
RANGE_NMGY = (-0.3, 30.0)


def measure_tile(flux: NDArray[np.float32], bands: Sequence[str], pixel_scale_arcsec: float) -> dict[str, Any]:
    """The numbers of a tile [bands, H, W] in nmgy, ready for JSON.

    The histogram's edges [49] are equal in asinh(flux / 0.05 nmgy); flux beyond the ends counts in the last bins.
    Sources are found in r at a signal-to-noise ratio of 10 at least; positions are 0-based, in px from the bottom left.
    """
    low, high = np.arcsinh(np.array(RANGE_NMGY) / SOFTENING_NMGY)
    edges = np.sinh(np.linspace(low, high, BINS + 1)) * SOFTENING_NMGY
    edges[[0, -1]] = RANGE_NMGY  # exactly, so that none falls out
    planes = dict(zip(bands, flux, strict=True))
    counts = {band: np.histogram(np.clip(plane, *RANGE_NMGY), edges)[0].tolist() for band, plane in planes.items()}
    found = sources.measure(flux, bands)
    names = {"half_light_radius": "half_light_radius_px"}
    rows = zip(*(values.tolist() for values in found.values()), strict=True)
    keys = [names.get(name, name) for name in found]
    return {
        "unit": "nanomaggy",
        "bands": list(bands),
        "pixel_scale_arcsec": pixel_scale_arcsec,
        "flux": {"edges": edges.tolist(), "counts": counts},
        "sky_noise_nmgy": {band: float(sky_noise(plane)) for band, plane in planes.items()},
        "sources": [dict(zip(keys, row, strict=True)) for row in rows],
    }
