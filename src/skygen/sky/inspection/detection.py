"""Sources in an image, found and measured by SExtractor's method (Bertin & Arnouts 1996; `sep`, Barbary 2016)."""

import numpy as np
import sep
from numpy.typing import NDArray

SOURCE = np.dtype(
    [
        ("x", "f8"),
        ("y", "f8"),
        ("flux_nmgy", "f8"),
        ("half_light_radius_px", "f8"),
        ("ellipticity", "f8"),
        ("snr", "f8"),
    ]
)
THRESHOLD_SIGMA = 1.5  # of a pixel, in units of the sky noise
MIN_AREA_PX = 5
_KERNEL = np.array([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]])
TOTAL_RADIUS_PX = 12.0  # of the aperture for total flux
_SNR_RADIUS_PX = 3.5  # of the aperture for the signal-to-noise ratio: about one seeing disc


def detect(image: NDArray[np.floating], noise: float, snr: float) -> NDArray[np.void]:
    """The sources of `image` [H, W] (nmgy, sky-subtracted) whose signal-to-noise ratio is at least `snr`.

    `noise` is the sky noise of a pixel in nmgy. Returns a structured array [sources] of type `SOURCE`: 0-based x and
    y, flux within 12 px in nmgy, the radius that holds half of it, ellipticity 1 - b/a, and the ratio of flux to sky
    noise within 3.5 px. Empty where nothing is found; raises `ValueError` where `noise` is not positive.
    """
    if not noise > 0:
        raise ValueError(f"the sky noise is {noise}; it must be a positive number of nmgy")
    pixels = np.ascontiguousarray(image, dtype=np.float64)
    found, _ = extract(pixels, noise)
    aperture_flux, error, _ = sep.sum_circle(pixels, found["x"], found["y"], _SNR_RADIUS_PX, err=noise)
    found, ratio = found[aperture_flux >= snr * error], (aperture_flux / error)[aperture_flux >= snr * error]
    sources = np.zeros(len(found), dtype=SOURCE)
    sources["x"], sources["y"], sources["snr"] = found["x"], found["y"], ratio
    sources["ellipticity"] = 1 - found["b"] / np.maximum(found["a"], 1e-9)
    sources["flux_nmgy"], _, _ = sep.sum_circle(pixels, found["x"], found["y"], TOTAL_RADIUS_PX)
    largest = np.full(len(found), TOTAL_RADIUS_PX)
    sources["half_light_radius_px"], _ = sep.flux_radius(pixels, found["x"], found["y"], largest, 0.5, subpix=5)
    return sources


def extract(pixels: NDArray[np.float64], noise: float) -> tuple[NDArray[np.void], NDArray[np.int32]]:
    """All that stands out of the noise of `pixels` [H, W], in the words of `sep`, and whose each pixel is."""
    return sep.extract(  # type: ignore[no-any-return]
        pixels,
        THRESHOLD_SIGMA,
        err=noise,
        minarea=MIN_AREA_PX,
        filter_kernel=_KERNEL,
        deblend_cont=0.005,
        segmentation_map=True,
    )
