"""The parts that compare the ways in which a training can be played: to the bit, and with the CPU."""

from typing import Any, get_args

import torch

from skygen.gan.recipes import ConvolutionalRecipe, Recipe
from skygen.training.batches import iteration_rng
from skygen.training.graph import WARM, FixedStep, Graph
from skygen.training.loop import play
from skygen.training.precision import Precision, repeatable_kernels
from skygen.training.state import not_finite, weights_of
from tools.gpu.asked import Asked, Found
from tools.gpu.games import GRAPH, RESIDENT, STREAMING, Game, Way, new_game, recipe_of, scale_of

PAINTED = ("gan", "improved", "ambient")
NARROW = {"width": 16, "batch": 8}  # what is compared is the same at any size
PLAYED = WARM + 5  # iterations, of which a graph replays five
COMPARED = 4  # iterations beside the CPU's
LONGER = 100  # iterations with TF32 beside those without
OFF = 1e-3  # of a loss on the device from the CPU's, as share of the largest: rounding grows from step to step
_SMOOTH = {
    "discriminator_norm": "none",
    "penalty_weight": 1.0,
    "clip": None,
    "ema_half_life": 1000.0,
    "lr_decay": 0.1,
}
ROWS: dict[str, dict[str, dict[str, Any]]] = {  # what trainings can be made of, as changes to the paper's recipe
    "gan": {"gan": {}},
    "improved": {"improved": {}},
    "ambient": {"ambient": {}},
    "penalties": {
        "gradient penalty": {**_SMOOTH, "penalty": "gradient_penalty"},
        "relativistic": {**_SMOOTH, "penalty": "r1_r2", "loss": "relativistic", "critic_steps": 1},
    },
    "pooling": {"pooling": {"resampling": "pooling"}},
    "optimisers": {name: {"optimiser": name} for name in ("sgd", "rmsprop", "adamax", "adagrad")},
}


def paths(asked: Asked, rows: str) -> Found:
    """Whether tiles that are resident, and a CUDA graph, give the weights that streaming and no graph give, to the bit.

    Fails where a graph cannot be captured, or where an iteration waits for the device.
    """
    measured: dict[str, float | int | str | bool | None] = {}
    failures = []
    for name, changes in ROWS[rows].items():
        recipe = recipe_of("improved", **changes) if changes else recipe_of(name)
        with repeatable_kernels():
            games = {way: _played(asked, recipe, way) for way in (STREAMING, RESIDENT, GRAPH)}
        failures += [f"{name}: {bad} is not finite" for game in games.values() if (bad := not_finite(game.state))]
        for word, one, other in (("resident", STREAMING, RESIDENT), ("graph", RESIDENT, GRAPH)):
            off = _apart(games[one], games[other])
            measured[f"{name}: {word} off"] = off
            failures += [f"{name}: weights by {word} are {off:.1e} off"] if off else []
        if asked.device == "cuda":
            player = games[GRAPH].player
            captured = isinstance(player, Graph) and player.captured
            measured[f"{name}: captured"] = captured
            failures += [] if captured else [f"{name}: torch cannot capture an iteration"]
            failures += [f"{name}: {waits}"] if (waits := _waits(games[RESIDENT])) else []
    return Found(measured, failures)


def losses(asked: Asked, name: str) -> Found:
    """How far the losses of a training on the device are from the CPU's, and with TF32 from those without.

    Without dropout, whose numbers a GPU draws by itself.
    """
    recipe, tiles = recipe_of(name), "sky"
    if isinstance(recipe, ConvolutionalRecipe):
        tiles = "r64"
        recipe = recipe.model_copy(update={"dropout": "none", "dropout_rate": 0.0, "dropout_k": None})
    scale = scale_of(asked, tiles, **NARROW)

    def played(iterations: int, precision: Precision, device: str) -> torch.Tensor:
        with repeatable_kernels(precision):
            return new_game(asked, tiles, recipe, scale, STREAMING, device).play(iterations)

    longer = max(COMPARED, min(LONGER, asked.iterations))
    right = played(COMPARED, "exact", "cpu")
    exact, rounded = (played(longer, precision, asked.device) for precision in get_args(Precision))
    off = float((exact[:COMPARED] - right).abs().max() / right.abs().max())
    tf32 = (rounded - exact).abs() / exact.abs().max()
    measured: dict[str, float | int | str | bool | None] = {
        "off": off,
        "tf32_off_at_first": float(tf32[:COMPARED].max()),
        "tf32_off": float(tf32.max()),
        "iterations": len(tf32),
    }
    return Found(measured, [] if off <= OFF else [f"losses are {off:.1e} of the largest off, over {OFF:g}"])


def _played(asked: Asked, recipe: Recipe, way: Way) -> Game:
    game = new_game(asked, "r64", recipe, scale_of(asked, "r64", **NARROW), way)
    game.play(min(PLAYED, asked.iterations))
    return game


def _apart(one: Game, other: Game) -> float:
    """How far the weights of both networks, and of the average, are apart at most."""
    sides = [
        [game.state.players.generator, game.state.players.discriminator, game.state.ema_generator]
        for game in (one, other)
    ]
    return max(
        float((mine.double() - theirs.double()).abs().max())
        for networks in zip(*sides, strict=True)
        for mine, theirs in zip(*(weights_of(network).values() for network in networks), strict=True)
    )


def _waits(game: Game) -> str:
    """What an iteration that is loaded says where it waits for the device; nothing where it does not."""
    step = FixedStep(game.state, game.recipe, game.batches, play)
    step.load(iteration_rng(1, 0), game.recipe.dropout_rate)
    torch.cuda.set_sync_debug_mode("error")
    try:
        step.play()
    except RuntimeError as error:
        return str(error)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return ""
