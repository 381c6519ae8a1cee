"""Latents by seed: which numbers make tile i of seed s."""

from enum import IntEnum

import numpy as np
import torch


class Stream(IntEnum):
    """What a tile's random numbers are for: each use has a stream of its own, so that none disturbs another."""

    LATENTS = 0
    NOISE = 1
    CONDITIONS = 2


def tile_rng(seed: int, index: int, stream: Stream) -> np.random.Generator:
    """The random numbers of tile `index` of `seed` for one use.

    They come from a counter (Philox, keyed by seed and index, its highest word the stream), so they depend on nothing
    else: not on how many tiles are asked for, nor on what was drawn before.
    """
    return np.random.Generator(np.random.Philox(key=[seed, index], counter=[0, 0, 0, stream]))


def latents_of(distribution: str, size: int, seed: int, indices: range) -> torch.Tensor:
    """The latents [len(indices), size] of tiles `indices` of `seed`, float32.

    `normal` is the standard normal distribution, `uniform` the uniform one on [-1, 1).
    """
    rows = [_draw(distribution, size, tile_rng(seed, index, Stream.LATENTS)) for index in indices]
    return torch.from_numpy(np.stack(rows).astype(np.float32))


def noise_of(shape: tuple[int, int, int], seed: int, indices: range) -> torch.Tensor:
    """Standard normal draws [len(indices), *shape] for the noise of tiles `indices` of `seed`, float32."""
    rows = [tile_rng(seed, index, Stream.NOISE).standard_normal(shape, dtype=np.float32) for index in indices]
    return torch.from_numpy(np.stack(rows))


def _draw(distribution: str, size: int, rng: np.random.Generator) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return rng.standard_normal(size) if distribution == "normal" else rng.uniform(-1, 1, size)


def draw_latents(distribution: str, count: int, size: int, generator: torch.Generator) -> torch.Tensor:
    """`count` random latents [count, size] for training, float32, of the same distributions."""
    if distribution == "normal":
        return torch.randn(count, size, generator=generator)
    return torch.rand(count, size, generator=generator) * 2 - 1
