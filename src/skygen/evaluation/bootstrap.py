"""Bootstrap intervals (Efron 1979): how far a value would move with other tiles of the same kind."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95


def draws(tiles: int, replicates: int, seed: Sequence[int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How often each generated and each real tile counts, two arrays [1 + replicates, tiles].

    Row 0 is once each, which gives the value itself; the others are resamplings. The same `seed` gives the same rows,
    so that two sets that are compared with the same real tiles meet the same resamplings of them.
    """
    generator = np.random.default_rng(seed)
    once = np.ones((1, tiles))
    fake, real = (np.concatenate([once, resampled(tiles, replicates, generator)]) for _ in range(2))
    return fake, real


def counted_once(tiles: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Row 0 of `draws` alone, which gives a value without resamplings: two arrays [1, tiles]."""
    return np.ones((1, tiles)), np.ones((1, tiles))


def resampled(tiles: int, replicates: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """How often each tile counts in each of the resamplings with replacement, [replicates, tiles]."""
    return generator.multinomial(tiles, np.full(tiles, 1 / tiles), size=replicates).astype(np.float64)


def interval(value: float, replicates: NDArray[np.float64], most: float = np.inf) -> tuple[float, float]:
    """The middle 95 % of the `replicates` [n] of a statistic, moved by the bootstrap's bias so that it suits `value`.

    Resampling adds noise, and noise makes any distance larger: without the move, the interval of a small distance
    would lie above it. The move takes no interval below 0 where no replicate is, nor above the largest of them, so that
    the interval of a share is one of shares; none goes above `most`; and it always holds `value`.
    """
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(replicates, [tail, 1 - tail]) - (replicates.mean() - value)
    least, most = min(0.0, float(replicates.min())), min(most, float(replicates.max()))
    return min(max(float(low), least), value), max(min(float(high), most), value)
