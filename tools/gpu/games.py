"""Trainings at their beginning, and the ways in which a device can play them."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch

from benchmarks.game import Game as Benchmarked
from skygen.gan.dropout import dropout_rate
from skygen.gan.recipes import ConvolutionalRecipe, Recipe, read_recipe
from skygen.params import TrainingScale, load
from skygen.tiles.store import TileStore
from skygen.training.batches import Batches, iteration_rng
from skygen.training.graph import FixedStep, Graph
from skygen.training.loop import Player, iterate, play
from skygen.training.state import new_state, set_steps
from tools.gpu.asked import Asked

SEED = 0


class Way(NamedTuple):
    """How iterations are played."""

    resident: bool  # tiles lie on the device; else they are sent batch by batch
    graph: bool  # as a CUDA graph, where the device and the recipe allow it; else each kernel is started by itself


STREAMING, RESIDENT, GRAPH = Way(False, False), Way(True, False), Way(True, True)


@dataclass
class Game(Benchmarked):
    """A training that can be played on."""

    store: TileStore
    player: Player

    def play(self, iterations: int, until: float = float("inf")) -> torch.Tensor:
        """The losses [n, 2] of up to `iterations` more, fewer where the clock passes `until`."""
        losses, state = [], self.state
        for _ in range(iterations):
            rng = iteration_rng(SEED, state.images_seen)
            set_steps(state.players, self.recipe, state.iteration / self.scale.iterations)
            rate = dropout_rate(self.recipe, state.iteration, state.images_seen, len(self.batches.tiles))
            losses.append(self.player(rng, rate))
            if time.monotonic() > until:
                break
        return torch.stack(losses).cpu()


def recipe_of(name: str, **changes: Any) -> Recipe:
    """The row `name` of params.yaml with `changes`."""
    return read_recipe(load(Path("params.yaml")).recipes[name] | changes, name)


def scale_of(asked: Asked, tiles: str, **changes: int) -> TrainingScale:
    """The scale that is asked for, with `changes`."""
    return load(Path("params.yaml")).scales[asked.scale].training[tiles].model_copy(update=changes)


def new_game(asked: Asked, tiles: str, recipe: Recipe, scale: TrainingScale, way: Way, device: str = "") -> Game:
    """A training of a recipe at its beginning, on the device that is asked for or on another."""
    store, on = TileStore.open(asked.store / tiles), torch.device(device or asked.device)
    ran = recipe.at_scale(scale)
    state = new_state(ran, store.card, scale.width, SEED, on)
    batches = Batches(ran, store, state.players, scale.batch, on, way.resident)
    player: Callable[[torch.Generator, float], torch.Tensor] = partial(iterate, state, ran, batches)
    if on.type == "cuda" and isinstance(ran, ConvolutionalRecipe):
        player = Graph(FixedStep(state, ran, batches, play), way.graph)
    return Game(ran, scale, state, batches, store, player)


def wait(device: str) -> None:
    """Wait for what a GPU still has to do, so that a clock tells the truth."""
    if device == "cuda":
        torch.cuda.synchronize()
