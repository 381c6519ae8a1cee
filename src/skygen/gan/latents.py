"""Latents by seed: which numbers make tile i of seed s."""

import numpy as np
import torch


def latents_of(distribution: str, size: int, seed: int, indices: range) -> torch.Tensor:
    """The latents [len(indices), size] of tiles `indices` of `seed`, float32.

    Each tile has a counter-based stream of its own (Philox, keyed by seed and index), so its latents depend on nothing
    else: not on how many tiles are asked for, nor on what was drawn before. `normal` is the standard normal
    distribution, `uniform` the uniform one on [-1, 1).
    """
    rows = [_draw(distribution, size, np.random.Generator(np.random.Philox(key=[seed, index]))) for index in indices]
    return torch.from_numpy(np.stack(rows).astype(np.float32))


def _draw(distribution: str, size: int, rng: np.random.Generator) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return rng.standard_normal(size) if distribution == "normal" else rng.uniform(-1, 1, size)


def draw_latents(distribution: str, count: int, size: int, generator: torch.Generator) -> torch.Tensor:
    """`count` random latents [count, size] for training, float32, of the same distributions."""
    if distribution == "normal":
        return torch.randn(count, size, generator=generator)
    return torch.rand(count, size, generator=generator) * 2 - 1
