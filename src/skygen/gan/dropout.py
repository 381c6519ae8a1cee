"""What the discriminator discards at random, and how much of it over training."""

import torch
from torch.nn import functional

from skygen.gan.recipes import Recipe

_LEVELS = 2**16  # of the random numbers on the CPU: rates are kept to 1.5e-5


def s_dropout_rate(x: float, rate: float = 0.5, k: float = 0.25) -> float:
    """S-Dropout's rate after `x` iterations: rate - k / (x + 1), and `rate` at x = 0, where k counts as 0.

    Eq. 3 of Zhang, Wang, Duan 2019, whose values are 0.5 and 0.25: 0.5, 0.375 and 0.475 at x = 0, 1 and 9. It returns
    to `rate` for large x, so over a long training it differs from fixed dropout only at the beginning.
    """
    return rate if x <= 0 else rate - k / (x + 1)


def dropout_rate(recipe: Recipe, iteration: int, images_seen: int, training_tiles: int) -> float:
    """The rate in [0, 1) by the recipe's rule, after `iteration` generator updates and `images_seen` real tiles."""
    if recipe.dropout == "none":
        return 0.0
    if recipe.dropout == "fixed" or recipe.dropout_k is None:
        return recipe.dropout_rate
    x = iteration if recipe.dropout_unit == "iteration" else images_seen // training_tiles
    return s_dropout_rate(x, recipe.dropout_rate, recipe.dropout_k)


def discard(features: torch.Tensor, rate: float | torch.Tensor) -> torch.Tensor:
    """`features` with each element set to 0 with probability `rate`, the others divided by 1 - rate.

    The rate is a number, or a float64 scalar on the features' device, which a CUDA graph can hold and which changes
    between two replays. On a GPU the numbers come from torch's generator there: while a graph is captured torch
    registers it, and each replay goes on from the seed and the place where the generator stands, as an eager run does.

    A number is left to torch's own dropout on a GPU. On the CPU that draws its numbers one by one, which took half of
    a discriminator's step; here four 16-bit numbers come from each 64-bit draw of torch's generator.
    """
    if not isinstance(rate, torch.Tensor):
        if rate == 0:
            return features
        if features.is_cuda:
            return functional.dropout(features, rate)
        rate = torch.tensor(rate, dtype=torch.float64)
    if features.is_cuda:
        kept = torch.rand_like(features) >= rate
    else:
        draws = torch.empty((features.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
        numbers = draws.view(torch.int16)[: features.numel()].view(features.shape)  # uniform from -levels / 2
        least = (rate * _LEVELS).round().clamp(max=_LEVELS - 1) - _LEVELS // 2
        kept = numbers >= least.to(torch.int16)
    return features * kept.to(features.dtype).mul_(1 / (1 - rate))
