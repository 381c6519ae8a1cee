"""What tests of trainings share: a tiny training on a store of noise, and a look at its state."""

import numpy as np
import pytest

from skygen.training import loop
from skygen.training.loop import train
from skygen.training.state import new_state
from tests.training.tiny import CPU, Recorder, scale


@pytest.fixture
def noise_store(tmp_path, write_store):
    """A store of 24 training, 34 validation and 8 test tiles [3, 64, 64] of sky noise with a bright spot each."""
    rng = np.random.default_rng(0)

    def tiles(count):
        flux = rng.normal(0, 0.03, (count, 3, 64, 64))
        rows, columns = rng.integers(8, 56, (2, count))
        flux[np.arange(count), :, rows, columns] += rng.uniform(1, 20, (count, 1))
        return flux.astype(np.float32)

    return write_store(tmp_path / "sky", {"train": tiles(24), "validation": tiles(34), "test": tiles(8)})


@pytest.fixture
def relativistic(recipes):
    """A recipe of a convolutional generator whose loss compares tiles and whose penalty is of their slopes."""
    return recipes["gan"].model_copy(
        update={
            "loss": "relativistic",
            "penalty": "r1_r2",
            "penalty_weight": 1.0,
            "discriminator_norm": "none",
            "init_std": None,
        }
    )


@pytest.fixture
def run(tmp_path, noise_store):
    """A function: the state and the log of a tiny training on the store of noise."""

    def start(recipe, sizes=None, seed=0, log=None, checkpoint="state.pt"):
        log = log or Recorder()
        return train(recipe, sizes or scale(), noise_store, seed, CPU, tmp_path / checkpoint, log), log

    return start


@pytest.fixture
def made(monkeypatch):
    """The states that trainings began with, as they go on."""
    states = []
    monkeypatch.setattr(loop, "new_state", lambda *arguments: states.append(new_state(*arguments)) or states[-1])
    return states
