import numpy as np
import pytest

from skygen.measure.score import ValidationScore, halves


def sky(seed: int, tiles: int = 30, noise: float = 0.025) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, noise, (tiles, 1, 32, 32)).astype(np.float32)


def test_the_other_half_of_the_real_tiles_scores_one():
    real_a, real_b = sky(0), sky(1)

    assert ValidationScore(real_a, real_b).measure(real_a)["score"] == pytest.approx(1, rel=0.01)


def test_the_score_is_the_geometric_mean_of_all_ratios():
    score, real_real = ValidationScore(sky(0), sky(1)), ValidationScore(sky(0), sky(1)).measure(sky(0))
    found = score.measure(sky(2, noise=0.05))
    ratios = [found[key] / real_real[key] for key in ("pixel_w1", "power_spectrum")]

    assert min(ratios) > 3
    assert found["diversity"] > 1
    assert found["peaks"] == 1
    assert found["score"] == pytest.approx((ratios[0] * ratios[1] * found["diversity"] * 1) ** (1 / 4))


def test_repeated_tiles_score_far_worse_than_different_ones():
    score, tiles = ValidationScore(sky(0), sky(1)), sky(2)
    repeated = np.repeat(tiles[:2], len(tiles) // 2, axis=0)
    halved = score.measure(repeated + 0.5 * (tiles - repeated))

    assert score.measure(np.repeat(tiles[:1], len(tiles), axis=0))["score"] > 5 * score.measure(tiles)["score"]
    assert halved["diversity"] < 1


def test_worse_noise_scores_worse():
    score = ValidationScore(sky(0), sky(1))
    values = [score.measure(sky(2, noise=noise))["score"] for noise in (0.025, 0.03, 0.05, 0.2)]

    assert values == sorted(values)
    assert values[0] < 2


def test_real_halves_that_are_equal_give_a_finite_score():
    assert np.isfinite(ValidationScore(sky(0), sky(0)).measure(sky(1))["score"])


def test_halves_share_no_tile_and_hold_the_same_mix_of_fields():
    fields = ["94-1-12"] * 31 + ["1035-6-17"] * 20 + ["7264-3-111"] * 7
    first, second = halves(fields)

    assert len(first) == len(second) == 29
    assert not set(first) & set(second)
    for field in set(fields):
        counts = [sum(fields[index] == field for index in half) for half in (first, second)]
        assert abs(counts[0] - counts[1]) <= 1


def test_halves_depend_on_the_seed_alone():
    fields = ["a"] * 40

    assert np.array_equal(halves(fields, 3), halves(fields, 3))
    assert not np.array_equal(halves(fields, 3), halves(fields, 4))


def test_a_single_tile_cannot_be_halved():
    with pytest.raises(ValueError, match="1 tiles cannot be halved"):
        halves(["a"])
