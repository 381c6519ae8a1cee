"""One update of each network: the mathematics of the game, free of I/O and of random numbers but dropout's.

For a convolutional recipe it takes no way that depends on the
value of a tensor and waits for no device, so that a CUDA graph can hold it (`skygen.training.graph`).
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import nn
from torch.optim import Optimizer

from skygen.gan.camera import Camera, Sky
from skygen.gan.judges import Judges
from skygen.gan.losses import clip_weights, discriminator_loss, generator_loss, gradient_penalty, mean_square_slope
from skygen.gan.networks import Discriminator, Generator, Judge
from skygen.gan.recipes import Recipe
from skygen.process.generator import Process, Scatter
from skygen.training.distributed import ALONE, Team
from skygen.training.steering import Steering

EMA_RAMP = 0.1  # the moving average's half-life is at most this share of the images seen


@dataclass
class Players:
    """The two networks, their optimisers, how the discriminator sees what the generator paints, and who else trains."""

    generator: Generator | Process
    discriminator: Discriminator | Judges
    generator_optimiser: Optimizer
    discriminator_optimiser: Optimizer
    camera: Camera
    team: Team = ALONE
    steering: Steering | None = None  # of a process


class Draws(NamedTuple):
    """The tiles and the random numbers of one update."""

    real: torch.Tensor | None  # stretched tiles [N, bands, H, W]; None where the update needs none
    latents: torch.Tensor | Scatter  # what the generator takes: latents [N, latent_size], or objects scattered
    sky: Sky | None  # of the fakes; None where noise is painted
    mix: torch.Tensor | None  # [N] in [0, 1], for the gradient penalty alone


class Rates(NamedTuple):
    """What changes from iteration to iteration by rule: numbers, or float64 scalars on the networks' device."""

    dropout: float | torch.Tensor
    decay: float | torch.Tensor | None  # of the generator's moving average; None where there is none


def rates_of(recipe: Recipe, dropout: float, batch: int, images_seen: int) -> Rates:
    """Those of the iteration that brings the real tiles seen to `images_seen`, `batch` at each update."""
    if recipe.ema_half_life is None:
        return Rates(dropout, None)
    return Rates(dropout, ema_decay(recipe.ema_half_life, batch * recipe.critic_steps, images_seen))


def update_discriminator(players: Players, recipe: Recipe, draws: Draws, dropout: float | torch.Tensor) -> torch.Tensor:
    """One step of the discriminator on real tiles and as many fakes; its loss without the penalty, a scalar.

    Each of its networks has a loss and a penalty. Among several processes the step is that of all their draws, the loss
    that of this one's.
    """
    if draws.real is None:
        raise ValueError("a discriminator's update needs real tiles")
    with torch.no_grad():
        fake = players.camera.stretched(players.generator(draws.latents), draws.sky)
    players.discriminator_optimiser.zero_grad(set_to_none=True)
    losses, penalties = [], []
    for judge, weight in zip(players.discriminator.judges, recipe.penalty_weights, strict=True):
        slopes, critic = recipe.penalty == "r1_r2", partial(judge.network, dropout=dropout)
        of_real, of_fake = (judge.look(tiles).detach().requires_grad_(slopes) for tiles in (draws.real, fake))
        logits_real, logits_fake = critic(of_real), critic(of_fake)
        losses.append(discriminator_loss(recipe, *_opposed(players.team, judge, len(fake), logits_real, logits_fake)))
        if slopes and weight is not None:
            shares = (1.0, 1.0) if judge.most_a_tile is None else players.team.weights(len(of_real), len(of_fake))
            r1, r2 = mean_square_slope(logits_real, of_real), mean_square_slope(logits_fake, of_fake)
            penalties.append(weight / 2 * (shares[0] * r1 + shares[1] * r2))
        elif draws.mix is not None and weight is not None:
            penalties.append(weight * gradient_penalty(critic, of_real, of_fake, draws.mix))
    loss = sum(losses[1:], losses[0])
    sum(penalties, loss).backward()  # type: ignore[no-untyped-call]
    players.team.average_gradients(players.discriminator)
    players.discriminator_optimiser.step()
    if recipe.clip is not None:
        clip_weights(players.discriminator, recipe.clip, recipe.clip_norm)
    return loss.detach()


def update_generator(players: Players, recipe: Recipe, draws: Draws, dropout: float | torch.Tensor) -> torch.Tensor:
    """One step of the generator on fakes, against real tiles where the loss compares them; its loss, a scalar.

    Among several processes as for the discriminator. A process is steered by the same tiles. Scenes without an object
    give its weights the gradient 0, so that all in a team take the same step.
    """
    players.generator_optimiser.zero_grad(set_to_none=True)
    players.discriminator.requires_grad_(False)
    fake = players.camera.stretched(players.generator(draws.latents), draws.sky)
    losses = []
    for judge in players.discriminator.judges:
        critic = partial(judge.network, dropout=dropout)
        real = None if draws.real is None else critic(judge.look(draws.real))
        logits = critic(judge.look(fake))
        if real is not None:
            real, logits = _opposed(players.team, judge, len(fake), real, logits)
        losses.append(generator_loss(recipe, logits, real))
    loss = sum(losses[1:], losses[0])
    if loss.requires_grad:
        loss.backward()  # type: ignore[no-untyped-call]
    else:
        for weight in players.generator.parameters():
            weight.grad = torch.zeros_like(weight)
    players.discriminator.requires_grad_(True)
    players.team.average_gradients(players.generator)
    players.generator_optimiser.step()
    if players.steering is not None and draws.real is not None:
        players.steering.steer(draws.real, fake.detach(), players.team)
    return loss.detach()


def _opposed(
    team: Team, judge: Judge, tiles: int, real: torch.Tensor, fake: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits as a loss compares them: those that are pairs as they are; others each real one with each fake one, of
    the whole team, since a tile may show any number.
    """
    if judge.most_a_tile is None:
        return real, fake
    most = tiles * judge.most_a_tile
    return team.gather(real, most)[:, None], team.gather(fake, most)[None]


def ema_decay(half_life: float, images: int, images_seen: int) -> float:
    """What of the average stays after `images` more: one half after `half_life`, or after a tenth of the images seen.

    The ramp keeps the average from remembering the untrained network (Karras et al. 2020, arXiv:1912.04958, code).
    """
    return float(0.5 ** (images / min(half_life, max(images, EMA_RAMP * images_seen))))


def average_weights(average: nn.Module, generator: nn.Module, decay: float | torch.Tensor) -> None:
    """Move `average` towards `generator`, in place: decay · average + (1 - decay) · generator, running statistics too.

    After n calls the weights of n calls ago count decayⁿ.
    """
    moved = 1 - decay
    weight = moved.float() if isinstance(moved, torch.Tensor) else moved
    with torch.no_grad():
        for kept, new in zip(average.state_dict().values(), generator.state_dict().values(), strict=True):
            if kept.is_floating_point():
                kept.lerp_(new, weight)
            else:
                kept.copy_(new)
