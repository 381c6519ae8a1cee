"""Tiles and metrics for tests of what is watched."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from prometheus_client import REGISTRY

from skygen.bundle.tile import Tile

R64 = {"tiles": "r64", "recipe": "scene"}
Added = Callable[..., float]


def all_series() -> dict[tuple[object, ...], float]:
    return {(s.name, *s.labels.items()): s.value for found in REGISTRY.collect() for s in found.samples}


def noise_tiles(tiles: int, sigma_nmgy: float, size: int = 64) -> NDArray[np.float32]:
    return np.random.default_rng(5).normal(0, sigma_nmgy, (tiles, 1, size, size)).astype(np.float32)


def tiles_of_seed(n: int) -> list[Tile]:
    return [Tile(7, index) for index in range(n)]
