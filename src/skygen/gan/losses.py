"""The losses of the two games, as functions of logits [N]."""

from collections.abc import Iterable

import torch
from torch import nn
from torch.nn.functional import softplus

from skygen.gan.recipes import Recipe


def discriminator_loss(recipe: Recipe, real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    """What the discriminator minimises, a scalar, of its logits on real and on fake tiles.

    Jensen-Shannon: binary cross-entropy, -mean log D(real) - mean log(1 - D(fake)), D the logit's sigmoid (eq. 1).
    Wasserstein: mean fake - mean real (eq. 12): minus the earth mover's distance for a Lipschitz critic.
    """
    if recipe.loss == "jensen_shannon":
        return softplus(-real).mean() + softplus(fake).mean()
    return fake.mean() - real.mean()


def generator_loss(recipe: Recipe, fake: torch.Tensor) -> torch.Tensor:
    """What the generator minimises, a scalar, of the discriminator's logits on fake tiles.

    Jensen-Shannon: -mean log D(fake), or, saturating, mean log(1 - D(fake)). Wasserstein: -mean fake (eq. 11, whose
    average must run over the generator's distribution).
    """
    if recipe.loss == "wasserstein":
        return -fake.mean()
    return -softplus(fake).mean() if recipe.saturating else softplus(-fake).mean()


def clip_weights(discriminator: nn.Module, bound: float, clip_norm: bool) -> None:
    """Clamp the discriminator's weights to ±bound in place (WGAN, algorithm 1); those of batch norm if `clip_norm`."""
    with torch.no_grad():
        for module in discriminator.modules():
            if clip_norm or not isinstance(module, nn.BatchNorm2d):
                _clamp(module.parameters(recurse=False), bound)


def _clamp(weights: Iterable[torch.Tensor], bound: float) -> None:
    for weight in weights:
        weight.clamp_(-bound, bound)
