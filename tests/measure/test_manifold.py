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


@pytest.mark.parametrize("kept", [64, 5])
def test_a_row_is_of_its_tiles_alone(real, kept, monkeypatch):
    monkeypatch.setattr(manifold, "_KEPT", kept)
    fake = np.random.default_rng(1).normal(0.3, 0.8, (150, 8))
    ours, theirs = np.arange(150) % 2 == 0, np.arange(200) % 4 == 0
    found = manifold.relate(fake, real)(ours[None].astype(float), theirs[None].astype(float))
    expected = measure(fake[ours], real[theirs])

    assert {key: value[0] for key, value in found.items()} == pytest.approx(expected)
    assert 0.1 < expected["recall"] < expected["precision"] < 1


def test_tiles_count_as_often_as_their_weights_say(real):
    fake, rng = np.random.default_rng(1).normal(0.3, 0.8, (50, 8)), np.random.default_rng(2)
    ours, theirs = rng.integers(1, 4, 50).astype(float), rng.integers(1, 4, 200).astype(float)
    narrow, wide = manifold.radii(manifold.neighbours(real), np.ones(200, bool))
    apart = np.linalg.norm(fake[:, None] - real, axis=2)
    found = manifold.relate(fake, real)(ours[None], theirs[None])

    assert found["precision"] == pytest.approx((apart < narrow).any(axis=1) @ ours / ours.sum())
    assert found["coverage"] == pytest.approx((apart < wide).any(axis=0) @ theirs / theirs.sum())
    assert found["density"] == pytest.approx(ours @ (apart < wide) @ theirs / ours.sum() / theirs.sum() / 5 * 200)


def test_the_halves_of_a_set_are_as_near_as_two_sets_of_one_distribution(real):
    first = np.random.default_rng(3).permuted(np.tile([1.0, 0.0], (40, 100)), axis=1)
    halves = manifold.relate(real, real)(first, 1 - first)

    assert halves["density"].mean() == pytest.approx(1, abs=0.03)  # 0.8 where radii reach to tiles that do not count
    assert halves["coverage"].mean() == pytest.approx(1 - 2**-5, abs=0.01)


def test_twenty_tiles_are_enough_and_five_too_few(real):
    assert measure(real[:20], real[20:40])["coverage"] > 0.7
    with pytest.raises(ValueError, match="5 tiles count; a manifold needs at least 6"):
        measure(real[:5], real)
