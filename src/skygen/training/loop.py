"""The training loop: iterate, sometimes look at the losses, measure and save."""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from tqdm import tqdm

from skygen.cores import keep_to_cores
from skygen.gan.dropout import dropout_rate
from skygen.gan.recipes import ConvolutionalRecipe, Recipe
from skygen.graphs import graphs_wanted
from skygen.params import TrainingScale
from skygen.tiles.store import TileStore
from skygen.training.batches import Batches, iteration_rng
from skygen.training.checkpoints import mend
from skygen.training.collapse import troubles
from skygen.training.distributed import ALONE, Team
from skygen.training.graph import FixedStep, Graph
from skygen.training.measurements import Log, Measurements
from skygen.training.precision import chosen_precision, repeatable_kernels
from skygen.training.shutdown import requests_to_end
from skygen.training.state import (
    State,
    configuration_of,
    new_state,
    not_finite,
    restore_state,
    save_state,
    set_steps,
)
from skygen.training.step import (
    Draws,
    Players,
    Rates,
    average_weights,
    rates_of,
    update_discriminator,
    update_generator,
)

Player = Callable[[torch.Generator, float], torch.Tensor]  # an iteration's draws and dropout rate → its losses [2]

LOOK_EVERY = 50  # iterations between two looks at the losses, for each of which a GPU must be waited for
SAVE_EVERY_S = 120.0  # what a kill or a power cut costs at most; measurements save too
_logger = logging.getLogger(__name__)


class TrainingError(RuntimeError):
    """A training cannot go on; the message says why and what is left of it."""


def train(
    recipe: Recipe,
    scale: TrainingScale,
    store: TileStore,
    seed: int,
    device: torch.device,
    checkpoint: Path,
    log: Log | None,
    team: Team = ALONE,
) -> State:
    """The state after training `recipe` (the scale's factors applied) on `store` for as long as `scale` says.

    A state kept at `checkpoint` by an earlier, interrupted call is resumed. SIGTERM and SIGINT end the training between
    two iterations, with its state kept. All processes of a `team` see `checkpoint`; the one that writes saves, and has
    the `log`, which is None elsewhere: it alone measures, and its state has the history and the best checkpoint. Raises
    `TrainingError` on a loss or a weight that is not finite, and where the recipe stops on trouble; `ValueError` where
    `checkpoint` is of another configuration, or `SKYGEN_PRECISION` or `SKYGEN_GRAPHS` says what neither knows.
    """
    keep_to_cores()
    state = new_state(recipe, store.card, scale.width, seed, device, team)
    configuration, precision = configuration_of(recipe, scale, store.card, seed, device), chosen_precision()
    if device.type == "cuda" and precision != "exact":
        configuration["precision"] = precision
    if team.writes:
        mend(checkpoint)
    team.barrier()
    restore_state(checkpoint, state, configuration)
    batches = Batches(recipe, store, state.players, scale.batch, device)
    measurements = Measurements(recipe, store, state, device, log) if team.writes and log else None
    player = player_of(state, recipe, batches)
    tiles = len(batches.tiles)
    with repeatable_kernels(precision):
        _Training(recipe, scale, seed, state, player, tiles, measurements, checkpoint, configuration, team).run()
    return state


def player_of(state: State, recipe: Recipe, batches: Batches) -> Player:
    """What plays one iteration after another: as a CUDA graph where a GPU trains a convolutional recipe alone."""
    if batches.device.type != "cuda" or state.players.team.size > 1:
        return partial(iterate, state, recipe, batches)
    if not isinstance(recipe, ConvolutionalRecipe):
        _logger.warning("a process's scenes have other shapes each time: its iterations are not captured as a graph")
        return partial(iterate, state, recipe, batches)
    return Graph(FixedStep(state, recipe, batches, play), graphs_wanted())


def iterate(state: State, recipe: Recipe, batches: Batches, rng: torch.Generator, dropout: float) -> torch.Tensor:
    """Play one iteration, which changes `state`; the losses [2] of the last critic step and of the generator's.

    What chance decides comes from `rng` alone, but for dropout, which draws from torch's own generator.
    """
    draws = (batches.draw(rng, real) for real in batches.updates)
    state.images_seen += batches.batch * recipe.critic_steps
    rates = rates_of(recipe, dropout, batches.batch, state.images_seen)
    losses = play(state.players, state.ema_generator, recipe, draws, rates)
    state.iteration += 1
    return losses


def play(players: Players, average: nn.Module, recipe: Recipe, draws: Iterator[Draws], rates: Rates) -> torch.Tensor:
    """One iteration: all updates of the discriminator, that of the generator, and of its moving average.

    `draws` are those of each update in turn. The losses [2] of the last critic step and of the generator's. It is this
    that a CUDA graph holds (`skygen.training.graph`).
    """
    losses = [update_discriminator(players, recipe, next(draws), rates.dropout) for _ in range(recipe.critic_steps)]
    losses.append(update_generator(players, recipe, next(draws), rates.dropout))
    if rates.decay is not None:
        average_weights(average, players.generator, rates.decay)
    return torch.stack(losses[-2:])


