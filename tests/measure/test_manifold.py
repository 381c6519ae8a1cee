import numpy as np
import pytest
from prdc import compute_prdc

from skygen.measure import manifold


@pytest.fixture
def real():
    return np.random.default_rng(0).normal(size=(200, 8))


def measure(fake, real):
    values = manifold.relate(fake, real)(np.ones((1, len(fake))), np.ones((1, len(real))))
    return {key: value[0] for key, value in values.items()}


@pytest.mark.parametrize("rows", [500, 33])
def test_they_agree_with_prdc(real, rows, monkeypatch):
    monkeypatch.setattr(manifold, "_ROWS", rows)
    fake = np.random.default_rng(1).normal(0.3, 0.8, (150, 8))
    of_three, of_five = (compute_prdc(real, fake, nearest_k=neighbours) for neighbours in (3, 5))
    expected = {key: (of_three if key in ("precision", "recall") else of_five)[key] for key in of_five}

    assert measure(fake, real) == pytest.approx(expected)
    assert 0.1 < expected["recall"] < expected["precision"] < 1


def test_a_copy_of_the_real_tiles_is_perfect(real):
    assert set(measure(real, real).values()) == {1}


def test_the_same_distribution_is_covered_as_expected(real):
    found = measure(np.random.default_rng(1).normal(size=(200, 8)), real)

    # Naeem et al. 2020, equation 9, for the coverage and its limit 1 - 2^-5; their lemma 1 for the density
    assert found["coverage"] == pytest.approx(1 - 2**-5, abs=0.04)
    assert found["density"] == pytest.approx(1, abs=0.15)
    assert found["precision"] == pytest.approx(found["recall"], abs=0.1)


def test_a_repeated_tile_has_high_precision_and_no_recall(real):
    typical = real[np.linalg.norm(real, axis=1).argmin()] + 1e-3
    found = measure(np.repeat(typical[None], 200, axis=0), real)

    assert found["precision"] == 1
    assert found["recall"] == 0
    assert found["coverage"] < 0.5


def test_far_tiles_are_neither_real_nor_cover_anything(real):
    assert set(measure(real + 100, real).values()) == {0}


def test_tiles_spread_too_widely_have_recall_but_no_precision(real):
    found = measure(real[::-1] * 3, real)

    assert found["recall"] > 0.9
    assert found["precision"] < 0.1
    assert found["coverage"] < 0.5


def test_a_tile_without_weight_neither_counts_nor_has_a_ball():
    real = np.arange(8.0)[:, None]
    fake = np.array([0.1, 0.2, 0.3, 0.4, 7.1, 7.2])[:, None]
    only_last, only_first = np.eye(8)[[7]], np.eye(6)[[0]]
    statistic = manifold.relate(fake, real)

    assert statistic(np.ones((1, 6)), only_last)["precision"] == pytest.approx(2 / 6)
    assert statistic(np.ones((1, 6)), only_last)["recall"] == 1
    assert statistic(only_first, np.ones((1, 8)))["recall"] == pytest.approx(1 / 8)
    # the ball around 7 reaches to 2 and holds two of six, 8 times as many as its share of the weight
    assert statistic(np.ones((1, 6)), only_last)["density"] == pytest.approx(2 / 6 / 5 * 8)


def test_twenty_tiles_are_enough_and_five_too_few(real):
    assert measure(real[:20], real[20:40])["coverage"] > 0.7
    with pytest.raises(ValueError, match="5 tiles; a manifold needs at least 6"):
        measure(real[:5], real)
