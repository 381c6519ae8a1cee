"""Trainings that take a second, and how two of their states are compared."""

import torch

from skygen.params import TrainingScale
from skygen.training import loop
from skygen.training.loop import train
from skygen.training.state import Checkpoint
from skygen.training.validation import Validation

CPU = torch.device("cpu")
RECIPES = ["gan", "improved", "ambient", "scene"]


class Recorder:
    """A log that keeps what it is told."""

    def __init__(self):
        self.measured, self.drawn, self.tags = [], [], []

    def metrics(self, values, images_seen):
        self.measured.append((images_seen, dict(values)))

    def samples(self, flux_nmgy, images_seen):
        self.drawn.append((images_seen, flux_nmgy))

    def tag(self, name, value):
        self.tags.append((name, value))


class KilledError(Exception):
    pass


class Killer(Recorder):
    """A log that ends the training at its measurement number `at`, when the state before it is all that is kept."""

    def __init__(self, at):
        super().__init__()
        self._at = at

    def metrics(self, values, images_seen):
        if len(self.measured) + 1 == self._at:
            raise KilledError
        super().metrics(values, images_seen)


def scale(iterations=4, measurements=2, batch=4):
    factors = {"dropout_factor": 1.0, "clip_factor": 1.0}
    return TrainingScale(iterations=iterations, batch=batch, width=2, measurements=measurements, **factors)


def train_saving_always(recipe, sizes, store, checkpoint):
    """Train in a process of its own, and save after every iteration."""
    torch.set_num_threads(1)
    loop.SAVE_EVERY_S = 0.0
    train(recipe, sizes, store, 0, CPU, checkpoint, Recorder())


def content(state):
    """Everything that a state holds, flat."""
    found = {}
    for name, part in vars(state.players).items():
        if hasattr(part, "state_dict"):
            found |= flat(part.state_dict(), name)
    found |= flat(state.ema_generator.state_dict(), "ema_generator")
    rest = {key: value for key, value in vars(state).items() if key not in ("players", "ema_generator")}
    return found | flat(rest, "state")


def flat(value, name=""):
    """The leaves of nested dicts, lists and checkpoints, each under its path; tensors as copies."""
    if isinstance(value, Checkpoint):
        value = vars(value)
    if isinstance(value, list):
        value = dict(enumerate(value))
    if isinstance(value, dict):
        return {key: part for inner, item in value.items() for key, part in flat(item, f"{name}.{inner}").items()}
    return {name: value.clone() if isinstance(value, torch.Tensor) else value}


def same(one, other):
    """Whether two flat contents are equal, bit for bit."""
    return one.keys() == other.keys() and all(
        torch.equal(one[name], other[name]) if isinstance(one[name], torch.Tensor) else one[name] == other[name]
        for name in one
    )


def scored(monkeypatch, scores, diversity=1.0):
    """Let the validation say these scores, one after another."""
    following = iter(scores)

    def measure(validation, fake):
        return {"validation_score": next(following), "validation_diversity": diversity}

    monkeypatch.setattr(Validation, "measure", measure)
