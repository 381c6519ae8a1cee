"""All that a training is at one moment, and how it is kept on disk so that the same command goes on from there.

Randomness is no part of it: each iteration draws from (seed, images seen).
"""

import hashlib
import json
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.optim import Adam

from skygen.files import write_atomically
from skygen.gan.networks import Discriminator, Generator, initialise
from skygen.gan.recipes import Recipe
from skygen.training.step import Players

Weights = dict[str, torch.Tensor]


@dataclass
class Checkpoint:
    """Both networks' weights at one measurement, and the measurement."""

    generator: Weights
    discriminator: Weights
    iteration: int
    images_seen: int
    measured: dict[str, float]


@dataclass
class State:
    """The players, how far they are, the history of measurements and the best checkpoint so far."""

    players: Players
    ema_generator: Generator  # what is measured, kept and served; the players' own generator where nothing is averaged
    iteration: int = 0
    images_seen: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    best: Checkpoint | None = None


def new_state(recipe: Recipe, size: int, bands: int, width: int, seed: int, device: torch.device) -> State:
    """The state before the first iteration: weights drawn by the recipe's rule from `seed`, on `device`."""
    rng = torch.Generator().manual_seed(seed)
    generator = Generator(size, bands, width, recipe.latent_size)
    discriminator = Discriminator(size, bands, width, recipe.logit_slope)
    for network in (generator, discriminator):
        initialise(network, recipe.init, recipe.init_std, rng)
        network.to(device)
    betas = (recipe.beta1, recipe.beta2)
    players = Players(
        generator,
        discriminator,
        Adam(generator.parameters(), lr=recipe.generator_lr, betas=betas),
        Adam(discriminator.parameters(), lr=recipe.discriminator_lr, betas=betas),
    )
    return State(players, generator if recipe.ema_decay is None else deepcopy(generator))


def configuration_hash(*parts: Any) -> str:
    """A short hash of JSON-able `parts`: the name of the checkpoint that only this configuration resumes."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def save_state(path: Path, state: State) -> None:
    """Write `state` to `path`, whole or not at all."""
    players, best = state.players, state.best
    content = {
        "generator": players.generator.state_dict(),
        "discriminator": players.discriminator.state_dict(),
        "ema_generator": state.ema_generator.state_dict(),
        "generator_optimiser": players.generator_optimiser.state_dict(),
        "discriminator_optimiser": players.discriminator_optimiser.state_dict(),
        "iteration": state.iteration,
        "images_seen": state.images_seen,
        "history": state.history,
        "best": vars(best) if best else None,
    }
    with write_atomically(path) as temporary:
        torch.save(content, temporary)


def restore_state(path: Path, state: State) -> None:
    """Bring `state`, as `new_state` made it, to what `path` holds; raises `FileNotFoundError` where nothing is kept."""
    device = next(state.players.generator.parameters()).device
    content = torch.load(path, map_location=device, weights_only=True)
    for name in ("generator", "discriminator", "generator_optimiser", "discriminator_optimiser"):
        getattr(state.players, name).load_state_dict(content[name])
    state.ema_generator.load_state_dict(content["ema_generator"])
    state.iteration, state.images_seen = content["iteration"], content["images_seen"]
    state.history = content["history"]
    state.best = Checkpoint(**content["best"]) if content["best"] else None