@dataclass
class _Training:
    recipe: Recipe
    scale: TrainingScale
    seed: int
    state: State
    player: Player
    tiles: int  # that it trains on
    measurements: Measurements | None  # of the process that has the log
    checkpoint: Path
    configuration: dict[str, Any]
    team: Team
    unlooked: list[torch.Tensor] = field(default_factory=list)  # losses [2] of iterations since the last look
    dropout: float = 0.0  # of the last iteration
    saved_at: float = field(default_factory=time.monotonic)

    def run(self) -> None:
        """Go on to the scale's last iteration."""
        state = self.state
        self._stop_if_lost()
        with requests_to_end() as request, self._progress() as bar:
            while state.iteration < self.scale.iterations:
                self._iterate()
                bar.update(self.scale.batch * self.recipe.critic_steps)
                measuring = self._is_measurement()
                looking = measuring or state.iteration % LOOK_EVERY == 0
                ending = (looking or self.team.size == 1) and self.team.any(request.signal is not None)
                losses = self._look() if looking else {}
                if measuring and self.measurements:
                    self.measurements.take(losses)
                    bar.set_postfix(score=f"{state.history[-1]['validation_score']:.2f}")
                if measuring or ending or time.monotonic() - self.saved_at > SAVE_EVERY_S:
                    self._save()
                if ending:
                    request.obey()
                if measuring:
                    self._stop_if_lost()

    def _iterate(self) -> None:
        recipe, state = self.recipe, self.state
        rng = iteration_rng(self.seed, state.images_seen, self.team.rank)
        set_steps(state.players, recipe, state.iteration / self.scale.iterations)
        self.dropout = dropout_rate(recipe, state.iteration, state.images_seen, self.tiles)
        self.unlooked.append(self.player(rng, self.dropout))

    def _look(self) -> dict[str, float]:
        """The last losses, the team's mean; raises `TrainingError` where one since the last look is not finite."""
        losses = self.team.mean(torch.stack(self.unlooked)).cpu()
        self.unlooked.clear()
        bad = (~losses.isfinite().all(1)).nonzero().flatten().tolist()
        row = losses[bad[0] if bad else -1].tolist()
        if bad:
            iteration = self.state.iteration - len(losses) + 1 + bad[0]
            self._stop(f"losses of iteration {iteration}: discriminator {row[0]}, generator {row[1]}")
        self._refuse_not_finite()
        return {"discriminator_loss": row[0], "generator_loss": row[1], "dropout_rate": self.dropout}

    def _save(self) -> None:
        """Keep the state; where the disk does not take it, warn: hours of training are worth more than one saving."""
        if not self.team.writes:
            return
        self._refuse_not_finite()
        try:
            save_state(self.checkpoint, self.state, self.configuration)
        except OSError as error:
            _logger.warning("iteration %d is not saved, the training goes on: %s", self.state.iteration, error)
        self.saved_at = time.monotonic()

    def _stop_if_lost(self) -> None:
        """Raise `TrainingError` where the recipe says so of a training that collapsed or diverged."""
        found = troubles(self.state.history, self.recipe.least_diversity) if self.recipe.on_trouble == "stop" else {}
        if self.team.any(bool(found)):
            said = "; ".join(f"{name}: {sentence}" for name, sentence in found.items())
            raise TrainingError(self._said(said or "the process that measures found trouble"))

    def _refuse_not_finite(self) -> None:
        if name := not_finite(self.state):
            self._stop(f"{name} after iteration {self.state.iteration}")

    def _stop(self, not_finite: str) -> None:
        if self.measurements:
            self.measurements.log.tag("not_finite", not_finite)
        raise TrainingError(self._said(f"not finite: {not_finite}"))

    def _said(self, trouble: str) -> str:
        best = self.state.best
        kept = f"the best, of iteration {best.iteration}, is in {self.checkpoint}" if best else "none was measured yet"
        return f"{trouble}. Checkpoints: {kept}"

    def _is_measurement(self) -> bool:
        """Whether one of the evenly spread measurements falls on this iteration; the last one does on the last."""
        iteration, iterations, measurements = self.state.iteration, self.scale.iterations, self.scale.measurements
        return (iteration * measurements) // iterations > ((iteration - 1) * measurements) // iterations

    def _progress(self) -> "tqdm[None]":
        total = self.scale.iterations * self.scale.batch * self.recipe.critic_steps
        seen, shown = self.state.images_seen, self.team.writes
        return tqdm(total=total, initial=seen, unit="image", desc="training", mininterval=1.0, disable=not shown)
