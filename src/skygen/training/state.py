"""All that a training is at one moment, and how it is kept on disk so that the same command goes on from there.

Randomness is no part of it: each iteration draws from (seed, images seen).
"""

import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from skygen.gan.camera import camera_of
from skygen.gan.judges import Judges
from skygen.gan.networks import (
    Discriminator,
    Generator,
    GeneratorShape,
    discriminator_of,
    generator_shape,
    initialise,
)
from skygen.gan.recipes import ConvolutionalRecipe, ProcessRecipe, Recipe
from skygen.params import TrainingScale
from skygen.process.generator import REFERENCE, Process, ProcessShape
from skygen.sky.stretch import Stretch
from skygen.tiles.store import TileSetCard
from skygen.training.checkpoints import read_newest, write_checkpoint
from skygen.training.distributed import ALONE, Team
from skygen.training.steering import steering_of
from skygen.training.step import Players

Weights = dict[str, torch.Tensor]
_PLAYERS = ("generator", "discriminator", "generator_optimiser", "discriminator_optimiser", "steering")


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
    ema_generator: (
        Generator | Process
    )  # what is measured, kept and served; the players' own generator where nothing is averaged
    iteration: int = 0
    images_seen: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    best: Checkpoint | None = None


def new_state(
    recipe: Recipe, card: TileSetCard, width: int, seed: int, device: torch.device, team: Team = ALONE
) -> State:
    """The state before the first iteration: weights drawn by the recipe's rule from `seed`, on `device`."""
    camera, rng = camera_of(recipe, card.stretch), torch.Generator().manual_seed(seed)
    generator, discriminator = _networks(recipe, card, width, camera.stretch, rng)
    generator, discriminator = team.synchronised(generator.to(device)), team.synchronised(discriminator.to(device))
    players = Players(
        generator,
        discriminator,
        make_optimiser(recipe, generator.parameters(), recipe.generator_lr),
        make_optimiser(recipe, discriminator.parameters(), recipe.discriminator_lr),
        camera,
        team,
        steering_of(generator, discriminator, camera.stretch),
    )
    return State(players, generator if recipe.ema_half_life is None else deepcopy(generator))


def _networks(
    recipe: Recipe, card: TileSetCard, width: int, stretch: Stretch, rng: torch.Generator
) -> tuple[Generator | Process, Discriminator | Judges]:
    """The generator and the discriminator of a recipe, with their first weights."""
    if isinstance(recipe, ConvolutionalRecipe):
        generator = Generator(generator_shape(recipe, card.size, len(card.bands), width))
        discriminator = discriminator_of(recipe, card.size, len(card.bands), width)
        for network in (generator, discriminator):
            initialise(network, recipe.init, recipe.init_std, rng)
        return generator, discriminator
    if not isinstance(recipe, ProcessRecipe):
        raise TypeError(f"{type(recipe).__name__} is a recipe of no kind; read it by read_recipe")
    bands, reference = len(card.bands), card.bands.index(REFERENCE)
    process = Process(bands, reference)
    judges = Judges(bands, reference, width, stretch, recipe.stamps_a_tile)
    process.marks.initialise(rng)
    initialise(judges, "normal", None, rng)
    return process, judges


def shape_of(recipe: Recipe, card: TileSetCard, width: int) -> GeneratorShape | ProcessShape:
    """What the generator of `recipe` for a tile set is made of."""
    if isinstance(recipe, ConvolutionalRecipe):
        return generator_shape(recipe, card.size, len(card.bands), width)
    return ProcessShape(kind="process", bands=card.bands)


def set_steps(players: Players, recipe: Recipe, progress: float) -> None:
    """Let both optimisers' steps fall as the recipe says, at `progress` from 0 to 1 of a training."""
    if recipe.lr_decay is not None:
        optimisers = (players.generator_optimiser, players.discriminator_optimiser)
        for optimiser, lr in zip(optimisers, (recipe.generator_lr, recipe.discriminator_lr), strict=True):
            for group in optimiser.param_groups:
                group["lr"] = lr * recipe.lr_decay**progress


