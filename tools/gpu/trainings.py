"""The part that trains: a recipe on a packed tile store for some hundred iterations."""

import resource
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from skygen.gan.dropout import dropout_rate
from skygen.gan.recipes import Recipe, read_recipes
from skygen.params import TrainingScale, load
from skygen.tiles.store import TileStore
from skygen.training.batches import Batches, iteration_rng
from skygen.training.loop import exact_kernels, iterate
from skygen.training.state import (
    State,
    configuration_of,
    new_state,
    not_finite,
    restore_state,
    save_state,
    set_steps,
    weights_of,
)
from skygen.training.validation import Validation
from tools.gpu.asked import Asked, Found, picture

WARM = 5  # iterations that are not timed, at most a quarter of them
RESUMED = 3  # iterations before and after a resume
SEED = 0


@dataclass
class Game:
    """A training that can be played on."""

    recipe: Recipe
    scale: TrainingScale
    store: TileStore
    state: State
    batches: Batches

    def play(self, iterations: int, until: float) -> torch.Tensor:
        """The losses [n, 2] of up to `iterations` more, fewer where the clock passes `until`."""
        losses, state = [], self.state
        for _ in range(iterations):
            rng = iteration_rng(SEED, state.images_seen)
            set_steps(state.players, self.recipe, state.iteration / self.scale.iterations)
            rate = dropout_rate(self.recipe, state.iteration, state.images_seen, len(self.batches.tiles))
            losses.append(iterate(state, self.recipe, self.batches, rng, rate))
            if time.monotonic() > until:
                break
        return torch.stack(losses).cpu()


def new_game(asked: Asked, tiles: str, name: str) -> Game:
    """A training of the recipe `name` at its beginning."""
    params, store, device = load(Path("params.yaml")), TileStore.open(asked.store / tiles), torch.device(asked.device)
    scale = params.scales[asked.scale].training[tiles].model_copy(update={"iterations": asked.iterations})
    recipe = read_recipes(params.recipes)[name].at_scale(scale)
    state = new_state(recipe, store.card, scale.width, SEED, device)
    return Game(recipe, scale, store, state, Batches(recipe, store, state.players, scale.batch, device))


def training(asked: Asked, tiles: str, name: str, seconds: str) -> Found:
    """How fast a recipe trains, whether its losses stay finite, and whether a resume goes on to the same bits.

    It stops iterating after `seconds`, so that it is measured however slow the device is.
    """
    until = time.monotonic() + float(seconds)
    with exact_kernels():
        game = new_game(asked, tiles, name)
        warm = game.play(max(1, min(WARM, asked.iterations // 4)), until)
        _wait(asked.device)
        began = time.perf_counter()
        losses = game.play(max(1, asked.iterations - len(warm)), until)
        _wait(asked.device)
        each = (time.perf_counter() - began) / len(losses)
        measured: dict[str, float | int | str | bool | None] = {
            "width": game.scale.width,
            "batch": game.scale.batch,
            "iterations": len(warm) + len(losses),
            "seconds_an_iteration": each,
            "images_per_second": game.scale.batch * game.recipe.critic_steps / each,
            "peak_memory_mib": _peak_mib(asked.device),
        }
        failures = [] if torch.cat([warm, losses]).isfinite().all() else ["losses are not finite"]
        if bad := not_finite(game.state):
            failures.append(f"{bad} is not finite")
        measured |= _validated(asked, game, tiles, name)
        off = _resumed(asked, tiles, name)
    measured |= {"resumes_to_the_bit": off == 0, "resume_off": off}
    return Found(measured, failures)


def _validated(asked: Asked, game: Game, tiles: str, name: str) -> dict[str, float]:
    """The validation's measurements; its first tiles become a picture."""
    validation = Validation(game.recipe, game.store, game.state.players.camera, torch.device(asked.device))
    drawn = validation.draw(game.state.ema_generator)
    picture(asked.out / f"trained-{tiles}-{name}.png", drawn.flux[:16], game.store.card.bands)
    return {"validation_score": validation.measure(drawn)["validation_score"]}


def _resumed(asked: Asked, tiles: str, name: str) -> float:
    """How far weights are off, at most, after a resume from a file, from those of a training that went on."""
    one, other = new_game(asked, tiles, name), new_game(asked, tiles, name)
    configuration = configuration_of(one.recipe, one.scale, one.store.card, SEED, torch.device(asked.device))
    one.play(RESUMED, float("inf"))
    with TemporaryDirectory() as folder:
        save_state(Path(folder) / "state.pt", one.state, configuration)
        restore_state(Path(folder) / "state.pt", other.state, configuration)
    one.play(RESUMED, float("inf"))
    other.play(RESUMED, float("inf"))
    networks = ("generator", "discriminator")
    pairs = [[weights_of(getattr(game.state.players, network)) for game in (one, other)] for network in networks]
    return max(float((mine[key] - theirs[key]).abs().max()) for mine, theirs in pairs for key in mine)


def _wait(device: str) -> None:
    """Wait for what a GPU still has to do, so that a clock tells the truth."""
    if device == "cuda":
        torch.cuda.synchronize()


def _peak_mib(device: str) -> int:
    """The most memory that was in use: the GPU's, or the process' on a CPU."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated() // 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 2**10
