"""What every metric is read against: real tiles against real tiles, and one real tile repeated."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from skygen.measure.score import halves
from skygen.tiles.store import Split, TileStore

SEED = 2019  # of the halves and of nothing else: every recipe meets the same real tiles


class Controls(NamedTuple):
    """Three sets of N tiles [N, bands, H, W] in nmgy. Generated tiles are compared with `real_b`, as these are."""

    real_a: NDArray[np.float32]
    real_b: NDArray[np.float32]
    collapsed: NDArray[np.float32]


def controls(store: TileStore, split: Split) -> Controls:
    """The controls of a held-out split, N half of its tiles.

    Held-out tiles lie on a grid, so that the halves share no pixel; both hold the same mix of fields.
    """
    real = store.split(split)
    first, second = halves(real.fields(), SEED)
    tiles = real.array()
    return Controls(tiles[first], tiles[second], collapse(tiles[first]))


def collapse(tiles: NDArray[np.float32]) -> NDArray[np.float32]:
    """The first of `tiles` [N, bands, H, W], N times: a generator that knows a single tile."""
    return np.repeat(tiles[:1], len(tiles), axis=0)
