import numpy as np
import pytest
import torch

from skygen.training.state import new_state
from skygen.training.validation import Validation
from tests.training.tiny import CPU


@pytest.fixture
def validated(noise_store, recipes):
    """A function: a recipe's validation and an untrained generator of it."""

    def make(name):
        state = new_state(recipes[name], noise_store.card, 2, 0, CPU)
        return Validation(recipes[name], noise_store, state.players.camera, CPU), state.players.generator

    return make


@pytest.mark.parametrize("name", ["gan", "scene"])
def test_the_same_generator_draws_the_same_tiles_whatever_chance_stands_at(validated, name):
    validation, generator = validated(name)
    first = validation.draw(generator)
    torch.manual_seed(99)

    assert np.array_equal(validation.draw(generator), first)
    assert validation.measure(first) == validation.measure(first.copy())
    assert generator.training
    assert first.shape == (17, 1, 64, 64)


def test_clean_scenes_are_watched_where_there_is_a_noise_model(validated):
    validation, generator = validated("scene")
    watched = validation.watch(generator)

    assert set(watched) == {"validation_scene_diversity"}
    for weight in generator.parameters():  # the same scene whatever the latents
        torch.nn.init.zeros_(weight)
    assert validation.watch(generator) == {"validation_scene_diversity": 0}
    assert validation.measure(validation.draw(generator))["validation_diversity"] > 0.1
    assert watched["validation_scene_diversity"] > 0


def test_tiles_painted_with_their_noise_are_watched_as_they_are(validated):
    validation, generator = validated("gan")

    assert validation.watch(generator) == {}
