import math

import numpy as np
import pytest

from skygen.sky.inspection.detection import SOURCE, detect

NOISE_NMGY = 0.025
HALF_LIGHT_OF_SIGMA = math.sqrt(2 * math.log(2))  # 1.1774, of a round Gaussian


def sky(shape=(96, 128), seed=0):
    return np.random.default_rng(seed).normal(0, NOISE_NMGY, shape)


def star(x, y, flux_nmgy, sigma_px=1.5, shape=(96, 128)):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    separation2 = (columns - x) ** 2 + (rows - y) ** 2
    return flux_nmgy * np.exp(-separation2 / (2 * sigma_px**2)) / (2 * math.pi * sigma_px**2)


@pytest.mark.parametrize(("x", "y"), [(60.0, 40.0), (50.3, 60.7), (100.5, 20.5)])
def test_a_planted_star_is_found_at_its_place_with_its_flux(x, y):
    (source,) = detect(sky() + star(x, y, 100.0), NOISE_NMGY, 10.0)

    assert math.hypot(source["x"] - x, source["y"] - y) < 0.2
    assert source["flux_nmgy"] == pytest.approx(100.0, rel=0.03)
    assert source["ellipticity"] == pytest.approx(0.0, abs=0.03)


@pytest.mark.parametrize("sigma_px", [1.2, 2.0, 3.0])
def test_half_of_the_light_of_a_gaussian_lies_within_1_1774_sigma(sigma_px):
    (source,) = detect(sky() + star(60, 40, 200.0, sigma_px), NOISE_NMGY, 10.0)

    assert source["half_light_radius_px"] == pytest.approx(HALF_LIGHT_OF_SIGMA * sigma_px, rel=0.03)


def test_the_ratio_is_that_of_flux_to_noise_within_3_5_px():
    (source,) = detect(sky() + star(60, 40, 10.0), NOISE_NMGY, 10.0)
    inside = 10.0 * (1 - math.exp(-(3.5**2) / (2 * 1.5**2)))
    error = NOISE_NMGY * math.sqrt(math.pi * 3.5**2)

    assert source["snr"] == pytest.approx(inside / error, rel=0.05)


def test_only_sources_above_the_limit_are_kept():
    image = sky() + star(30, 30, 50.0) + star(90, 60, 2.0)
    both = detect(image, NOISE_NMGY, 3.0)
    bright, faint = sorted(both["snr"], reverse=True)[:2]

    assert len(detect(image, NOISE_NMGY, 0.999 * faint)) == 2
    (kept,) = detect(image, NOISE_NMGY, 1.001 * faint)
    assert kept["flux_nmgy"] == pytest.approx(50.0, rel=0.05)
    assert len(detect(image, NOISE_NMGY, 1.001 * bright)) == 0


def test_two_stars_apart_are_two():
    found = detect(sky() + star(40, 40, 50.0) + star(52, 40, 50.0), NOISE_NMGY, 10.0)

    assert sorted(np.rint(found["x"])) == [40, 52]


def test_an_elongated_source_has_its_axis_ratio():
    rows, columns = np.mgrid[:96, :128]
    shape = np.exp(-(((columns - 60) / 4) ** 2 + ((rows - 40) / 2) ** 2) / 2)
    (source,) = detect(sky() + 200 * shape / shape.sum(), NOISE_NMGY, 10.0)
    kernel = 0.5  # px², what the detector's kernel adds to the variance along each axis

    assert source["ellipticity"] == pytest.approx(1 - math.sqrt((2**2 + kernel) / (4**2 + kernel)), abs=0.04)


def test_empty_sky_holds_no_source():
    found = detect(np.zeros((64, 64)), NOISE_NMGY, 3.0)

    assert found.dtype == SOURCE
    assert len(found) == 0
    assert sum(len(detect(sky(seed=seed), NOISE_NMGY, 10.0)) for seed in range(5)) == 0


def test_big_endian_images_as_astropy_reads_them_give_the_same():
    image = (sky() + star(60, 40, 20.0)).astype(np.float32)

    assert (detect(image.astype(">f4"), NOISE_NMGY, 5.0) == detect(image, NOISE_NMGY, 5.0)).all()


@pytest.mark.parametrize("noise", [0.0, -0.1, math.nan])
def test_a_noise_that_is_not_positive_is_refused(noise):
    with pytest.raises(ValueError, match=rf"the sky noise is {noise}; it must be a positive number"):
        detect(sky(), noise, 3.0)
