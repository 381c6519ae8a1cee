"""Trainings killed by SIGKILL at random moments, again and again, in processes of their own."""

import io
from functools import partial
from multiprocessing import get_context

import numpy as np
import pytest
import torch

from skygen.training.checkpoints import read_newest
from tests.training.tiny import flat, same, scale, train_saving_always

SIZES = scale(iterations=8, measurements=2)
processes = get_context("forkserver")  # whose server imports torch once, and computes nothing
processes.set_forkserver_preload(["skygen.training.loop", "torch._dynamo"])  # the latter comes with an optimiser


def last_state(checkpoint):
    return flat(torch.load(io.BytesIO(read_newest(checkpoint)), weights_only=True))


def start(recipe, store, checkpoint):
    process = processes.Process(target=train_saving_always, args=(recipe, SIZES, store, checkpoint))
    process.start()
    return process


def finished(recipe, store, checkpoint):
    """The state of a training that went on to its end."""
    process = start(recipe, store, checkpoint)
    process.join()
    assert process.exitcode == 0
    return last_state(checkpoint)


def train_under_fire(start_in, folder, kills, rng):
    """The checkpoints of trainings that ended at last, `kills` of whose processes were killed with a state to resume.

    A training that ends before it is killed makes way for another, and the next is killed sooner: so the moments
    follow the machine's speed, and lie all over a training.
    """
    ended, checkpoint, longest_s = [], folder / "0.pt", 1.0
    while kills or checkpoint.exists():
        process = start_in(checkpoint)
        if kills:
            process.join(rng.uniform(0, longest_s))
            process.kill()
        process.join()
        if process.exitcode == 0:
            ended.append(checkpoint)
            checkpoint, longest_s = folder / f"{len(ended)}.pt", 0.8 * longest_s
        else:
            assert process.exitcode == -9
            kills, longest_s = kills - checkpoint.exists(), 1.1 * longest_s
    return ended


@pytest.mark.parametrize("name", ["scene", "improved"])
@pytest.mark.parametrize("kills", [3, pytest.param(50, marks=pytest.mark.slow)])
def test_killed_at_random_moments_a_training_ends_as_if_it_had_been_left_in_peace(
    tmp_path, noise_store, recipes, name, kills
):
    peaceful = finished(recipes[name], noise_store, tmp_path / "peaceful.pt")
    start_in = partial(start, recipes[name], noise_store)
    ended = train_under_fire(start_in, tmp_path, kills, np.random.default_rng(kills))

    assert all(same(last_state(checkpoint), peaceful) for checkpoint in ended)
    assert len(peaceful) > 100
    assert peaceful[".iteration"] == SIZES.iterations
