import numpy as np
import pytest

from skygen.measure import discriminator, diversity, noise
from skygen.measure.medians import middle_mean, ratio, weighted_median


@pytest.fixture
def sky() -> np.ndarray:
    return np.random.default_rng(2).normal(0, 0.025, (40, 2, 32, 32)).astype(np.float32)


def measure(module, fake: np.ndarray, real: np.ndarray) -> float:
    summaries = (module.summarise(module.describe(tiles), np.ones(len(tiles))) for tiles in (fake, real))
    return module.compare(*summaries)


def test_weighted_median_of_hand_made_values():
    assert weighted_median(np.array([5.0, 1, 3]), np.ones(3)) == 3
    assert weighted_median(np.array([5.0, 1, 3]), np.array([5.0, 1, 1])) == 5
    assert weighted_median(np.array([5.0, 1, 3]), np.array([0.0, 1, 0])) == 1


def test_the_middle_mean_of_hand_made_values():
    assert middle_mean(np.array([100.0, 1, 2, 3, -50, 4, 5, 6]), np.ones(8)) == pytest.approx(3.5)
    assert middle_mean(np.array([1.0, 2]), np.ones(2)) == pytest.approx(1.5)
    assert middle_mean(np.array([7.0]), np.ones(1)) == 7
    assert middle_mean(np.array([1.0, 2, 9]), np.array([1.0, 1, 0])) == pytest.approx(1.5)
    assert middle_mean(np.array([1.0, 2, 3]), np.array([1.0, 2, 1])) == 2


def test_the_middle_mean_of_two_heaps_is_stable_where_the_median_jumps():
    """As the halves of an i frame, which two amplifiers read out."""
    few, many = np.array([0.035] * 49 + [0.041] * 51), np.array([0.035] * 51 + [0.041] * 49)

    assert weighted_median(many, np.ones(100)) / weighted_median(few, np.ones(100)) < 0.86
    assert middle_mean(many, np.ones(100)) / middle_mean(few, np.ones(100)) == pytest.approx(1, abs=0.01)


def test_ratio_is_finite_where_the_real_statistic_is_zero():
    assert np.isfinite(ratio(1.0, 0.0))
    assert ratio(0.0, 0.0) == 0


def test_noise_scales_with_the_tiles_and_ignores_their_level(sky):
    assert measure(noise, 3 * sky, sky) == pytest.approx(3, rel=1e-4)
    assert measure(noise, sky + 7, sky) == pytest.approx(1, rel=1e-3)


def test_noise_is_the_planted_one_beside_a_bright_source(sky):
    bright = sky.copy()
    bright[:, :, 10:14, 10:14] += 50

    np.testing.assert_allclose(noise.summarise(noise.describe(bright), np.ones(40)), 0.025, rtol=0.05)


def test_noise_averages_the_bands(sky):
    assert measure(noise, sky * np.array([2, 4])[:, None, None], sky) == pytest.approx(3, rel=1e-4)


def test_a_repeated_tile_has_no_diversity(sky):
    assert measure(diversity, np.repeat(sky[:1], 40, axis=0), sky) == 0


def test_real_tiles_have_the_diversity_of_real_tiles(sky):
    assert measure(diversity, sky, sky.copy()) == 1
    assert measure(diversity, sky[:20], sky[20:]) == pytest.approx(1, abs=0.1)


def test_diversity_scales_with_the_differences_between_tiles():
    levels = np.arange(5, dtype=np.float32)[:, None, None, None] * 1e-4 * np.ones((1, 1, 8, 8), np.float32)

    assert measure(diversity, 3 * levels, levels) == pytest.approx(3, rel=1e-4)


def test_pure_noise_passes_diversity_as_its_description_warns(sky):
    assert measure(diversity, np.random.default_rng(9).normal(0, 0.025, sky.shape), sky) == pytest.approx(1, abs=0.1)
    assert "Pure noise can pass it" in diversity.__doc__


def test_pairs_of_one_tile_with_itself_never_count(sky):
    pairs = diversity.describe(sky[:3])
    twice_and_once = diversity.summarise(pairs, np.array([2.0, 1.0, 0.0]))

    assert len(pairs.distance) == 3
    assert twice_and_once == diversity.summarise(diversity.describe(sky[:2]), np.ones(2)) > 0


def test_many_tiles_are_paired_up_to_a_limit(monkeypatch, sky):
    monkeypatch.setattr(diversity, "MOST_TILES", 10)

    assert len(diversity.describe(sky).distance) == 45
    assert measure(diversity, sky, sky) == 1


@pytest.mark.parametrize(
    ("fake", "real", "accuracy"),
    [([-1, -2], [3, 4], 1.0), ([1, 2], [-3, -4], 0.0), ([-1, 1], [1, 1], 0.75), ([0, 0], [0, 0], 0.0)],
)
def test_discriminator_accuracy_of_known_logits(fake, real, accuracy):
    summaries = (discriminator.summarise(np.array(logits, float), np.ones(2)) for logits in (fake, real))

    assert discriminator.compare(*summaries) == accuracy
