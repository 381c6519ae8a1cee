from statistics import NormalDist

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from skygen.measure import two_sample_features


def measure(fake, real, seed=0):
    statistic = two_sample_features.relate(fake, real, seed)
    return statistic(np.ones((1, len(fake))), np.ones((1, len(real))))["c2st.features"][0]


def draws(tiles=300, seed=0):
    return np.random.default_rng(seed).normal(size=(2, tiles, 8))


def test_equal_distributions_are_a_guess():
    fake, real = draws()

    assert measure(fake, real) == pytest.approx(0.5, abs=2 * np.sqrt(0.25 / 600))


def test_a_shift_is_told_as_often_as_it_can_be():
    fake, real = draws(1000)
    fake[:, 2] += 1.5

    assert measure(fake, real) == pytest.approx(NormalDist().cdf(0.75), abs=0.03)


def test_a_wider_spread_and_a_dependence_are_found_too():
    fake, real = draws(500)
    dependent = fake.copy()
    dependent[:, 1] = fake[:, 0] + 0.1 * fake[:, 1]

    assert measure(1.5 * fake, real) > 0.68
    assert measure(dependent, real) > 0.7


def test_a_repeated_tile_is_told_from_the_sky():
    fake, real = draws(100)

    assert measure(np.repeat(fake[:1], 100, axis=0), real) > 0.95


def test_a_set_is_a_guess_against_itself_by_disjoint_halves():
    tiles, _ = draws(400)
    first = np.tile([1.0, 0.0], (1, 200))
    statistic = two_sample_features.relate(tiles, tiles, 0)

    assert statistic(first, 1 - first)["c2st.features"][0] == pytest.approx(0.5, abs=2 * np.sqrt(0.25 / 400))
    assert statistic(first, 1 - first)["c2st.features"][0] == measure(tiles[::2], tiles[1::2])


def test_other_rows_weigh_the_answers_about_the_tiles_of_the_first():
    given = []

    def answer(fake, real):
        given.append((fake.tolist(), real.tolist()))
        return np.array([1.0, 0.0]), np.array([1.0, 1.0, 0.0])

    rows = (
        np.array([[1.0, 1, 0, 0], [3, 1, 0, 5], [0, 0, 1, 1]]),
        np.array([[0.0, 1, 1, 1], [1, 1, 0, 1], [1, 0, 0, 0]]),
    )
    found = two_sample_features.judged("key", answer, np.arange(4), np.arange(4))(*rows)["key"]

    assert given == [([0, 1], [1, 2, 3])]
    # where a row counts none of them, all of the first row do
    assert found == pytest.approx([(1 / 2 + 2 / 3) / 2, (3 / 4 + 1 / 2) / 2, (1 / 2 + 2 / 3) / 2])


def test_sets_of_unequal_size_count_alike():
    fake, real = draws(200)

    assert measure(fake[:40], real) == pytest.approx(0.5, abs=0.1)


def test_the_seed_alone_decides():
    fake, real = draws(100)
    with threadpool_limits(1):
        alone = measure(fake, real)

    assert measure(fake, real) == alone
    assert len({measure(fake, real, seed) for seed in range(4)}) > 1


def test_too_few_tiles_are_an_error():
    fake, real = draws()
    with pytest.raises(ValueError, match="4 and 300 tiles; a classifier needs at least 5 of each set"):
        measure(fake[:4], real)
