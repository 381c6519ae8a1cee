"""What a set of tiles is like, as distributions: the numbers behind the report's histograms, spectra and colours.

They are made of what the metrics measured of each tile, so that nothing is measured twice.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skygen.evaluation.scoring import Described
from skygen.measure import pixels, sources
from skygen.measure.metric import Measure
from skygen.measure.sources import SourceTable

_WIDER = 16  # bins of the metric in one of flux.BAND: the sky noise is still two and a half of them wide
_DARKEST = 640  # the metric's bin at a stretched flux of -0.375; what is darker counts as it
_NOISE_EDGES = np.linspace(0, 0.1, 51)  # nmgy; the survey has 0.02 to 0.05
_NUMBER_EDGES = np.arange(-0.5, 31)
_BINS = {"magnitude": 32, "half_light_radius": 48, "ellipticity": 20, "g_r": 30, "r_i": 30}
MOST_COLOURS = 1000  # sources whose colours are listed
_DIGITS = 6


def distributions(described: Described, measures: Sequence[Measure], bands: Sequence[str]) -> dict[str, Any]:
    """The content of distributions.json for a set of tiles that is described for `measures`.

    `histograms`: {name: {"edges": [n + 1], "share": [n]}} with the same edges for every set; what lies outside counts
    in the outermost bin, and all shares are 0 where there is no source. Names: flux.BAND (stretched), sky_noise.BAND
    (nmgy), number (of sources in a tile), magnitude, half_light_radius (px), ellipticity, g_r, r_i. `spectra`: {band:
    {"cycles": [...] a tile, "power": [...]}}. `colours`: {"g_r": [...], "r_i": [...]} of the first 1,000 sources, in
    mag, where the bands allow it.
    """
    flux, noise, spectra, catalogue = (
        described[_describes(measures, key)] for key in ("pixel_w1", "sky_noise", "power_spectrum", "sources.number")
    )
    histograms = dict(_of_bands(flux, noise, bands)) | dict(_of_sources(catalogue))
    return {
        "histograms": {
            name: {"edges": _plain(edges), "share": _plain(share)} for name, (edges, share) in histograms.items()
        },
        "spectra": {
            band: {"cycles": list(range(1, spectra.shape[-1] + 1)), "power": [float(f"{p:.6g}") for p in power]}
            for band, power in zip(bands, spectra.mean(axis=0), strict=True)
        },
        "colours": {
            name: _plain(catalogue.quantities[name][:MOST_COLOURS])
            for name in ("g_r", "r_i")
            if name in catalogue.quantities
        },
    }


Histogram = tuple[NDArray[np.float64], NDArray[np.float64]]  # edges [n + 1] and shares [n]


def _of_bands(
    counts: NDArray[np.float32], noise: NDArray[np.float64], bands: Sequence[str]
) -> Iterator[tuple[str, Histogram]]:
    edges = np.linspace(-1, 1, pixels.BINS + 1)[_DARKEST::_WIDER]
    for place, band in enumerate(bands):
        total = counts[:, place].sum(axis=0, dtype=np.float64)
        total[_DARKEST] += total[:_DARKEST].sum()
        bright = total[_DARKEST:].reshape(-1, _WIDER).sum(axis=1)
        yield f"flux.{band}", (edges, bright / bright.sum())
        yield f"sky_noise.{band}", _histogram(noise[:, place], _NOISE_EDGES)


def _of_sources(catalogue: SourceTable) -> Iterator[tuple[str, Histogram]]:
    yield "number", _histogram(catalogue.number, _NUMBER_EDGES)
    for name, values in catalogue.quantities.items():
        yield name, _histogram(values, np.linspace(*sources.RANGES[name], _BINS[name] + 1))


def _histogram(values: NDArray[Any], edges: NDArray[np.float64]) -> Histogram:
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    return edges, counts / max(counts.sum(), 1)


def _describes(measures: Sequence[Measure], key: str) -> Any:
    return next(measure.describe for measure in measures if key in measure.keys)


def _plain(values: NDArray[np.float64]) -> list[float]:
    return [round(float(value), _DIGITS) for value in values]
