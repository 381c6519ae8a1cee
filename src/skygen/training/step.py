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
        fake = players.generator(_latents(recipe, real, rng))
    players.discriminator_optimiser.zero_grad(set_to_none=True)
    loss = discriminator_loss(recipe, *_judge(players, recipe, real, fake, dropout))
    loss.backward()  # type: ignore[no-untyped-call]
    players.discriminator_optimiser.step()
    if recipe.clip is not None:
        clip_weights(players.discriminator, recipe.clip, recipe.clip_norm)
    return loss.detach()


def update_generator(
    players: Players, recipe: Recipe, real: torch.Tensor, dropout: float, rng: torch.Generator
) -> torch.Tensor:
    """One step of the generator on as many fakes as there are stretched `real` tiles; its loss, a scalar."""
    players.generator_optimiser.zero_grad(set_to_none=True)
    players.discriminator.requires_grad_(False)
    fake = players.generator(_latents(recipe, real, rng))
    _, logits_fake = _judge(players, recipe, real, fake, dropout)
    loss = generator_loss(recipe, logits_fake)
    loss.backward()  # type: ignore[no-untyped-call]
    players.discriminator.requires_grad_(True)
    players.generator_optimiser.step()
    return loss.detach()


def _judge(
    players: Players, recipe: Recipe, real: torch.Tensor, fake: torch.Tensor, dropout: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """The discriminator's logits on real and on fake tiles, judged in one batch or in two, as the recipe says."""
    if recipe.joint_batch:
        logits_real, logits_fake = players.discriminator(torch.cat([real, fake]), dropout).chunk(2)
        return logits_real, logits_fake
    return players.discriminator(real, dropout), players.discriminator(fake, dropout)


def _latents(recipe: Recipe, like: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    return draw_latents(recipe.latents, len(like), recipe.latent_size, rng).to(like.device)
