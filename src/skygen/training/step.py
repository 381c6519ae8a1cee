"""One update of each network: the mathematics of the game, free of I/O."""

from dataclasses import dataclass

import torch
from torch.optim import Adam

from skygen.gan.latents import draw_latents
from skygen.gan.losses import clip_weights, discriminator_loss, generator_loss
from skygen.gan.networks import Discriminator, Generator
from skygen.gan.recipes import Recipe


@dataclass
class Players:
    """The two networks and their optimisers."""

    generator: Generator
    discriminator: Discriminator
    generator_optimiser: Adam
    discriminator_optimiser: Adam


def update_discriminator(
    players: Players, recipe: Recipe, real: torch.Tensor, dropout: float, rng: torch.Generator
) -> torch.Tensor:
    """One step of the discriminator on stretched real tiles [N, bands, H, W] and as many fakes; its loss, a scalar."""
    with torch.no_grad():
        fake = players.generator(_latents(players, recipe, len(real), rng))
    players.discriminator_optimiser.zero_grad(set_to_none=True)
    logits_real, logits_fake = players.discriminator(real, dropout), players.discriminator(fake, dropout)
    loss = discriminator_loss(recipe, logits_real, logits_fake)
    loss.backward()  # type: ignore[no-untyped-call]
    players.discriminator_optimiser.step()
    if recipe.clip is not None:
        clip_weights(players.discriminator, recipe.clip, recipe.clip_norm)
    return loss.detach()


def update_generator(
    players: Players, recipe: Recipe, batch: int, dropout: float, rng: torch.Generator
) -> torch.Tensor:
    """One step of the generator on `batch` fakes; its loss, a scalar."""
    players.generator_optimiser.zero_grad(set_to_none=True)
    players.discriminator.requires_grad_(False)
    logits = players.discriminator(players.generator(_latents(players, recipe, batch, rng)), dropout)
    loss = generator_loss(recipe, logits)
    loss.backward()  # type: ignore[no-untyped-call]
    players.discriminator.requires_grad_(True)
    players.generator_optimiser.step()
    return loss.detach()


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


def _latents(players: Players, recipe: Recipe, batch: int, rng: torch.Generator) -> torch.Tensor:
    device = next(players.generator.parameters()).device
    return draw_latents(recipe.latents, batch, recipe.latent_size, rng).to(device)
