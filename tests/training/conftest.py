"""What tests of trainings share: a tiny training on a store of noise, and a look at its state."""

import pytest

from skygen.training import loop
from skygen.training.loop import train
from skygen.training.state import new_state
from tests.training.tiny import CPU, Recorder, scale


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
