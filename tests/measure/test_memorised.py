import numpy as np
import pytest

from skygen.measure import memorised


@pytest.fixture
def sky():
    """Features of 2,000 training tiles and of 300 held-out ones of the same distribution."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(2000, 8)).astype(np.float32), rng.normal(size=(300, 8)).astype(np.float32)


def measure(fake, real, train):
    return memorised.relate(fake, real, train)(np.ones((1, len(fake))), np.ones((1, len(real))))["memorised"][0]


def test_training_tiles_returned_are_memorised(sky):
    train, held_out = sky

    assert measure(train[100:400], held_out, train) == 1


def test_training_tiles_with_a_little_noise_are_memorised(sky):
    train, held_out = sky
    near = train[:300] + np.random.default_rng(1).normal(0, 0.05, (300, 8)).astype(np.float32)

    assert measure(near, held_out, train) > 0.98


def test_new_tiles_of_the_same_distribution_are_not(sky):
    train, held_out = sky
    new = np.random.default_rng(2).normal(size=(300, 8)).astype(np.float32)

    assert measure(new, held_out, train) == pytest.approx(0.5, abs=0.06)
    assert measure(held_out, held_out, train) == 0.5


def test_strange_tiles_are_farther_from_the_training_tiles_than_the_sky(sky):
    train, held_out = sky

    assert measure(held_out + 10, held_out, train) == 0


def test_the_nearest_training_tile_and_its_distance():
    train = np.array([[0, 0], [3, 4], [10, 0]], np.float32)
    found = memorised.nearest(np.array([[3, 3], [10, 0], [0, 1]], np.float32), train)

    assert found.tile.tolist() == [1, 2, 0]
    assert found.distance.tolist() == [1, 0, 1]


def test_nearest_agrees_with_all_distances(sky):
    train, held_out = sky
    apart = np.linalg.norm(held_out[:, None].astype(float) - train, axis=2)
    found = memorised.nearest(held_out, train)

    assert (found.tile == apart.argmin(axis=1)).all()
    assert found.distance == pytest.approx(apart.min(axis=1), rel=1e-6)


def test_weighted_pairs_and_ties():
    statistic = memorised.compare(np.array([1.0, 2.0, 5.0]), np.array([3.0, 2.0]))
    fake = np.array([[1.0, 1, 1], [0, 3, 0], [0, 0, 1]])
    real = np.array([[1.0, 1], [1, 3], [1, 1]])

    assert statistic(fake, real)["memorised"] == pytest.approx([3.5 / 6, (1 + 3 / 2) / 4, 0])
