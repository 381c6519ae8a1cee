"""The iteration that a CUDA graph holds, without a GPU: that it is the plain one, and does what a capture allows."""

from contextlib import contextmanager
from copy import deepcopy
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
import torch

from skygen.gan.dropout import dropout_rate
from skygen.training import loop
from skygen.training.batches import Batches, iteration_rng
from skygen.training.graph import WARM, FixedStep, Graph
from skygen.training.loop import iterate, player_of
from skygen.training.state import new_state, set_steps
from tests.harness.captures import Captures
from tests.harness.elsewhere import ELSEWHERE, Elsewhere
from tests.training.tiny import CPU, content, same

ROWS = {  # changes to a recipe
    "gan": ("gan", {}),
    "improved": ("improved", {}),
    "ambient": ("ambient", {}),
    "pooling": ("gan", {"resampling": "pooling", "generator_norm": "none", "discriminator_norm": "none"}),
    "average": ("relativistic", {"ema_half_life": 100.0, "dropout": "fixed", "dropout_rate": 0.3}),
    "gradient penalty and falling steps": (
        "relativistic",
        {
            "loss": "wasserstein",
            "penalty": "gradient_penalty",
            "critic_steps": 2,
            "lr_decay": 0.01,
            "dropout": "s_dropout",
            "dropout_k": 0.25,
        },
    ),
    "sgd": ("improved", {"optimiser": "sgd", "lr_decay": 0.1}),
    "rmsprop": ("improved", {"optimiser": "rmsprop"}),
    "adamax": ("improved", {"optimiser": "adamax"}),
    "adagrad": ("improved", {"optimiser": "adagrad", "lr_decay": 0.1}),
}
ITERATIONS = 4


@pytest.fixture(params=ROWS)
def recipe(recipes, relativistic, request):
    name, changes = ROWS[request.param]
    return recipes.get(name, relativistic).model_copy(update=changes)


@pytest.fixture
def played(noise_store):
    """A function: the state and the losses after some iterations by what `player` makes of a beginning."""

    def start(recipe, player, resident=False, device=CPU):
        state = new_state(recipe, noise_store.card, 2, 0, device)
        batches = Batches(recipe, noise_store, state.players, 4, device, resident)
        play, losses = player(state, recipe, batches), []
        for iteration in range(ITERATIONS):
            rng = iteration_rng(0, state.images_seen)
            set_steps(state.players, recipe, iteration / ITERATIONS)
            losses.append(play(rng, dropout_rate(recipe, iteration, state.images_seen, len(batches.tiles))))
        return state, torch.stack(losses)

    return start


def plain(state, recipe, batches):
    return lambda rng, dropout: iterate(state, recipe, batches, rng, dropout)


def shaped(state, recipe, batches):
    """Iterations as a graph plays them, each computed where a graph would be replayed."""
    step = FixedStep(state, recipe, batches, loop.play)

    def play(rng, dropout):
        step.load(rng, dropout)
        losses = step.play()
        state.iteration += 1
        return losses

    return play


@pytest.mark.parametrize("resident", [False, True])
def test_the_step_in_fixed_buffers_is_the_plain_one_bit_for_bit(recipe, played, resident):
    state, losses = played(recipe, shaped, resident)
    expected, expected_losses = played(recipe, plain)

    assert same(content(state), content(expected))
    assert torch.equal(losses, expected_losses)
    assert (state.iteration, state.images_seen) == (ITERATIONS, ITERATIONS * 4 * recipe.critic_steps)


def test_a_loaded_step_reads_no_value_and_moves_nothing(recipe, noise_store):
    if recipe.optimiser in ("rmsprop", "adamax"):
        pytest.skip("on a CPU torch counts their steps in numbers; on a GPU they are capturable")
    state = new_state(recipe, noise_store.card, 2, 0, CPU)
    step = FixedStep(state, recipe, Batches(recipe, noise_store, state.players, 4, CPU, resident=True), loop.play)
    for _ in range(2):  # optimisers make what they keep in their first step
        step.load(iteration_rng(0, state.images_seen), 0.1)
        step.play()
    step.load(iteration_rng(0, state.images_seen), 0.2)

    with Captures():
        losses = step.play()
    assert losses.isfinite().all()


@pytest.mark.parametrize("resident", [False, True])
def test_the_step_elsewhere_mixes_no_devices_and_is_that_of_the_cpu(recipes, played, monkeypatch, resident):
    plain_adam = torch.optim.Adam
    monkeypatch.setattr(
        torch.optim, "Adam", lambda weights, fused, **named: plain_adam(weights, foreach=False, **named)
    )
    recipe = recipes["improved"].model_copy(update={"dropout": "none", "dropout_k": None, "ema_half_life": 100.0})
    with Elsewhere():
        _, losses = played(recipe, shaped, resident, ELSEWHERE)
    _, expected = played(recipe, plain)

    torch.testing.assert_close(losses.near, expected, rtol=1e-4, atol=1e-5)


class Gpu:
    """In place of torch.cuda, as there is no GPU: a capture leaves no trace in the state, a replay plays the step."""

    def __init__(self, refuses):
        self.refuses, self.captures, self.replays = refuses, 0, 0
        self.step = None

    Stream = Event = current_stream = stream = staticmethod(lambda *_, **__: MagicMock())

    def CUDAGraph(self):  # noqa: N802 - torch's name
        return SimpleNamespace(replay=self._replay)

    @contextmanager
    def graph(self, graph):
        players, average = self.step.state.players, self.step.state.ema_generator
        parts = [part for part in (*vars(players).values(), average) if hasattr(part, "state_dict")]
        before, rng = [deepcopy(part.state_dict()) for part in parts], torch.get_rng_state()
        self.captures += 1
        if self.refuses:
            players.discriminator.requires_grad_(False)  # in the midst of the generator's update
            raise RuntimeError("operation not permitted when stream is capturing")
        yield
        for part, content_before in zip(parts, before, strict=True):
            part.load_state_dict(content_before)
        torch.set_rng_state(rng)

    def _replay(self):
        self.replays += 1
        self.player._losses.copy_(self.step.play())


@pytest.mark.parametrize(("captures", "refuses", "replays"), [(True, False, 3), (True, True, 0), (False, False, 0)])
def test_iterations_are_the_same_captured_refused_and_switched_off(
    recipes, played, monkeypatch, caplog, captures, refuses, replays
):
    monkeypatch.setattr(f"{__name__}.ITERATIONS", WARM + 3)
    gpu = Gpu(refuses)
    for name in ("Stream", "Event", "current_stream", "stream", "CUDAGraph", "graph"):
        monkeypatch.setattr(torch.cuda, name, getattr(gpu, name))

    def graphed(state, recipe, batches):
        gpu.step = FixedStep(state, recipe, batches, loop.play)
        gpu.player = Graph(gpu.step, captures)
        return gpu.player

    state, losses = played(recipes["improved"], graphed)
    expected, expected_losses = played(recipes["improved"], plain)

    assert (gpu.captures, gpu.replays) == (int(captures), replays)
    assert ("not captured as a CUDA graph, the training goes on without: operation" in caplog.text) == refuses
    assert same(content(state), content(expected))
    assert torch.equal(losses, expected_losses)


def test_a_graph_is_for_a_gpu_alone(recipes, noise_store):
    state = new_state(recipes["gan"], noise_store.card, 2, 0, CPU)
    player = player_of(state, recipes["gan"], Batches(recipes["gan"], noise_store, state.players, 4, CPU))

    assert player.func is loop.iterate
