"""The parts that train: how fast, whether a resume goes on as it was, and to the paper's 20,000 iterations."""

import io
import json
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.plain import PlainLoop
from skygen.files import make_folder
from skygen.gan.recipes import Recipe
from skygen.params import TrainingScale
from skygen.tiles.store import TileStore
from skygen.training.checkpoints import read_newest
from skygen.training.loop import train
from skygen.training.precision import Precision, repeatable_kernels
from skygen.training.state import Checkpoint, configuration_of, not_finite, restore_state, save_state, weights_of
from skygen.training.validation import Validation
from tools.gpu.asked import Asked, Found, picture
from tools.gpu.bundles import save_trained
from tools.gpu.games import GRAPH, RESIDENT, SEED, STREAMING, Game, Way, new_game, recipe_of, scale_of, wait

PLAIN = "gan"  # the recipe that the plain loop trains too
PAPER = 20_000  # iterations
WARM = 10  # iterations that are not timed, at most a quarter of them
RESUMED = 6  # iterations before and after a resume: a graph replays half of them
SAVING_S = 20.0  # of a long training's limit: to begin, to save, to write the bundle
WAYS: dict[str, tuple[Way, Precision]] = {
    "streaming": (STREAMING, "exact"),
    "resident": (RESIDENT, "exact"),
    "graph": (GRAPH, "exact"),
    "graph_tf32": (GRAPH, "tf32"),
}


def speed(asked: Asked, tiles: str, batch: str, seconds: str) -> Found:
    """Seconds an iteration by every way, and by the plain loop; each is timed for at most so many `seconds`."""
    recipe, scale = recipe_of(PLAIN), scale_of(asked, tiles, batch=int(batch))
    measured: dict[str, float | int | str | bool | None] = {"width": scale.width, "batch": scale.batch}
    game = new_game(asked, tiles, recipe, scale, STREAMING)
    plain = PlainLoop(game, game.store)  # torch's defaults, as a tutorial leaves them
    of_plain = _timed(asked, partial(_plainly, plain, asked.iterations), seconds)
    measured["plain_s"], failures = of_plain, []
    for word, (way, precision) in WAYS.items():
        with repeatable_kernels(precision):
            game = new_game(asked, tiles, recipe, scale, way)
            each = _timed(asked, partial(_ours, game, asked.iterations), seconds)
        measured |= {f"{word}_s": each, f"{word}_over_plain": of_plain / each}
        failures += [f"{word}: {bad} is not finite"] if (bad := not_finite(game.state)) else []
    return Found(measured | {"peak_memory_mib": _peak_mib(asked.device)}, failures)


def _ours(game: Game, iterations: int, until: float) -> int:
    """How many iterations a game played."""
    return len(game.play(iterations, until))


def _plainly(plain: PlainLoop, iterations: int, until: float) -> int:
    """How many iterations the plain loop made, up to `iterations` or until the clock passes `until`."""
    for made in range(1, iterations + 1):
        plain.iterate()
        if time.monotonic() > until:
            return made
    return iterations


def _timed(asked: Asked, play: Callable[[float], int], seconds: str) -> float:
    """Seconds an iteration of what `play` plays until a moment, after a quarter of the time that is not counted."""
    play(time.monotonic() + float(seconds) / 4)
    wait(asked.device)
    began = time.perf_counter()
    made = play(time.monotonic() + float(seconds))
    wait(asked.device)
    return (time.perf_counter() - began) / made


