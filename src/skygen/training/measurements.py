"""What a training measures of itself now and then, keeps in its history, and reports."""

import time
from collections.abc import Mapping
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from skygen.gan.recipes import Recipe
from skygen.tiles.store import TileStore
from skygen.training.collapse import TROUBLES, troubles
from skygen.training.state import Checkpoint, State, weights_of
from skygen.training.validation import Validation

SAMPLES = 16  # tiles that are reported at a measurement, always of the same latents


class Log(Protocol):
    """Where a training reports to: MLflow in the pipeline, nothing on a bare machine."""

    def metrics(self, values: Mapping[str, float], images_seen: int) -> None:
        """Take the values measured after `images_seen` real tiles."""

    def samples(self, flux_nmgy: NDArray[np.float32], images_seen: int) -> None:
        """Take generated tiles [N, bands, H, W]."""

    def tag(self, name: str, value: str) -> None:
        """Take a word about the whole training; a later value takes the place of an earlier one."""


class Measurements:
    """The measurements of one training: rows of its history, and its best checkpoint by the validation score.

    The last one counts as the best where the recipe's learning rates fall.
    """

    def __init__(self, recipe: Recipe, store: TileStore, state: State, device: torch.device, log: Log) -> None:
        self.log = log
        self._state, self._least_diversity = state, recipe.least_diversity
        self._keeps_last = recipe.lr_decay is not None  # where rates fall, what comes later is calmer
        self._validation = Validation(recipe, store, state.players.camera, device)
        self._began, self._seen_before = time.monotonic(), state.images_seen

    def take(self, losses: Mapping[str, float]) -> None:
        """Measure the state, add it to the history with `losses`, keep it where it is the best, and report it.

        The speed is reported alone: the history of a training that was interrupted is that of one that was not.
        """
        state = self._state
        drawn = self._validation.draw(state.ema_generator)
        values = {**losses, **self._validation.measure(drawn)}
        row = {"images_seen": float(state.images_seen), "iteration": float(state.iteration), **values}
        found = troubles([*state.history, row], self._least_diversity)
        state.history.append(row | {name: float(name in found) for name in TROUBLES})
        self._keep_the_best()
        self._report(drawn.flux)
        for name, sentence in found.items():
            if not any(earlier[name] for earlier in state.history[:-1]):  # once is enough
                self.log.tag(name, sentence)

    def _keep_the_best(self) -> None:
        state, measured = self._state, {**self._state.history[-1]}
        images_seen, iteration = int(measured.pop("images_seen")), int(measured["iteration"])
        best = state.best is None or measured["validation_score"] < state.best.measured["validation_score"]
        if best or self._keeps_last:
            generator, discriminator = weights_of(state.ema_generator), weights_of(state.players.discriminator)
            state.best = Checkpoint(generator, discriminator, iteration, images_seen, measured)

    def _report(self, fake: NDArray[np.float32]) -> None:
        state = self._state
        speed = (state.images_seen - self._seen_before) / (time.monotonic() - self._began)
        measured = {key: value for key, value in state.history[-1].items() if key != "images_seen"}
        self.log.metrics({**measured, "images_per_second": speed}, state.images_seen)
        self.log.samples(fake[:SAMPLES], state.images_seen)
