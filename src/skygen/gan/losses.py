"""The losses of the games, and what keeps a discriminator smooth, as functions of logits [N].

The relativistic loss takes pairs, or logits [N, 1] and [1, M], of which it makes all pairs.
"""

from collections.abc import Callable, Iterable

import torch
from torch import nn
from torch.nn.functional import softplus

from skygen.gan.recipes import Recipe

Critic = Callable[[torch.Tensor], torch.Tensor]  # stretched tiles [N, bands, H, W] → logits [N]


def discriminator_loss(recipe: Recipe, real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    """What the discriminator minimises, a scalar, of its logits on real and on fake tiles.

    Jensen-Shannon: binary cross-entropy, -mean log D(real) - mean log(1 - D(fake)), D the logit's sigmoid (eq. 1).
    Wasserstein: mean fake - mean real (eq. 12): minus the earth mover's distance for a Lipschitz critic. Relativistic:
    -mean log sigmoid(real - fake) over pairs (Jolicoeur-Martineau 2019, arXiv:1807.00734, table 1).
    """
    if recipe.loss == "jensen_shannon":
        return _mean(softplus(-real)) + _mean(softplus(fake))
    if recipe.loss == "relativistic":
        return _mean(softplus(fake - real))
    return _mean(fake) - _mean(real)


def generator_loss(recipe: Recipe, fake: torch.Tensor, real: torch.Tensor | None = None) -> torch.Tensor:
    """What the generator minimises, a scalar, of the discriminator's logits on fake tiles.

    Jensen-Shannon: -mean log D(fake), or, saturating, mean log(1 - D(fake)). Wasserstein: -mean fake (eq. 11, whose
    average must run over the generator's distribution). Relativistic: -mean log sigmoid(fake - real), which asks for
    the logits on real tiles too.
    """
    if recipe.loss == "wasserstein":
        return -_mean(fake)
    if recipe.loss == "relativistic":
        if real is None:
            raise ValueError("the relativistic loss compares pairs; give the logits on real tiles")
        return _mean(softplus(real - fake))
    return -_mean(softplus(fake)) if recipe.saturating else _mean(softplus(-fake))


def mean_square_slope(logits: torch.Tensor, tiles: torch.Tensor) -> torch.Tensor:
    """The mean over tiles of the squared gradient of each tile's logit by its pixels: ‖w‖² for a linear discriminator.

    Of several logits a tile, that of their sum over their number. Half the weight times it is R1 at real tiles, R2 at
    fake ones (Mescheder et al. 2018, arXiv:1801.04406, eqs 9, 10).
    """
    return _mean(_gradients(logits, tiles).square().sum(1)) * (len(tiles) / max(len(logits), 1))


def gradient_penalty(critic: Critic, real: torch.Tensor, fake: torch.Tensor, mix: torch.Tensor) -> torch.Tensor:
    """The mean of (‖gradient‖ - 1)² between real and fake tiles: (‖w‖ - 1)² for a linear discriminator.

    `mix` [N] in [0, 1] says where between the two (Gulrajani et al. 2017, arXiv:1704.00028, eq. 3, without its λ).
    """
    between = torch.lerp(fake, real, mix[:, None, None, None]).requires_grad_(True)
    norms: torch.Tensor = torch.linalg.vector_norm(_gradients(critic(between), between), dim=1)
    return (norms - 1).square().mean()


def _gradients(logits: torch.Tensor, tiles: torch.Tensor) -> torch.Tensor:
    (gradients,) = torch.autograd.grad(logits.sum(), tiles, create_graph=True)
    return gradients.flatten(1)


def _mean(values: torch.Tensor) -> torch.Tensor:
    """Their mean; 0 of none, such as stamps of tiles that show no source."""
    return values.mean() if values.numel() else values.sum()


def clip_weights(discriminator: nn.Module, bound: float, clip_norm: bool) -> None:
    """Clamp the discriminator's weights to ±bound in place (WGAN, algorithm 1); those of batch norm if `clip_norm`."""
    with torch.no_grad():
        for module in discriminator.modules():
            if clip_norm or not isinstance(module, nn.BatchNorm2d | nn.SyncBatchNorm):
                _clamp(module.parameters(recurse=False), bound)


def _clamp(weights: Iterable[torch.Tensor], bound: float) -> None:
    for weight in weights:
        weight.clamp_(-bound, bound)
