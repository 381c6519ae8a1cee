from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from scipy.ndimage import gaussian_filter

from skygen.sky.frame import SHAPE, read_frame
from skygen.sky.inspection.defects import DEFECT
from skygen.sky.inspection.density import COUNTED, count_sources, density
from skygen.sky.inspection.detection import detect
from skygen.sky.inspection.psf import choose_stars
from skygen.sky.noise import pixel_noise
from skygen.sky.simulation.catalogue import draw_catalogue
from skygen.sky.simulation.simulate import simulate_field

SURVEY = Path(__file__).parents[4] / "shared" / "sdss"
AREA_ARCMIN2 = 1489 * 2048 * (0.396 / 60) ** 2
SEED = 5


@pytest.fixture(scope="module")
def simulated():
    """Three simulated frames in r, and how many stars and galaxies brighter than 20.5 each has."""

    def truth(index):
        catalogue = draw_catalogue(np.random.default_rng([SEED, index]))
        inside = (catalogue.x > -0.5) & (catalogue.x < SHAPE[1] - 0.5) & (catalogue.y > -0.5)
        inside &= (catalogue.y < SHAPE[0] - 0.5) & (catalogue.flux_nmgy["r"] > 10**0.8)
        star = catalogue.disc_radius_px == 0
        return int((inside & star).sum()), int((inside & ~star).sum())

    return [(simulate_field(SEED, index)[1], truth(index)) for index in range(3)]


def counted(frame, defects=()):
    """What `count_sources` finds."""
    noise = pixel_noise(frame.flux_nmgy)
    stars = choose_stars(detect(frame.flux_nmgy, noise, 5.0), frame.flux_nmgy.shape)
    return count_sources(frame, noise, stars, np.array(list(defects), DEFECT))


def numbers(found):
    """Stars and galaxies that a whole frame would have."""
    of_area = density(found, SHAPE)
    return np.array([of_area.stars, of_area.galaxies]) * AREA_ARCMIN2


def test_the_true_numbers_of_simulated_fields_are_found_within_their_poisson_errors_and_5_percent(simulated):
    found = np.array([numbers(counted(frame)) for frame, _ in simulated])
    truth = np.array([of_field for _, of_field in simulated])

    assert truth.min() > 30
    assert (np.abs(found - truth) < np.sqrt(truth)).all()
    assert found.sum(axis=0) == pytest.approx(truth.sum(axis=0), rel=0.05)


def test_neither_noise_nor_seeing_changes_them_by_more_than_a_poisson_error(simulated):
    frame, _ = simulated[0]
    as_it_is = numbers(counted(frame))
    noisy = frame.flux_nmgy + 0.02 * np.random.default_rng(0).standard_normal(SHAPE, dtype=np.float32)
    for flux in (noisy, gaussian_filter(frame.flux_nmgy, 0.8), gaussian_filter(noisy, 0.8)):
        assert (np.abs(numbers(counted(replace(frame, flux_nmgy=flux))) - as_it_is) < np.sqrt(as_it_is)).all()


def test_what_a_halo_hides_is_counted_by_what_lies_outside_it(simulated):
    frame, _ = simulated[0]
    whole = counted(frame)
    halo = ("r", "halo", 1024.0, 700.0, 1024.0, 700.0, 350.0)
    outside = counted(frame, [halo])
    hidden = np.hypot(whole["x"] - 1024, whole["y"] - 700) < 345

    kept = outside[np.isin(outside["x"], whole["x"][hidden])]
    assert hidden.sum() > 10
    assert len(kept) < 6
    assert (kept["share_seen"] == 1).all()  # the brightest
    assert np.median(outside["share_seen"]) == pytest.approx(1 - np.pi * 350**2 / np.prod(SHAPE), abs=0.005)
    assert (np.abs(numbers(outside) - numbers(whole)) < np.sqrt(numbers(whole))).all()


def test_a_star_that_is_cut_off_by_saturation_is_no_galaxy(simulated):
    frame, _ = simulated[0]
    brightest = counted(frame)
    brightest = brightest[brightest["mag"] < 15]

    assert len(brightest) > 1
    assert not brightest["is_galaxy"].any()


def test_a_field_without_any_has_half_a_source():
    none = density(np.zeros(0, COUNTED), SHAPE)

    assert none.stars == none.galaxies == pytest.approx(0.5 / AREA_ARCMIN2)


def test_the_survey_has_as_many_stars_in_field_94_1_12_and_nearly_as_many_galaxies():
    path = SURVEY / "frame-r-000094-1-0012.fits.bz2"
    if not path.is_file():
        pytest.skip(f"no frames of the survey in {SURVEY}")
    found = counted(read_frame(path))
    found = found[(found["y"] > 64) & (found["y"] < 1424)]  # where the survey gives each object once
    with fits.open(SURVEY / "photoObj-000094-1-0012.fits") as hdus:
        objects = hdus[1].data
        objects = objects[(objects["NCHILD"] == 0) & (objects["RESOLVE_STATUS"] & 1 > 0)]
        star = objects["OBJC_TYPE"] == 6
        stars = (star & (objects["PSFFLUX"][:, 2] > 10**0.8)).sum()
        galaxies = (~star & (objects["CMODELFLUX"][:, 2] > 10**0.8)).sum()

    assert (~found["is_galaxy"]).sum() == pytest.approx(stars, rel=0.05)
    assert found["is_galaxy"].sum() == pytest.approx(galaxies, rel=0.2)  # its models of faint ones have less light
