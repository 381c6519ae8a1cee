import numpy as np
import pytest
import torch

from skygen.training import validation as module
from skygen.training.state import new_state
from skygen.training.validation import Drawn, Validation
from tests.training.tiny import CPU


@pytest.fixture
def validated(noise_store, recipes):
    """A function: a recipe's validation and an untrained generator of it."""

    def make(name):
        state = new_state(recipes[name], noise_store.card, 2, 0, CPU)
        return Validation(recipes[name], noise_store, state.players.camera, CPU), state.players.generator

    return make


@pytest.mark.parametrize("name", ["gan", "ambient", "scene"])
def test_the_same_generator_draws_the_same_tiles_whatever_chance_stands_at(validated, name):
    validation, generator = validated(name)
    first = validation.draw(generator)
    torch.manual_seed(99)

    assert np.array_equal(validation.draw(generator).flux, first.flux)
    assert validation.measure(first) == validation.measure(Drawn(first.flux.copy(), first.scenes))
    assert generator.training
    assert first.flux.shape == (17, 3, 64, 64)


@pytest.mark.parametrize("name", ["ambient", "scene"])
def test_clean_scenes_are_watched_where_there_is_a_noise_model(validated, name):
    validation, generator = validated(name)
    drawn = validation.draw(generator)
    same = Drawn(drawn.flux, np.zeros_like(drawn.scenes))

    assert validation.measure(drawn)["validation_scene_diversity"] > 0
    assert validation.measure(same)["validation_scene_diversity"] == 0
    assert validation.measure(same)["validation_diversity"] > 0.1  # fresh noise hides it
    noise = (drawn.flux - drawn.scenes).std((2, 3))
    assert 0.01 < noise.min() < noise.max() < 1


def test_tiles_painted_with_their_noise_are_watched_as_they_are(validated):
    validation, generator = validated("gan")
    drawn = validation.draw(generator)

    assert drawn.scenes is None
    assert "validation_scene_diversity" not in validation.measure(drawn)


def test_of_many_tiles_a_process_is_measured_on_some(validated, monkeypatch):
    monkeypatch.setattr(module, "MOST", 5)

    assert len(validated("scene")[0].draw(validated("scene")[1]).flux) == 5
    assert len(validated("gan")[0].draw(validated("gan")[1]).flux) == 17


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_tiles_that_are_not_finite_are_refused_before_they_are_measured(validated, bad):
    validation, generator = validated("gan")
    drawn = validation.draw(generator)
    drawn.flux[3, 0, 5, 5] = bad

    with pytest.raises(ValueError, match="generated tiles hold NaN or infinity"):
        validation.measure(drawn)
