"""Bootstrap intervals (Efron 1979): how far a value would move with other tiles of the same kind."""

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95


def resampled(tiles: int, replicates: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """How often each tile counts in each of the resamplings with replacement, [replicates, tiles]."""
    return generator.multinomial(tiles, np.full(tiles, 1 / tiles), size=replicates).astype(np.float64)


def interval(value: float, replicates: NDArray[np.float64]) -> tuple[float, float]:
    """The middle 95 % of the `replicates` [n] of a statistic, moved by the bootstrap's bias so that it suits `value`.

    Resampling adds noise, and noise makes any distance larger: without the move, the interval of a small distance
    would lie above it. No metric is negative, so neither is its interval, and it always holds `value`.
    """
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(replicates, [tail, 1 - tail]) - (replicates.mean() - value)
    return max(0.0, min(float(low), value)), max(float(high), value)