def training(asked: Asked, tiles: str, name: str, seconds: str) -> Found:
    """How fast a recipe trains, whether its losses stay finite, and whether a resume goes on to the same bits.

    It stops iterating after `seconds`, so that it is measured however slow the device is.
    """
    until = time.monotonic() + float(seconds)
    recipe, scale = recipe_of(name), scale_of(asked, tiles, iterations=asked.iterations)
    with repeatable_kernels():
        game = new_game(asked, tiles, recipe, scale, GRAPH)
        warm = game.play(max(1, min(WARM, asked.iterations // 4)), until)
        wait(asked.device)
        began = time.perf_counter()
        losses = game.play(max(1, asked.iterations - len(warm)), until)
        wait(asked.device)
        each = (time.perf_counter() - began) / len(losses)
        measured: dict[str, float | int | str | bool | None] = {
            "width": game.scale.width,
            "batch": game.scale.batch,
            "iterations": len(warm) + len(losses),
            "seconds_an_iteration": each,
            "hours_to_20000": each * PAPER / 3600,
            "images_per_second": game.scale.batch * game.recipe.critic_steps / each,
            "peak_memory_mib": _peak_mib(asked.device),
        }
        failures = [] if torch.cat([warm, losses]).isfinite().all() else ["losses are not finite"]
        if bad := not_finite(game.state):
            failures.append(f"{bad} is not finite")
        measured |= _validated(asked, game, tiles, name)
        off = _resumed(asked, tiles, recipe, scale)
    measured |= {"resumes_to_the_bit": off == 0, "resume_off": off}
    return Found(measured, failures)


def _validated(asked: Asked, game: Game, tiles: str, name: str) -> dict[str, float]:
    """The validation's measurements; its first tiles become a picture."""
    validation = Validation(game.recipe, game.store, game.state.players.camera, torch.device(asked.device))
    drawn = validation.draw(game.state.ema_generator)
    picture(asked.out / f"trained-{tiles}-{name}.png", drawn.flux[:16], game.store.card.bands)
    return {"validation_score": validation.measure(drawn)["validation_score"]}


def _resumed(asked: Asked, tiles: str, recipe: Recipe, scale: TrainingScale) -> float:
    """How far weights are off, at most, after a resume from a file, from those of a training that went on."""
    one, other = (new_game(asked, tiles, recipe, scale, GRAPH) for _ in range(2))
    configuration = configuration_of(one.recipe, one.scale, one.store.card, SEED, torch.device(asked.device))
    some = min(RESUMED, asked.iterations)
    one.play(some)
    with TemporaryDirectory() as folder:
        save_state(Path(folder) / "state.pt", one.state, configuration)
        restore_state(Path(folder) / "state.pt", other.state, configuration)
    one.play(some)
    other.play(some)
    networks = ("generator", "discriminator")
    pairs = [[weights_of(getattr(game.state.players, network)) for game in (one, other)] for network in networks]
    return max(float((mine[key] - theirs[key]).abs().max()) for mine, theirs in pairs for key in mine)


class Rows:
    """A log that adds a line of JSON a measurement to a file, and keeps the last samples as a picture."""

    def __init__(self, path: Path, bands: list[str]) -> None:
        self._path, self._bands = path, bands

    def metrics(self, values: Mapping[str, float], images_seen: int) -> None:
        """Add a line."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"images_seen": images_seen, **values}) + "\n")

    def samples(self, flux_nmgy: NDArray[np.float32], images_seen: int) -> None:  # noqa: ARG002 - a log's
        """Take the place of the picture before."""
        picture(self._path.with_suffix(".png"), flux_nmgy, self._bands)

    def tag(self, name: str, value: str) -> None:
        """Add a line with a word about the whole training."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({name: value}) + "\n")


def to_the_end(asked: Asked, tiles: str, name: str, seconds: str) -> Found:
    """Train a recipe to its last iteration, as the pipeline does; a call that has too little time goes on at the next.

    Its curve, its samples and the bundle of its best checkpoint lie in the folder for the results.
    """
    store, scale = TileStore.open(asked.store / tiles), scale_of(asked, tiles, iterations=asked.long)
    recipe, place = recipe_of(name).at_scale(scale), asked.out / f"long-{tiles}-{name}.pt"
    before, began = _kept(place), time.perf_counter()
    ending = threading.Timer(max(1.0, float(seconds) - SAVING_S), os.kill, (os.getpid(), signal.SIGTERM))
    former = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # for before and after the loop has its own
    ending.start()
    log = Rows(asked.out / f"long-{tiles}-{name}.jsonl", store.card.bands)
    try:
        train(recipe, scale, store, SEED, torch.device(asked.device), place, log)
    except SystemExit:  # the time is over, its state is kept
        pass
    finally:
        ending.cancel()
        signal.signal(signal.SIGTERM, former)
    after, took = _kept(place), time.perf_counter() - began
    iteration = after.get("iteration", 0)
    played = iteration - before.get("iteration", 0)
    measured: dict[str, float | int | str | bool | None] = {
        "iterations": iteration,
        "of": scale.iterations,
        "seconds_an_iteration": took / played if played else None,  # measurements and saving too
    }
    if after.get("best"):
        best = Checkpoint(**after["best"])
        bundle = asked.out / "bundles" / tiles / name
        make_folder(bundle.parent)
        save_trained(bundle, tiles, name, scale.width, best, store)
        measured |= {"best_iteration": best.iteration, "validation_score": best.measured["validation_score"]}
    return Found(measured, [], finished=iteration >= scale.iterations)


def _kept(place: Path) -> dict[str, Any]:
    """What is kept of a training; nothing before its first state."""
    found = read_newest(place)
    return {} if found is None else torch.load(io.BytesIO(found), map_location="cpu", weights_only=True)


def _peak_mib(device: str) -> int:
    """The most memory that was in use: the GPU's, or the process' on a CPU."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated() // 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 2**10
