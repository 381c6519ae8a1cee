"""What is measured of a single tile: the targets by which the encoder learns to see.

Not metrics: they need not be right one by one, but between them tell what an astronomer would look at.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import avg_pool2d

from skygen.measure import sources
from skygen.measure.pixels import STRETCH
from skygen.sky.noise import sky_noise

RING_EDGES = (0.012, 0.04, 0.08, 0.14, 0.22, 0.32, 0.42, 0.5, 0.6, 0.75)  # cycles a px, the corners of the plane too
QUANTILES = (0.01, 0.16, 0.5, 0.84, 0.95, 0.99, 0.997, 1.0)  # of the pixels, the last their maximum
_FAINTEST_POWER, _FAINTEST_NMGY, _TOTAL_NMGY, _CORE_PX = 1e-12, 1e-3, 5.0, 5


def names(bands: Sequence[str]) -> list[str]:
    """The properties, in the order of `measure`'s columns: those of a band for each of `bands`, then the sources'."""
    of_bands = [
        *(f"power.{band}.{low}" for band in bands for low in RING_EDGES[:-1]),
        *(f"sky_noise.{band}" for band in bands),
        *(f"quantile.{band}.{share}" for band in bands for share in QUANTILES),
        *(f"flux.{band}" for band in bands),
        *(f"concentration.{band}" for band in bands),
        *(f"psf.{band}" for band in bands),
    ]
    return [*of_bands, "number", *(f"brightest.{name}" for name in sources.quantities(bands)), "second.magnitude"]


def measure(tiles: torch.Tensor, psf_fwhm_px: torch.Tensor, bands: Sequence[str]) -> NDArray[np.float32]:
    """The properties of `tiles` [N, bands, H, W] in nmgy, [N, properties]; NaN where a tile lacks the source for one.

    `psf_fwhm_px` [N, bands] is the PSF under which a tile was taken, as the stars of its field have it.

    A band's: log power in rings of spatial frequency, log sky noise, quantiles (these two under the fixed stretch),
    asinh of all flux, log of how much of its peak the brightest place keeps over 5 x 5 px, and log of the PSF. The
    sources': log of one more than their number, all that is measured of the brightest, the magnitude of the second.
    """
    flux, stretched = tiles.numpy(), STRETCH.stretch(tiles)
    power = torch.fft.rfft2(stretched, norm="ortho").abs().square().flatten(2) @ _rings(tiles.shape[-1])
    noise = np.log(np.maximum(sky_noise(flux[..., ::2, ::2]), _FAINTEST_NMGY))
    ordered = stretched.flatten(2).sort(-1).values
    ranks = [round(share * (ordered.shape[-1] - 1)) for share in QUANTILES]
    peak, core = (_log(image.amax((2, 3)).numpy()) for image in (tiles, avg_pool2d(tiles, _CORE_PX, 1, _CORE_PX // 2)))
    columns = [
        power.clamp(min=_FAINTEST_POWER).log().flatten(1).numpy(),
        noise,
        ordered[..., ranks].flatten(1).numpy(),
        np.arcsinh(flux.sum((2, 3)) / _TOTAL_NMGY),
        core - peak,
        psf_fwhm_px.log().numpy(),
        _of_sources(sources.describe(flux, bands)),
    ]
    return np.concatenate(columns, axis=1).astype(np.float32)


def _log(nmgy: NDArray[np.floating]) -> NDArray[np.floating]:
    return np.asarray(np.log(np.maximum(nmgy, _FAINTEST_NMGY)))


def _of_sources(catalogue: sources.SourceTable) -> NDArray[np.float64]:
    """The number of each tile's sources, the quantities of the brightest, the magnitude of the second."""
    wanted = list(catalogue.quantities)
    found = np.full((len(catalogue.number), 2 + len(wanted)), np.nan)
    found[:, 0] = np.log1p(catalogue.number)
    for row, (count, end) in enumerate(zip(catalogue.number, np.cumsum(catalogue.number), strict=True)):
        of_tile = {name: values[end - count : end] for name, values in catalogue.quantities.items()}
        order = np.argsort(of_tile["magnitude"], kind="stable")
        if count > 0:
            found[row, 1:-1] = [of_tile[name][order[0]] for name in wanted]
        if count > 1:
            found[row, -1] = of_tile["magnitude"][order[1]]
    return found


def _rings(size: int) -> torch.Tensor:
    """The matrix that takes a tile's power, as a real transform gives it, to its mean in each ring."""
    cycles = torch.hypot(torch.fft.fftfreq(size)[:, None], torch.fft.rfftfreq(size)).flatten()
    edges = torch.tensor(RING_EDGES)
    members = ((cycles[:, None] >= edges[:-1]) & (cycles[:, None] < edges[1:])).float()
    return members / members.sum(0).clamp(min=1)
