import numpy as np
import pytest

from skygen.measure import peaks


def sky(stars: int, flux: float = 10.0, size: int = 64) -> np.ndarray:
    """Four tiles of noise, each with `stars` stars of the same flux, sigma 1.2 px, far from each other."""
    tiles = np.random.default_rng(0).normal(0, 0.03, (4, 1, size, size))
    rows, columns = np.mgrid[:size, :size]
    for place in range(stars):
        y, x = 12 + 20 * (place // 3), 12 + 20 * (place % 3)
        star = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * 1.2**2))
        tiles += flux * star / star.sum()
    return tiles.astype(np.float32)


@pytest.mark.parametrize("stars", [0, 1, 2, 9])
def test_planted_stars_are_counted(stars):
    assert peaks.describe(sky(stars)).tolist() == [stars] * 4


def test_stars_under_the_noise_are_no_peaks():
    assert peaks.describe(sky(5, flux=0.1)).tolist() == [0] * 4


def test_peaks_do_not_depend_on_the_unit_of_flux():
    assert peaks.describe(1000 * sky(4)).tolist() == [4] * 4


def test_more_stars_are_a_higher_ratio():
    once = np.ones(4)
    few, many = (peaks.summarise(peaks.describe(sky(stars)), once) for stars in (2, 6))
    assert peaks.compare(many, few) == pytest.approx(3, rel=0.01)
    assert peaks.compare(0, 0) == 1