def make_optimiser(recipe: Recipe, weights: Iterable[nn.Parameter], lr: float) -> Optimizer:
    """The recipe's optimiser of `weights` with step `lr`; fused where torch has it, which gives the same steps.

    On a GPU what it counts stays there, so that a CUDA graph can hold its step.
    """
    weights, betas = list(weights), (recipe.beta1, recipe.beta2)
    on_gpu = any(weight.is_cuda for weight in weights)
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(weights, lr=lr, momentum=recipe.beta1, fused=True)
    if recipe.optimiser == "rmsprop":
        return torch.optim.RMSprop(weights, lr=lr, alpha=recipe.beta2, momentum=recipe.beta1, capturable=on_gpu)
    if recipe.optimiser == "adamax":
        return torch.optim.Adamax(weights, lr=lr, betas=betas, capturable=on_gpu)
    if recipe.optimiser == "adagrad":
        return torch.optim.Adagrad(weights, lr=lr, fused=True)
    return torch.optim.Adam(weights, lr=lr, betas=betas, fused=True, capturable=on_gpu)


def configuration_of(
    recipe: Recipe, scale: TrainingScale, card: TileSetCard, seed: int, device: torch.device
) -> dict[str, Any]:
    """All that decides what a training becomes, JSON-able: a state is resumed under the very same alone."""
    return {
        "tiles": card.name,
        "data_hash": card.data_hash,
        "recipe": recipe.model_dump(),
        "training": scale.model_dump(),
        "seed": seed,
        "device": device.type,
    }


def configuration_hash(*parts: Any) -> str:
    """A short hash of JSON-able `parts`: the name of the checkpoint that only this configuration resumes."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def weights_of(network: nn.Module) -> Weights:
    """A copy of a network's weights and running statistics, on the CPU."""
    return {name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()}


def not_finite(state: State) -> str | None:
    """The name of the first tensor of `state` that holds a NaN or an infinity; None where there is none."""
    tensors = {name: value for name, value in _leaves(_content(state)) if isinstance(value, torch.Tensor)}
    device = next(state.players.generator.parameters()).device
    found = torch.stack([tensor.isfinite().all().to(device, non_blocking=True) for tensor in tensors.values()])
    return next((name for name, finite in zip(tensors, found.tolist(), strict=True) if not finite), None)


def save_state(path: Path, state: State, configuration: Mapping[str, Any]) -> None:
    """Keep `state` at `path`, whole or not at all, and the one kept before beside it.

    Raises an `OSError` that names the path, with both earlier states left, where the disk does not take it.
    """
    written = io.BytesIO()
    torch.save({"configuration": dict(configuration), **_content(state)}, written)
    write_checkpoint(path, written.getbuffer())


def restore_state(path: Path, state: State, configuration: Mapping[str, Any]) -> bool:
    """Bring `state`, as `new_state` made it, to what is kept at `path`; whether anything whole is.

    Raises `ValueError` that names what differs where the state kept there is of another configuration.
    """
    kept = read_newest(path)
    if kept is None:
        return False
    content = torch.load(io.BytesIO(kept), map_location="cpu", weights_only=True)
    _refuse_another(path, content["configuration"], configuration)
    for name in _PLAYERS:
        if name in content:
            getattr(state.players, name).load_state_dict(content[name])
    state.ema_generator.load_state_dict(content["ema_generator"])
    state.iteration, state.images_seen = content["iteration"], content["images_seen"]
    state.history = content["history"]
    state.best = Checkpoint(**content["best"]) if content["best"] else None
    return True


def _content(state: State) -> dict[str, Any]:
    return {
        **{name: part.state_dict() for name in _PLAYERS if (part := getattr(state.players, name)) is not None},
        "ema_generator": state.ema_generator.state_dict(),
        "iteration": state.iteration,
        "images_seen": state.images_seen,
        "history": state.history,
        "best": vars(state.best) if state.best else None,
    }


def _leaves(content: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """What a nested dict holds, each value under its path."""
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _refuse_another(path: Path, kept: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    there, here = dict(_leaves(kept)), dict(_leaves(wanted))
    pairs = {key: (there.get(key, "missing"), here.get(key, "missing")) for key in sorted(there | here)}
    differ = [f"{key} {old} (now {new})" for key, (old, new) in pairs.items() if old != new]
    if differ:
        said = ", ".join(differ)
        raise ValueError(f"{path} is the state of another training: {said}; remove it, or train as it was begun")
