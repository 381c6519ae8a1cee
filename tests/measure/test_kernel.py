import numpy as np
import pytest
import torch
from torchmetrics.image.kid import poly_mmd

from skygen.measure import kernel


def measure(fake, real):
    return kernel.relate(fake, real)(np.ones((1, len(fake))), np.ones((1, len(real))))["kernel"][0]


def test_it_agrees_with_torchmetrics():
    rng = np.random.default_rng(0)
    fake, real = rng.normal(0.2, 1.1, (120, 8)), rng.normal(size=(120, 8))
    reference = poly_mmd(torch.from_numpy(real), torch.from_numpy(fake))

    assert measure(fake, real) == pytest.approx(float(reference), rel=1e-6)


def test_equal_distributions_are_at_distance_0_on_average():
    rng = np.random.default_rng(0)
    values = [measure(*rng.normal(size=(2, 60, 8))) for _ in range(200)]

    assert np.mean(values) == pytest.approx(0, abs=4 * np.std(values) / np.sqrt(200))
    assert min(values) < 0 < max(values)


def test_two_points_have_a_known_distance():
    # k(a, a) = (4 / 1 + 1)³ = 125, k(b, b) = 1 and k(a, b) = 1 for a = 2 and b = 0
    assert measure(np.full((3, 1), 2.0), np.zeros((4, 1))) == pytest.approx(125 + 1 - 2)


def test_large_sets_go_piece_by_piece(monkeypatch):
    rng = np.random.default_rng(0)
    fake, real = rng.normal(0.2, 1.1, (20, 4)), rng.normal(size=(23, 4))
    whole = measure(fake, real)
    monkeypatch.setattr(kernel, "_ROWS", 7)

    assert measure(fake, real) == pytest.approx(whole)


def test_a_tile_drawn_twice_is_not_paired_with_itself():
    rng = np.random.default_rng(0)
    fake, real = rng.normal(size=(6, 3)), rng.normal(size=(5, 3))
    weights = np.array([[2.0, 1, 1, 1, 1, 0]])
    table = (fake @ fake.T / 3 + 1) ** 3
    pairs = [(i, j) for i in range(6) for j in range(6) if i != j]
    within = sum(weights[0, i] * weights[0, j] * table[i, j] for i, j in pairs) / sum(
        weights[0, i] * weights[0, j] for i, j in pairs
    )
    other = (real @ real.T / 3 + 1) ** 3
    between = (weights[0] @ (fake @ real.T / 3 + 1) ** 3).sum() / 30
    expected = within + (other.sum() - np.trace(other)) / 20 - 2 * between

    assert kernel.relate(fake, real)(weights, np.ones((1, 5)))["kernel"][0] == pytest.approx(expected)
