"""Latents by seed: which numbers make tile i of seed s."""

import math
from enum import IntEnum

import numpy as np
import torch

_PARALLEL = 1e-6  # sine of the angle below which two rows of latents are the same


class Stream(IntEnum):
    """What a tile's random numbers are for: each use has a stream of its own, so that none disturbs another."""

    LATENTS = 0
    NOISE = 1
    CONDITIONS = 2
    REGISTRATION = 3


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


def walk_latents(distribution: str, start: torch.Tensor, end: torch.Tensor, share: float) -> torch.Tensor:
    """The latents at `share` of the way from `start` [size] to `end` [size]; at 0 and 1 they are these, bit for bit.

    Normal latents go round the sphere that they lie on, so that none on the way is shorter than those a network has
    seen (slerp; White 2016, arXiv:1609.04468); uniform ones go straight, and stay in their cube.
    """
    if distribution != "normal":
        return (1 - share) * start + share * end
    one, other = start.double(), end.double()
    angle = math.acos(float((one @ other / (one.norm() * other.norm())).clamp(-1, 1)))
    if math.sin(angle) < _PARALLEL:
        return start
    weights = (math.sin(part * angle) / math.sin(angle) for part in (1 - share, share))
    return next(weights) * start + next(weights) * end


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
