import numpy as np
import pytest
import torch
from torchmetrics.image.fid import _compute_fid

from skygen.measure import frechet


def measure(fake, real):
    return frechet.relate(fake, real)(np.ones((1, len(fake))), np.ones((1, len(real))))["frechet"][0]


def exactly(mean, covariance, tiles=200):
    """Features whose own mean and covariance are exactly these."""
    draws = np.random.default_rng(len(mean)).normal(size=(tiles, len(mean)))
    draws -= draws.mean(axis=0)
    white = draws @ np.linalg.inv(np.linalg.cholesky(np.cov(draws.T))).T
    return white @ np.linalg.cholesky(covariance).T + mean


def test_one_dimension_is_the_difference_of_means_and_of_spreads():
    values = frechet.distance(
        np.array([[1.0], [5.0]]), np.array([[[4.0]], [[1.0]]]), np.array([[3.0], [5.0]]), np.array([[[9.0]], [[1.0]]])
    )

    assert values == pytest.approx([(1 - 3) ** 2 + (2 - 3) ** 2, 0])


def test_two_known_normal_distributions_that_do_not_share_axes():
    a, b = np.array([[2.0, 0.5], [0.5, 1.0]]), np.array([[1.0, -0.3], [-0.3, 3.0]])
    # of a matrix of 2 x 2 the root's trace is (trace + 2 determinant^½)^½
    shared = np.sqrt(np.trace(a @ b) + 2 * np.sqrt(np.linalg.det(a @ b)))
    expected = 1 + 4 + np.trace(a) + np.trace(b) - 2 * shared

    assert measure(exactly([1.0, 2.0], a), exactly([0.0, 0.0], b)) == pytest.approx(expected, rel=1e-9)


def test_it_agrees_with_torchmetrics():
    rng = np.random.default_rng(0)
    fake, real = rng.normal(size=(150, 8)) @ rng.normal(size=(8, 8)) + 0.3, rng.normal(size=(180, 8))
    moments = [(torch.from_numpy(part.mean(axis=0)), torch.from_numpy(np.cov(part.T))) for part in (fake, real)]

    assert measure(fake, real) == pytest.approx(float(_compute_fid(*moments[0], *moments[1])), rel=1e-6)


def test_a_set_against_itself_is_at_distance_0_even_where_features_depend_on_each_other():
    features = np.random.default_rng(0).normal(size=(30, 4))
    features[:, 3] = features[:, 0]

    assert measure(features, features) == pytest.approx(0, abs=1e-6)


def test_a_repeated_tile_has_no_spread():
    real = exactly([0.0, 0.0], np.diag([4.0, 1.0]))

    assert measure(np.zeros((50, 2)), real) == pytest.approx(4 + 1)


def test_a_tile_that_counts_twice_is_as_two_tiles():
    rng = np.random.default_rng(0)
    fake, real = rng.normal(size=(40, 3)), rng.normal(size=(50, 3))
    weights = np.stack([np.ones(40), np.r_[2, 0, np.ones(38)]])
    values = frechet.relate(fake, real)(weights, np.ones((2, 50)))["frechet"]

    assert values == pytest.approx([measure(fake, real), measure(fake[[0, 0, *range(2, 40)]], real)])
