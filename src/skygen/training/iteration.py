"""One iteration: the critic steps, the generator's step, and the average of its weights."""

import torch

from skygen.gan.recipes import Recipe
from skygen.training.batches import Batches
from skygen.training.state import State
from skygen.training.step import average_weights, ema_decay, update_discriminator, update_generator


def iterate(state: State, recipe: Recipe, batches: Batches, rng: torch.Generator, dropout: float) -> torch.Tensor:
    """Play one iteration, which changes `state`; the losses [2] of the last critic step and of the generator's.

    What chance decides comes from `rng` alone, but for dropout, which draws from torch's own generator.
    """
    losses = []
    for _ in range(recipe.critic_steps):
        losses.append(update_discriminator(state.players, recipe, batches.draw(rng, real=True), dropout))
        state.images_seen += batches.batch
    draws = batches.draw(rng, real=recipe.needs_real_tiles)
    losses.append(update_generator(state.players, recipe, draws, dropout))
    if recipe.ema_half_life is not None:
        decay = ema_decay(recipe.ema_half_life, batches.batch * recipe.critic_steps, state.images_seen)
        average_weights(state.ema_generator, state.players.generator, decay)
    state.iteration += 1
    return torch.stack(losses[-2:])
