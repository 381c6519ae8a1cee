import numpy as np
import pytest
from scipy.spatial.distance import cdist, pdist

from skygen.measure import frechet, kernel


def measure(fake, real, distance=kernel):
    (values,) = distance.relate(fake, real)(np.ones((1, len(fake))), np.ones((1, len(real)))).values()
    return values[0]


def table(x, y, scale):
    return np.mean([np.exp(-cdist(x, y) / (times * scale)) for times in (0.5, 1, 2)], axis=0)


def test_two_points_have_a_known_distance():
    real = np.array([[0.0], [2.0]])  # whose median distance is 2
    between, apart = (np.mean([np.exp(-1 / times) ** power for times in (0.5, 1, 2)]) for power in (0.5, 1))

    assert measure(np.ones((3, 1)), real) == pytest.approx(1 + apart - 2 * between)


def test_equal_distributions_are_at_distance_0_on_average():
    rng = np.random.default_rng(0)
    values = [measure(*rng.normal(size=(2, 60, 8))) for _ in range(200)]

    assert np.mean(values) == pytest.approx(0, abs=4 * np.std(values) / np.sqrt(200))
    assert min(values) < 0 < max(values)


def test_half_samples_of_one_set_are_at_distance_0_on_average():
    tiles = np.random.default_rng(0).normal(size=(60, 8))
    first = np.random.default_rng(1).permuted(np.tile([1.0, 0.0], (1000, 30)), axis=1)
    values = kernel.relate(tiles, tiles)(first, 1 - first)["kernel"]

    assert values.mean() == pytest.approx(0, abs=4 * values.std() / np.sqrt(1000))


def test_large_sets_go_piece_by_piece(monkeypatch):
    rng = np.random.default_rng(0)
    fake, real = rng.normal(0.2, 1.1, (20, 4)), rng.normal(size=(23, 4))
    whole = measure(fake, real)
    monkeypatch.setattr(kernel, "_ROWS", 7)

    assert measure(fake, real) == pytest.approx(whole)


def test_a_tile_that_counts_twice_is_not_paired_with_itself():
    rng = np.random.default_rng(0)
    fake, real = rng.normal(size=(6, 3)), rng.normal(size=(5, 3))
    weights, scale = np.array([[2.0, 1, 1, 1, 1, 0]]), np.median(pdist(real))
    of_pairs = np.outer(weights[0], weights[0]) * ~np.eye(6, dtype=bool)
    within = (of_pairs * table(fake, fake, scale)).sum() / of_pairs.sum()
    other = table(real, real, scale)
    between = (weights[0] @ table(fake, real, scale)).sum() / 30
    expected = within + (other.sum() - np.trace(other)) / 20 - 2 * between

    assert kernel.relate(fake, real)(weights, np.ones((1, 5)))["kernel"][0] == pytest.approx(expected)


@pytest.fixture
def sky():
    """Features of 600 tiles with a few extremes, as bright stars make them."""
    return np.random.default_rng(0).standard_t(3, size=(600, 16))


def test_one_tile_repeated_is_behind_every_diverse_set_that_looks_real(sky):
    real, others = sky[:200], sky[200:400]
    typical = np.repeat(real[[np.linalg.norm(real, axis=1).argmin()]], 200, axis=0)
    plausible = {
        "the sky": others,
        "a shift of a third of the spread": others + 0.5,
        "half of the spread": others / 2,
        "twice the spread": others * 2,
        "each tile five times": np.repeat(others[:40], 5, axis=0),
    }
    worst = {name: measure(tiles, real) for name, tiles in plausible.items()}

    assert max(worst.values()) < 0.6 * measure(typical, real), worst


def test_a_few_extremes_do_not_lead(sky):
    real, others = sky[:200], sky[200:400]
    shifted, extreme = others + 0.5, others.copy()
    extreme[:4] *= 20

    assert measure(extreme, real) < measure(shifted, real) / 3
    assert measure(extreme, real, frechet) > 3 * measure(shifted, real, frechet)


def test_where_all_real_tiles_are_one_values_are_finite():
    assert measure(np.ones((4, 2)), np.zeros((4, 2))) == 2
    assert measure(np.zeros((4, 2)), np.zeros((4, 2))) == 0
