"""The training loop: draw, step, sometimes measure, sometimes save."""

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from skygen.gan.dropout import dropout_rate
from skygen.gan.latents import latents_of
from skygen.gan.recipes import Recipe
from skygen.measure.score import ValidationScore, halves
from skygen.params import TrainingScale
from skygen.tiles.dataset import TileDataset, draw_batch
from skygen.tiles.store import TileStore
from skygen.training.state import Checkpoint, State, new_state, restore_state, save_state
from skygen.training.step import average_weights, update_discriminator, update_generator

_VALIDATION_SEED = 2**62  # of the tiles by which checkpoints are compared; far from what users ask for


class TrainingError(RuntimeError):
    """A training cannot go on; the message says why and what is left of it."""


class Log(Protocol):
    """Where a training reports to: MLflow in the pipeline, nothing on a bare machine."""

    def metrics(self, values: Mapping[str, float], images_seen: int) -> None:
        """Take the values measured after `images_seen` real tiles."""

    def samples(self, flux_nmgy: NDArray[np.float32], images_seen: int) -> None:
        """Take generated tiles [N, bands, H, W]."""


class _Validation:
    """What a checkpoint is chosen by: the cheap metrics against one half of the validation tiles."""

    def __init__(self, store: TileStore) -> None:
        tiles = store.split("validation")
        real = tiles.array()
        first, second = halves(tiles.fields())
        self.tiles = len(first)
        self._score = ValidationScore(real[first], real[second])

    def measure(self, fake: NDArray[np.float32]) -> dict[str, float]:
        return {f"validation_{key}": value for key, value in self._score.measure(fake).items()}


def train(
    recipe: Recipe, scale: TrainingScale, store: TileStore, seed: int, device: torch.device, checkpoint: Path, log: Log
) -> State:
    """The state after training `recipe` (the scale's factors applied) on `store` for as long as `scale` says.

    A state kept at `checkpoint` by an earlier, interrupted call is resumed. Raises `TrainingError` on a loss that is
    not finite.
    """
    card, training = store.card, TileDataset(store.split("train"))
    validation = _Validation(store)
    state = new_state(recipe, card.size, len(card.bands), scale.width, seed, device)
    if checkpoint.is_file():
        restore_state(checkpoint, state)
    started, seen_before = time.monotonic(), state.images_seen
    with _progress(recipe, scale, state) as bar:
        while state.iteration < scale.iterations:
            losses = _iterate(state, recipe, scale, training, store, seed, device)
            bar.update(scale.batch * recipe.critic_steps)
            if _is_measurement(state.iteration, scale.iterations, scale.measurements):
                speed = (state.images_seen - seen_before) / (time.monotonic() - started)
                _measure(state, recipe, store, validation, device, {**losses, "images_per_second": speed}, log)
                save_state(checkpoint, state)
                bar.set_postfix(score=f"{state.history[-1]['validation_score']:.2f}")
    return state


def _iterate(
    state: State,
    recipe: Recipe,
    scale: TrainingScale,
    training: TileDataset,
    store: TileStore,
    seed: int,
    device: torch.device,
) -> dict[str, float]:
    rng = _seed_all(seed, state.images_seen)
    dropout = dropout_rate(recipe, state.iteration, state.images_seen, len(training))
    losses = []
    for _ in range(recipe.critic_steps):
        real = store.card.stretch.stretch(draw_batch(training, scale.batch, rng).to(device))
        losses.append(update_discriminator(state.players, recipe, real, dropout, rng))
        state.images_seen += scale.batch
    generator_loss = update_generator(state.players, recipe, scale.batch, dropout, rng)
    if recipe.ema_decay is not None:
        average_weights(state.ema_generator, state.players.generator, recipe.ema_decay)
    state.iteration += 1
    values = {"discriminator_loss": float(losses[-1]), "generator_loss": float(generator_loss)}
    if not all(math.isfinite(loss) for loss in values.values()):
        kept = f"iteration {state.best.iteration}" if state.best else "none"
        raise TrainingError(f"iteration {state.iteration}: losses {values}; last good checkpoint: {kept}")
    return {**values, "dropout_rate": dropout}


def _seed_all(seed: int, images_seen: int) -> torch.Generator:
    """The generator of this iteration's draws, and torch's own (dropout draws from it), by (seed, images seen)."""
    word = int(np.random.SeedSequence([seed, images_seen]).generate_state(1, np.uint64)[0])
    torch.manual_seed(word)
    return torch.Generator().manual_seed(word)


def _is_measurement(iteration: int, iterations: int, measurements: int) -> bool:
    """Whether one of the evenly spread `measurements` falls on `iteration`; the last one does on the last."""
    return (iteration * measurements) // iterations > ((iteration - 1) * measurements) // iterations


def _measure(
    state: State,
    recipe: Recipe,
    store: TileStore,
    validation: _Validation,
    device: torch.device,
    values: Mapping[str, float],
    log: Log,
) -> None:
    fake = _draw(state, recipe, store, validation.tiles, device)
    measured = {"iteration": float(state.iteration), **values, **validation.measure(fake)}
    state.history.append({"images_seen": float(state.images_seen), **measured})
    log.metrics(measured, state.images_seen)
    log.samples(fake[:16], state.images_seen)
    if state.best is None or measured["validation_score"] < state.best.measured["validation_score"]:
        generator, discriminator = (
            {name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()}
            for network in (state.ema_generator, state.players.discriminator)
        )
        state.best = Checkpoint(generator, discriminator, state.iteration, state.images_seen, measured)


def _draw(state: State, recipe: Recipe, store: TileStore, count: int, device: torch.device) -> NDArray[np.float32]:
    latents = latents_of(recipe.latents, recipe.latent_size, _VALIDATION_SEED, range(count)).to(device)
    generator = state.ema_generator.eval()
    with torch.no_grad():
        flux = torch.cat([store.card.stretch.unstretch(generator(part)) for part in torch.split(latents, 64)])
    generator.train()
    return flux.cpu().numpy()


def _progress(recipe: Recipe, scale: TrainingScale, state: State) -> "tqdm[None]":
    total = scale.iterations * scale.batch * recipe.critic_steps
    return tqdm(total=total, initial=state.images_seen, unit="image", desc="training", mininterval=1.0)
