"""What is served, watched while it is served: bad pixels, sky noise, diversity, and whether a bundle's bits stay.

Counting bad pixels takes two passes of comparisons and is done for every tile. Noise and diversity take milliseconds:
a thread measures them of the latest pass of each bundle every few seconds. It has the priority of any other: one that
yields its core while it holds Python's lock would halt every request.
"""

import logging
import math
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from resource import getpagesize
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from serving.monitoring import metrics
from skygen.bundle.bundle import Bundle
from skygen.bundle.tile import Tile
from skygen.measure import diversity
from skygen.measure.pixels import STRETCH
from skygen.sky.noise import sky_noise

SAMPLE: Final = 8  # tiles
REAL_TILES: Final = 64  # are enough for a mean, and are measured in a tenth of a second
MOST_NMGY: Final = 1e6  # a pixel: a star of r = 10 has a fifth of it in all
_REPORT_SECONDS = 60.0
_NEAR = 0.999  # of the limit counts as at it: its inverse rounds

_log = logging.getLogger(__name__)


class Pass(NamedTuple):
    """Tiles as they were drawn: flux [n, bands, H, W] in nmgy, of a bundle, and what they were asked to be."""

    flux: NDArray[np.float32]
    bundle: Bundle
    tiles: Sequence[Tile]


_latest: dict[str, list[Pass]] = {}  # by the bundle's hash: the last passes, of at least SAMPLE tiles in the end
_keeping = threading.Lock()
_reported: dict[str, float] = {}


def record(flux: NDArray[np.float32], bundle: Bundle, tiles: Sequence[Tile]) -> list[int]:
    """The rows of a drawn pass [n, bands, H, W] in nmgy that hold pixels which are no numbers: they must not be sent.

    Counts its pixels and the bad ones among them, and keeps the pass among its bundle's latest; `tiles` [n] tell which
    of them the survey could have seen. Safe from any thread; `flux` must not be changed after.
    """
    _keep(Pass(flux, bundle, tiles))
    return count(flux, bundle)


def count(flux: NDArray[np.float32], bundle: Bundle) -> list[int]:
    """The rows of flux [n, bands, H, W] in nmgy that hold pixels which are no numbers; counts its pixels, and these."""
    metrics.SAMPLE_PIXELS.labels(bundle.card.tiles, bundle.card.recipe).inc(flux.size)
    limit = _limit_nmgy(bundle)
    if flux.max() < limit and flux.min() > -limit:  # neither holds where a pixel is no number
        return []
    return _count_bad(flux, bundle)


def measure_latest() -> None:
    """Measure the latest passes of every bundle, as kept since the last time."""
    while _latest:
        with _keeping:
            passes = _latest.popitem()[1]
        measure(passes)


def measure(passes: Sequence[Pass]) -> None:
    """Record the sky noise of a bundle's tiles, and how they differ; of those alone that are as the survey sees them.

    A client that asks for other noise, for one tile over and over or for a walk says nothing about the model.
    """
    card, found = passes[0].bundle.card, _plain(passes)
    if not found:
        return
    flux = np.stack(found)
    noise_nmgy = sky_noise(flux)  # [n, bands]
    for band, of_band in zip(card.bands, noise_nmgy.mean(axis=0), strict=True):
        metrics.SAMPLE_SKY_NOISE.labels(card.tiles, card.recipe, band).observe(of_band)
    if len(flux) > 1:
        metrics.SAMPLE_DIVERSITY.labels(card.tiles, card.recipe).observe(scene_diversity(flux, noise_nmgy))


def measure_real(tiles: str, bands: Sequence[str], flux: NDArray[np.float32]) -> None:
    """Record the sky noise and diversity of a set's real tiles [N, bands, H, W]: what generated ones are held to."""
    some = np.array(flux[:REAL_TILES])
    noise_nmgy = sky_noise(some)
    for band, of_band in zip(bands, noise_nmgy.mean(axis=0), strict=True):
        metrics.REAL_SKY_NOISE.labels(tiles, band).set(of_band)
    if len(some) > 1:
        metrics.REAL_DIVERSITY.labels(tiles).set(scene_diversity(some, noise_nmgy))


def scene_diversity(flux: NDArray[np.float32], noise_nmgy: NDArray[np.float64]) -> float:
    """The median distance of two of the tiles [n, bands, H, W], as `skygen.measure.diversity` has it, without noise's.

    Fresh noise of standard deviation `noise_nmgy` [n, bands] lies between two tiles of one scene. A block's mean has a
    quarter of it, in units of the stretch; its square, twice for two tiles and once a block, is taken off. 0 where one
    scene repeats, within a few hundredths.
    """
    pairs = diversity.describe(flux)
    distance = diversity.summarise(pairs, np.ones(len(flux)))
    blocks = flux[0, 0].size / diversity.BLOCK_PX**2
    slope = 1 / (STRETCH.softening_nmgy * math.asinh(STRETCH.limit_nmgy / STRETCH.softening_nmgy))
    of_noise = 2 * blocks * ((noise_nmgy * slope / diversity.BLOCK_PX) ** 2).mean(axis=0).sum()
    return math.sqrt(max(distance**2 - of_noise, 0.0))


def measure_memory() -> None:
    """Record the memory of this process, where the system tells it, and of its accelerator, where it has one."""
    statm = Path("/proc/self/statm")
    if statm.is_file():
        metrics.PROCESS_MEMORY.set(int(statm.read_text().split()[1]) * getpagesize())
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        device = torch.cuda.current_device()
        free, total = torch.cuda.mem_get_info(device)
        metrics.DEVICE_MEMORY.labels(f"cuda:{device}", "used").set(total - free)
        metrics.DEVICE_MEMORY.labels(f"cuda:{device}", "total").set(total)


def _limit_nmgy(bundle: Bundle) -> float:
    """From where on a pixel is at the limit of what the bundle can paint; a process has none: a star is as it is."""
    return MOST_NMGY if bundle.takes["sky"] else _NEAR * bundle.card.limit_nmgy


def _count_bad(flux: NDArray[np.float32], bundle: Bundle) -> list[int]:
    card = bundle.card
    finite = np.isfinite(flux)
    saturated = np.abs(flux, where=finite, out=np.zeros_like(flux)) >= _limit_nmgy(bundle)
    for kind, count in (("nonfinite", np.count_nonzero(~finite)), ("saturated", np.count_nonzero(saturated))):
        metrics.SAMPLE_BAD_PIXELS.labels(card.tiles, card.recipe, kind).inc(int(count))
    bad = [int(row) for row in np.flatnonzero(~finite.all(axis=(1, 2, 3)))]
    if bad and time.monotonic() - _reported.get(bundle.sha256, -math.inf) > _REPORT_SECONDS:
        _reported[bundle.sha256] = time.monotonic()
        _log.error("%s/%s drew pixels that are no numbers; such tiles are not sent", card.tiles, card.recipe)
    return bad


def _keep(drawn: Pass) -> None:
    with _keeping:
        kept = _latest.setdefault(drawn.bundle.sha256, [])
        kept.append(drawn)
        while sum(len(before.flux) for before in kept[1:]) >= SAMPLE:
            del kept[0]


def _plain(passes: Sequence[Pass]) -> list[NDArray[np.float32]]:
    """The last tiles that are whole and as the survey sees them, each once."""
    found: dict[tuple[int, int], NDArray[np.float32]] = {}
    for drawn in passes:
        for tile, flux in zip(drawn.tiles, drawn.flux, strict=True):
            if tile == Tile(tile.seed, tile.index):
                found[tile.seed, tile.index] = flux
    return [flux for flux in found.values() if np.isfinite(flux).all()]
