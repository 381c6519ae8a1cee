"""Prints what rectangles of a plane are, to the bit: run by tests in processes of their own."""

import hashlib
import sys

import numpy as np
import torch

from skygen.process.plane import Plane
from tests.process.skies import conditions, process


def rectangles(n=100, seed=5):
    """Rectangles [n] of x, y, width and height that overlap around the origin."""
    rng = np.random.default_rng(seed)
    return [(*map(int, rng.integers(-300, 200, 2)), *map(int, rng.integers(1, 110, 2))) for _ in range(n)]


def plane():
    return Plane(process(background=0.001), 7, conditions())


if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[1]))
    order = rectangles()
    if sys.argv[2] == "backwards":
        order = order[::-1]
    drawn = plane()
    for rectangle in order:
        sha256 = hashlib.sha256(drawn.rectangle(*rectangle).tobytes()).hexdigest()
        sys.stdout.write(" ".join(map(str, (*rectangle, sha256))) + "\n")
