"""Trainings on a pretended device that refuses what a GPU refuses: to mix its tensors with the CPU's."""

import numpy as np
import pytest
import torch

from skygen.training.batches import Batches, iteration_rng
from skygen.training.loop import iterate
from skygen.training.state import new_state, not_finite, weights_of
from skygen.training.validation import Validation
from tests.harness.elsewhere import ELSEWHERE, Elsewhere, Far
from tests.training.tiny import CPU, RECIPES


@pytest.fixture(autouse=True)
def _plain_adam(monkeypatch):
    """torch fuses Adam on the devices that it lists; the pretended one is none of them."""
    plain = torch.optim.Adam
    monkeypatch.setattr(torch.optim, "Adam", lambda weights, fused, **named: plain(weights, foreach=False, **named))


def played(recipe, store, device, iterations=2):
    state = new_state(recipe, store.card, 2, 0, device)
    batches = Batches(recipe, store, state.players, 4, device)
    losses = [iterate(state, recipe, batches, iteration_rng(0, state.images_seen), 0.0) for _ in range(iterations)]
    return state, batches, torch.stack(losses)


@pytest.mark.parametrize("name", RECIPES)
def test_an_iteration_elsewhere_mixes_no_devices_and_is_that_of_the_cpu(recipes, noise_store, name):
    with Elsewhere():
        state, _, losses = played(recipes[name], noise_store, ELSEWHERE)
        assert isinstance(losses, Far)
        found = weights_of(state.players.generator)
    here, _, expected = played(recipes[name], noise_store, CPU)

    torch.testing.assert_close(losses.near, expected, rtol=1e-4, atol=1e-5)
    for key, weight in weights_of(here.players.generator).items():
        torch.testing.assert_close(found[key], weight, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", RECIPES)
def test_a_state_elsewhere_is_checked_and_measured(recipes, noise_store, name):
    with Elsewhere():
        state, _, _ = played(recipes[name], noise_store, ELSEWHERE, 1)
        assert not_finite(state) is None
        drawn = Validation(recipes[name], noise_store, state.players.camera, ELSEWHERE).draw(state.ema_generator)
        assert np.isfinite(drawn.flux).all()


def test_the_pretended_device_refuses_a_mixture(recipes, noise_store):
    with Elsewhere():
        state, batches, _ = played(recipes["scene"], noise_store, ELSEWHERE, 1)
        draws = batches.draw(iteration_rng(0, 0), real=True)
        with pytest.raises(RuntimeError, match="two devices"):
            state.players.generator(draws.latents.to(CPU))
