import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from skygen.measure import noise_correlation
from skygen.measure.noise_correlation import LAGS

SIGMA = 0.03


@pytest.fixture
def noise():
    return np.random.default_rng(0).normal(0, SIGMA, (40, 2, 64, 64)).astype(np.float32)


def measure(fake, real):
    statistic = noise_correlation.relate(noise_correlation.describe(fake), noise_correlation.describe(real))
    return statistic(np.ones((1, len(fake))), np.ones((1, len(real))))["noise_correlation"][0]


def test_white_noise_has_none(noise):
    found = noise_correlation.describe(noise)

    assert found.shape == (40, 2, len(LAGS))
    assert found.mean(axis=(0, 1)) == pytest.approx(np.zeros(len(LAGS)), abs=4 / np.sqrt(noise.size))


def test_smoothed_noise_has_its_known_correlation(noise):
    smooth = noise + 0.5 * np.roll(noise, 1, axis=-1)  # 1 and a half: 0.5 / 1.25 at one column, 0 beyond
    expected = [0.4 if lag == (0, 1) else 0 for lag in LAGS]

    assert noise_correlation.describe(smooth).mean(axis=(0, 1)) == pytest.approx(expected, abs=0.01)
    assert measure(smooth, noise) == pytest.approx(0.4 / np.sqrt(len(LAGS)), abs=0.003)


def test_directions_are_told_apart(noise):
    falling = noise + np.roll(noise, (1, 1), axis=(-2, -1))
    found = dict(zip(LAGS, noise_correlation.describe(falling).mean(axis=(0, 1)), strict=True))

    assert found[1, 1] == pytest.approx(0.5, abs=0.01)
    assert found[1, -1] == pytest.approx(0, abs=0.01)


def test_a_checkerboard_is_seen_for_what_it_is(noise):
    share = 0.3
    board = np.where(np.indices((64, 64)).sum(axis=0) % 2, SIGMA, -SIGMA) * share
    expected = share**2 / (1 + share**2)
    signs = [1 if sum(lag) % 2 == 0 else -1 for lag in LAGS]

    found = noise_correlation.describe(noise + board.astype(np.float32)).mean(axis=(0, 1))
    assert found == pytest.approx(np.array(signs) * expected, abs=0.01)
    assert measure(noise + board.astype(np.float32), noise[::-1]) == pytest.approx(expected, abs=0.01)


def test_a_lattice_of_stride_four_is_seen(noise):
    lattice = np.zeros((64, 64), np.float32)
    lattice[::4, ::4] = 1.5 * SIGMA

    assert measure(noise + lattice, noise) > 5 * measure(noise[:20], noise[20:])


def test_level_and_loudness_do_not_matter(noise):
    assert measure(3 * noise + 1, noise) == pytest.approx(0, abs=1e-5)


def test_sources_are_left_out(noise):
    spots = np.zeros_like(noise)
    spots[..., 20, 30] = spots[..., 45, 12] = 1
    bright = noise + 20 * gaussian_filter(spots, (0, 0, 1.4, 1.4))

    assert measure(bright, noise) < 0.01


def test_bands_count_alike(noise):
    one_band = noise.copy()
    one_band[:, 1] += 0.5 * np.roll(noise[:, 1], 1, axis=-1)

    assert measure(one_band, noise) == pytest.approx(0.4 / np.sqrt(2 * len(LAGS)), abs=0.003)


def test_a_flat_tile_is_the_limit_of_smooth_ones():
    assert (noise_correlation.describe(np.full((2, 1, 16, 16), 0.1, np.float32)) == 1).all()


def test_a_tile_with_no_background_is_no_error():
    steep = np.zeros((1, 1, 16, 16), np.float32)
    steep[..., ::2, :] = np.linspace(0, 1e6, 16)

    assert np.isfinite(noise_correlation.describe(steep)).all()
