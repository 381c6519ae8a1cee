"""One update of each network: the mathematics of the game, free of I/O and of random numbers but dropout's."""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch.optim import Optimizer

from skygen.gan.camera import Camera, Sky
from skygen.gan.losses import clip_weights, discriminator_loss, generator_loss, gradient_penalty, mean_square_slope
from skygen.gan.networks import Discriminator, Generator
from skygen.gan.recipes import Recipe
from skygen.training.distributed import ALONE, Team

EMA_RAMP = 0.1  # the moving average's half-life is at most this share of the images seen


@dataclass
class Players:
    """The two networks, their optimisers, how the discriminator sees what the generator paints, and who else trains."""

    generator: Generator
    discriminator: Discriminator
    generator_optimiser: Optimizer
    discriminator_optimiser: Optimizer
    camera: Camera
    team: Team = ALONE


class Draws(NamedTuple):
    """The tiles and the random numbers of one update."""

    real: torch.Tensor | None  # stretched tiles [N, bands, H, W]; None where the update needs none
    latents: torch.Tensor  # [N, latent_size]
    sky: Sky | None  # of the fakes; None without a noise model
    mix: torch.Tensor | None  # [N] in [0, 1], for the gradient penalty alone


def update_discriminator(players: Players, recipe: Recipe, draws: Draws, dropout: float) -> torch.Tensor:
    """One step of the discriminator on real tiles and as many fakes; its loss without the penalty, a scalar.

    Among several processes the step is that of all their draws, the loss that of this one's.
    """
    if draws.real is None:
        raise ValueError("a discriminator's update needs real tiles")
    with torch.no_grad():
        fake = players.camera.stretched(players.generator(draws.latents), draws.sky)
    slopes = recipe.penalty == "r1_r2"
    real, fake = draws.real.detach().requires_grad_(slopes), fake.requires_grad_(slopes)
    players.discriminator_optimiser.zero_grad(set_to_none=True)
    critic = partial(players.discriminator, dropout=dropout)
    logits_real, logits_fake = critic(real), critic(fake)
    loss = discriminator_loss(recipe, logits_real, logits_fake)
    penalty = torch.zeros_like(loss)
    if slopes and recipe.penalty_weight is not None:
        both = mean_square_slope(logits_real, real) + mean_square_slope(logits_fake, fake)
        penalty = recipe.penalty_weight / 2 * both
    elif draws.mix is not None and recipe.penalty_weight is not None:
        penalty = recipe.penalty_weight * gradient_penalty(critic, real, fake, draws.mix)
    (loss + penalty).backward()  # type: ignore[no-untyped-call]
    players.team.average_gradients(players.discriminator)
    players.discriminator_optimiser.step()
    if recipe.clip is not None:
        clip_weights(players.discriminator, recipe.clip, recipe.clip_norm)
    return loss.detach()


def update_generator(players: Players, recipe: Recipe, draws: Draws, dropout: float) -> torch.Tensor:
    """One step of the generator on fakes, against real tiles where the loss compares them; its loss, a scalar.

    Among several processes as for the discriminator.
    """
    players.generator_optimiser.zero_grad(set_to_none=True)
    players.discriminator.requires_grad_(False)
    fake = players.camera.stretched(players.generator(draws.latents), draws.sky)
    real = None if draws.real is None else players.discriminator(draws.real, dropout)
    loss = generator_loss(recipe, players.discriminator(fake, dropout), real)
    loss.backward()  # type: ignore[no-untyped-call]
    players.discriminator.requires_grad_(True)
    players.team.average_gradients(players.generator)
    players.generator_optimiser.step()
    return loss.detach()


def ema_decay(half_life: float, images: int, images_seen: int) -> float:
    """What of the average stays after `images` more: one half after `half_life`, or after a tenth of the images seen.

    The ramp keeps the average from remembering the untrained network (Karras et al. 2020, arXiv:1912.04958, code).
    """
    return float(0.5 ** (images / min(half_life, max(images, EMA_RAMP * images_seen))))


def average_weights(average: Generator, generator: Generator, decay: float) -> None:
    """Move `average` towards `generator`, in place: decay · average + (1 - decay) · generator, running statistics too.

    After n calls the weights of n calls ago count decayⁿ.
    """
    with torch.no_grad():
        for kept, new in zip(average.state_dict().values(), generator.state_dict().values(), strict=True):
            if kept.is_floating_point():
                kept.lerp_(new, 1 - decay)
            else:
                kept.copy_(new)
