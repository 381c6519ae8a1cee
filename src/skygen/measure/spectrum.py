"""`power_spectrum`: how far the spatial power of two sets of tiles differs, in the natural logarithm.

Checkerboards, blur and grain that a flux histogram cannot see stand out here. Needs numpy alone: training chooses its
best checkpoint by it.
"""

import numpy as np
from numpy.typing import NDArray

from skygen.measure.metric import Given, Meaning, Measure, Metric, by_means
from skygen.measure.pixels import STRETCH

FLOOR = 1e-12  # power below it counts as it: a flat tile has a spectrum too, and it is far from any real one


def describe(tiles: NDArray[np.floating]) -> NDArray[np.float64]:
    """The radial power spectrum of each stretched tile and band, [N, bands, H / 2].

    Ring k = 1 ... H / 2 is the mean power of the waves with |k| cycles a tile, rounded. White noise of variance v has
    power v in every ring. The mean level, k = 0, is left to `pixel_w1`. Tiles must be square.
    """
    rings = _rings(tiles.shape[-1])
    return np.stack([_power(tile) @ rings for tile in tiles])


def summarise(spectra: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logarithm of each band's mean spectrum, [bands, H / 2]; `weights` [N] says how often each tile counts."""
    mean = np.tensordot(weights, spectra, axes=1) / weights.sum()
    return np.asarray(np.log(np.maximum(mean, FLOOR)))


def compare(fake: NDArray[np.float64], real: NDArray[np.float64]) -> float:
    """The root mean square difference over the rings of two log spectra, averaged over bands.

    0 if equal; ln c where one spectrum is c times the other.
    """
    return float(np.sqrt(((fake - real) ** 2).mean(axis=-1)).mean())


def _power(tile: NDArray[np.floating]) -> NDArray[np.float64]:
    waves = np.fft.fft2(STRETCH.stretch(tile).astype(np.float64), norm="ortho")
    return np.asarray(np.abs(waves) ** 2).reshape(len(tile), -1)


def _rings(size: int) -> NDArray[np.float64]:
    """The matrix [size * size, size / 2] that takes a power map to its mean in each ring."""
    cycles = np.fft.fftfreq(size, d=1 / size)
    ring = np.rint(np.hypot(cycles[:, None], cycles[None, :])).ravel()
    members = (ring[:, None] == np.arange(1, size // 2 + 1)).astype(np.float64)
    return np.asarray(members / members.sum(axis=0))


_relate = by_means("power_spectrum", summarise, compare)


def _measures(given: Given) -> list[Measure]:
    return [Measure(("power_spectrum",), describe, _relate)] if given.bands else []


METRIC = Metric(
    "physics",
    {
        "power_spectrum": Meaning(
            0,
            "radial power spectra, log distance",
            "How far structure differs from coarse to fine: blur, grain and lattices; ln c where all power is c times "
            "the real one.",
            excess="square",
        ),
    },
    _measures,
)
