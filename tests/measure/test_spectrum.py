import math

import numpy as np
import pytest

from skygen.measure import spectrum

LINEAR = 0.1 * math.asinh(1000)  # flux that the stretch takes to 1 where it is a straight line


@pytest.fixture
def faint_noise() -> np.ndarray:
    return np.random.default_rng(1).normal(0, 1e-3, (200, 1, 32, 32)).astype(np.float32)


def log_spectrum(tiles: np.ndarray) -> np.ndarray:
    return spectrum.summarise(spectrum.describe(tiles), np.ones(len(tiles)))


def test_white_noise_has_its_variance_in_every_ring(faint_noise):
    power = np.exp(log_spectrum(faint_noise))

    assert power.shape == (1, 16)
    np.testing.assert_allclose(power, (1e-3 / LINEAR) ** 2, rtol=0.05)


def test_noise_three_times_as_strong_is_at_distance_ln_nine(faint_noise):
    assert spectrum.compare(log_spectrum(3 * faint_noise), log_spectrum(faint_noise)) == pytest.approx(
        math.log(9), rel=1e-3
    )


def test_identical_samples_are_at_distance_zero(faint_noise):
    assert spectrum.compare(log_spectrum(faint_noise), log_spectrum(faint_noise.copy())) == 0


def test_a_wave_of_five_cycles_lies_in_ring_five_and_a_level_in_none():
    wave = 1e-3 * np.cos(2 * np.pi * 5 * np.arange(32) / 32)
    tile = np.broadcast_to(wave + 1e-3, (1, 1, 32, 32)).astype(np.float32)

    power = spectrum.describe(tile)[0, 0]

    assert power.argmax() == 4
    assert np.delete(power, 4).max() < 1e-4 * power[4]


def test_a_checkerboard_is_far_from_noise_of_the_same_histogram(faint_noise):
    board = np.where(np.add.outer(np.arange(32), np.arange(32)) % 2, 1e-3, -1e-3).astype(np.float32)
    tiles = np.broadcast_to(board, faint_noise.shape)

    assert spectrum.compare(log_spectrum(tiles), log_spectrum(faint_noise)) > 5


def test_turning_and_mirroring_tiles_changes_nothing(faint_noise):
    turned = np.rot90(faint_noise, axes=(-2, -1))[..., ::-1]

    np.testing.assert_allclose(log_spectrum(turned), log_spectrum(faint_noise), atol=1e-6)


def test_flat_tiles_have_a_finite_spectrum():
    flat = log_spectrum(np.full((2, 1, 16, 16), 0.3, np.float32))

    assert flat == pytest.approx(math.log(spectrum.FLOOR))
