import math

import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from skygen.measure import pixels


def distance(fake: np.ndarray, real: np.ndarray) -> float:
    summaries = [pixels.summarise(pixels.describe(tiles), np.ones(len(tiles))) for tiles in (fake, real)]
    return pixels.compare(*summaries)


@pytest.fixture
def sky() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.025, (20, 2, 32, 32)).astype(np.float32)


def test_counts_hold_every_pixel_once(sky):
    counts = pixels.describe(sky)

    assert counts.shape == (20, 2, pixels.BINS)
    assert (counts.sum(axis=-1) == 32 * 32).all()


def test_identical_samples_are_at_distance_zero(sky):
    assert distance(sky, sky.copy()) == 0


@pytest.mark.parametrize(("fake_nmgy", "real_nmgy"), [(0.0, 0.1), (-0.05, 3.0), (80.0, 5.0)])
def test_distance_of_two_constants_is_the_difference_of_their_stretched_flux(fake_nmgy, real_nmgy):
    fake, real = (np.full((3, 1, 8, 8), flux, np.float32) for flux in (fake_nmgy, real_nmgy))
    expected = abs(math.asinh(fake_nmgy / 0.1) - math.asinh(real_nmgy / 0.1)) / math.asinh(100 / 0.1)

    assert distance(fake, real) == pytest.approx(expected, abs=2 / pixels.BINS)


def test_black_against_white_is_the_largest_distance_and_the_limit_clips():
    black, white = np.full((2, 1, 8, 8), -1e4, np.float32), np.full((2, 1, 8, 8), 1e4, np.float32)

    assert distance(black, white) == pytest.approx(2, abs=2 / pixels.BINS)


def test_a_flux_bias_is_found_to_a_hundredth(sky):
    faint = sky / 10  # where the stretch is a straight line through 0 of slope 1 / (softening asinh(limit / softening))
    bias_nmgy = 0.01

    assert distance(faint + np.float32(bias_nmgy), faint) == pytest.approx(
        bias_nmgy / (0.1 * math.asinh(1000)), rel=0.01
    )


def test_distance_agrees_with_scipy_on_the_pixels_themselves(sky):
    fake, real = sky[:10, :1] * 1.4, sky[10:, :1]
    expected = wasserstein_distance(pixels.STRETCH.stretch(fake).ravel(), pixels.STRETCH.stretch(real).ravel())

    assert distance(fake, real) == pytest.approx(expected, rel=0.01)


def test_whole_counts_are_as_good_as_continuous_noise(sky):
    for count_nmgy in (0.004, 0.005, 0.007):
        counted = count_nmgy * np.rint(sky / count_nmgy)

        assert distance(counted, sky) < 3e-4 < distance(sky * np.float32(1.02), counted)


def test_a_bias_in_one_of_two_bands_counts_half(sky):
    fake = sky.copy()
    fake[:, 0] += 0.1

    assert distance(fake, sky) == pytest.approx(distance(fake[:, :1], sky[:, :1]) / 2)


def test_weights_count_tiles_as_repeating_them_does(sky):
    repeated = pixels.summarise(pixels.describe(sky[[0, 0, 3]]), np.ones(3))
    weighted = pixels.summarise(pixels.describe(sky[:4]), np.array([2.0, 0, 0, 1]))

    np.testing.assert_allclose(weighted, repeated)
