import numpy as np
import pytest

from skygen.sky.noise import sky_noise


def sky(shape, sigma=0.03, seed=0):
    return np.random.default_rng(seed).normal(0, sigma, shape)


def test_it_is_the_standard_deviation_of_normal_noise():
    assert sky_noise(sky((500, 600))) == pytest.approx(0.03, rel=0.01)


def test_each_image_has_its_own():
    sigmas = np.array([[0.01, 0.02, 0.04], [0.1, 0.2, 0.4]])
    images = sky((2, 3, 200, 200), 1.0) * sigmas[..., None, None]

    assert sky_noise(images) == pytest.approx(sigmas, rel=0.03)


def test_a_bright_star_and_a_level_do_not_move_it():
    image = sky((200, 200))
    bright = image + 5.0
    bright[90:100, 90:100] += 1000.0

    assert sky_noise(image + 5.0) == pytest.approx(sky_noise(image), rel=1e-9)
    assert sky_noise(bright) == pytest.approx(sky_noise(image), rel=0.02)
    assert np.std(bright) > 100 * sky_noise(bright)


def test_a_constant_image_has_none():
    assert sky_noise(np.full((3, 16, 16), 7.0, np.float32)).tolist() == [0.0, 0.0, 0.0]


def test_it_follows_the_unit():
    image = sky((64, 64))

    assert sky_noise(10 * image) == pytest.approx(10 * sky_noise(image), rel=1e-12)
