"""What each choice of memory format, precision, compilation and so on would do to an iteration, in time and in losses.

Usage: python -m benchmarks.choices
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import torch
from torch.nn import functional

from benchmarks.game import Game, new_game, noise_store
from benchmarks.limits import print_machine, side_by_side
from skygen.gan import networks
from skygen.gan.recipes import Recipe, read_recipes
from skygen.params import TrainingScale, load
from skygen.tiles.store import TileStore

STEPS = 10  # over which losses are compared
PENALISED = "n/a: torch.compile supports no double backward"


@dataclass(frozen=True)
class Choice:
    """A departure from the training as it is: done once to a game, and around each of its iterations."""

    name: str
    prepare: Callable[[Game], object] = lambda _: None
    around: Callable[[], AbstractContextManager[object]] = nullcontext
    second_derivatives: bool = True  # whether it can be had with R1 + R2


def main() -> None:
    """Print a row a tile set, recipe and choice: its speed over that of the training as it is, and its losses."""
    print_machine()
    params = load(Path("params.yaml"))
    recipes = read_recipes(params.recipes)
    print("tiles    recipe  choice                 speed  largest relative difference of a loss in 10 steps")
    for tiles, tile_set in params.tiles.sets.items():
        scale = params.scales["laptop"].training[tiles]
        with TemporaryDirectory() as folder:
            store = noise_store(Path(folder), tile_set)
            for name, choice in product(("gan", "scene"), CHOICES):
                print(f"{tiles:8} {name:7} {_row(recipes[name], scale, store, choice)}")


def _row(recipe: Recipe, scale: TrainingScale, store: TileStore, choice: Choice) -> str:
    if recipe.penalty == "r1_r2" and not choice.second_derivatives:
        return f"{choice.name:20} {PENALISED}"
    plain, chosen = new_game(recipe, scale, store), new_game(recipe, scale, store)
    choice.prepare(chosen)

    def iterate() -> torch.Tensor:
        with choice.around():
            return chosen.iterate()

    pairs = [(plain.iterate(), iterate()) for _ in range(STEPS)]
    difference = max(float(((one - two) / one).abs().max()) for one, two in pairs)
    ours, other = side_by_side(plain.iterate, iterate, runs=9)
    return f"{choice.name:20} {ours / other:7.2f}  {difference:.1e}"


def _to_channels_last(game: Game) -> None:
    players = game.state.players
    for network in (players.generator, players.discriminator):
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _compile(game: Game) -> None:
    players = game.state.players
    for network in (players.generator, players.discriminator):
        network.compile()


def _adam(game: Game, **how: bool) -> None:
    players = game.state.players
    for name in ("generator_optimiser", "discriminator_optimiser"):
        (group,) = getattr(players, name).param_groups
        adam = torch.optim.Adam(group["params"], lr=group["lr"], betas=group["betas"], **how)
        setattr(players, name, adam)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _flushed() -> Iterator[None]:
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


CHOICES = [
    Choice("channels_last", prepare=_to_channels_last),
    Choice("bfloat16 autocast", around=lambda: torch.autocast("cpu", torch.bfloat16)),
    Choice("torch.compile", prepare=_compile, second_derivatives=False),
    Choice("Adam by foreach", prepare=lambda game: _adam(game, foreach=True)),
    Choice("Adam one by one", prepare=lambda game: _adam(game, foreach=False)),
    Choice("torch's dropout", around=lambda: patch.object(networks, "discard", functional.dropout)),
    Choice("one thread", around=lambda: _threads(1)),
    Choice("denormals flushed", around=_flushed),
]


if __name__ == "__main__":
    main()
