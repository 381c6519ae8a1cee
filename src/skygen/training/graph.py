"""Iterations in buffers that stay where they are, and as one CUDA graph of them.

At a small batch a GPU waits for the CPU, which starts some hundred kernels an iteration. A graph starts them at once:
they are recorded one time, with the addresses that they read and write, and are played again on what lies there then.
"""

import logging
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from skygen.gan.recipes import Recipe
from skygen.training.batches import Batches, on_device
from skygen.training.state import State
from skygen.training.step import Draws, Players, Rates, rates_of

Play = Callable[[Players, nn.Module, Recipe, Iterator[Draws], Rates], torch.Tensor]  # the loop's `play`

WARM = 3  # iterations before a capture, as torch asks for: libraries and optimisers make what they keep
_FLYING = 2  # iterations that the CPU may be ahead: the tiles sent for each lie in pinned memory
_logger = logging.getLogger(__name__)


class FixedStep:
    """An iteration of a convolutional recipe as a function of buffers on the device.

    `load` fills them, `play` computes on them: without a wait for the device, and on no other way for other values.
    """

    def __init__(self, state: State, recipe: Recipe, batches: Batches, play: Play) -> None:
        device = batches.device
        self.state = state
        self._recipe, self._batches, self._play = recipe, batches, play
        some = torch.Generator()  # only shapes count here
        self._chosen = [on_device(batches.choose(some, real), device) for real in batches.updates]
        dropout = 0.0 if recipe.dropout == "none" else torch.zeros((), dtype=torch.float64, device=device)
        decay = None if recipe.ema_half_life is None else torch.zeros((), dtype=torch.float64, device=device)
        self._rates = Rates(dropout, decay)
        optimisers = (state.players.generator_optimiser, state.players.discriminator_optimiser)
        dtype = torch.float32 if device.type == "cuda" else torch.float64  # the fused kernels of a GPU take no other
        self._steps = [
            (optimiser, torch.zeros((), dtype=dtype, device=device))
            for optimiser in optimisers
            if recipe.lr_decay is not None
        ]

    def load(self, rng: torch.Generator, dropout: float) -> None:
        """Choose by `rng` what the next iteration takes, and send it; `dropout` is its rate."""
        batches, state = self._batches, self.state
        for real, fixed in zip(batches.updates, self._chosen, strict=True):
            for buffer, values in zip(_tensors(fixed), _tensors(batches.choose(rng, real)), strict=True):
                buffer.copy_(values.pin_memory() if buffer.is_cuda else values, non_blocking=True)
        state.images_seen += batches.batch * self._recipe.critic_steps
        rates = rates_of(self._recipe, dropout, batches.batch, state.images_seen)
        for rate, value in zip(self._rates, rates, strict=True):
            if isinstance(rate, torch.Tensor) and value is not None:
                rate.fill_(value)
        for optimiser, step in self._steps:
            step.fill_(optimiser.param_groups[0]["lr"])

    def play(self) -> torch.Tensor:
        """Play the iteration that is loaded; the losses [2] of the last critic step and of the generator's."""
        state, batches = self.state, self._batches
        draws = (batches.shown(chosen) for chosen in self._chosen)
        with self._steps_on_device():
            return self._play(state.players, state.ema_generator, self._recipe, draws, self._rates)

    @contextmanager
    def _steps_on_device(self) -> Iterator[None]:
        """The optimisers read their learning rates from buffers while it lasts; elsewhere they are numbers."""
        groups = [optimiser.param_groups[0] for optimiser, _ in self._steps]
        numbers = [group["lr"] for group in groups]
        for group, (_, buffer) in zip(groups, self._steps, strict=True):
            group["lr"] = buffer
        try:
            yield
        finally:
            for group, number in zip(groups, numbers, strict=True):
                group["lr"] = number


class Graph:
    """Plays iterations on a GPU: a few as they are, which count as all others do, and the rest as a CUDA graph.

    Dropout draws from torch's generator of the GPU, whose seed and place each replay reads: so an iteration is the same
    by a graph or without, and a resumed training, which begins with some that are not captured, goes on as it was.
    Where torch cannot capture an iteration, it warns, and the training goes on without.
    """

    def __init__(self, step: FixedStep, captures: bool = True) -> None:
        self._step, self._captures = step, captures
        self._graph: torch.cuda.CUDAGraph | None = None
        self._losses = torch.empty(0)  # where the graph leaves them
        self._warm = 0
        self._side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self._flying: deque[torch.cuda.Event] = deque()

    @property
    def captured(self) -> bool:
        """Whether iterations are replayed by now."""
        return self._graph is not None

    def __call__(self, rng: torch.Generator, dropout: float) -> torch.Tensor:
        """Play one iteration, which changes the state; its losses [2]."""
        self._step.load(rng, dropout)
        if self._captures and self._graph is None and self._warm == WARM:
            self._capture()
        if self._graph is not None:
            self._graph.replay()
            losses = self._losses.clone()
        elif self._captures:
            self._warm += 1
            losses = self._aside().clone()
        else:
            losses = self._step.play()
        self._step.state.iteration += 1
        self._wait_for_earlier()
        return losses

    def _aside(self) -> torch.Tensor:
        """An iteration on a stream of its own, since a capture's is not the usual one either."""
        self._side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._side), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="This instance was constructed with capturable=True")
            losses = self._step.play()
        torch.cuda.current_stream().wait_stream(self._side)
        return losses

    def _capture(self) -> None:
        """Record an iteration, which plays none; what is loaded stays."""
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                self._losses = self._step.play()
            self._graph = graph
        except RuntimeError as error:
            self._captures = False
            self._step.state.players.discriminator.requires_grad_(True)  # it is off in the generator's update
            _logger.warning("iterations are not captured as a CUDA graph, the training goes on without: %s", error)

    def _wait_for_earlier(self) -> None:
        self._flying.append(torch.cuda.Event(blocking=True))  # type: ignore[no-untyped-call]
        self._flying[-1].record()
        if len(self._flying) > _FLYING:
            self._flying.popleft().synchronize()


def _tensors(parts: Any) -> Iterator[torch.Tensor]:
    """The tensors in nested tuples, in turn."""
    if isinstance(parts, torch.Tensor):
        yield parts
    elif isinstance(parts, tuple):
        for part in parts:
            yield from _tensors(part)
