from pathlib import Path

import galsim
import numpy as np
import pytest
from astropy.io import fits
from scipy.optimize import brentq

from skygen.sky.frame import read_frame
from skygen.sky.inspection.detection import SOURCE, detect
from skygen.sky.inspection.psf import Psf, centre, choose_stars, measure_psf
from skygen.sky.noise import sky_noise
from skygen.sky.units import PIXEL_SCALE_ARCSEC

SURVEY = Path(__file__).parents[4] / "shared" / "sdss"
NOISE_NMGY = 0.025
SHAPE = (500, 700)


def field(psf, stars=40, galaxies=0, seed=0, saturated=0):
    """Stars on a jittered grid, so that each is alone; some made galaxies, some cut off at half of their peak."""
    rng = np.random.default_rng(seed)
    image = galsim.ImageD(SHAPE[1], SHAPE[0], xmin=0, ymin=0)
    places = np.stack(np.meshgrid(np.arange(40, 680, 60), np.arange(40, 480, 60)), -1).reshape(-1, 2)
    places = rng.permutation(places)[: stars + galaxies] + rng.uniform(-5, 5, (stars + galaxies, 2))
    for number, (x, y) in enumerate(places):
        profile = psf if number < stars else galsim.Convolve(psf, galsim.Exponential(half_light_radius=4))
        stamp = profile.withFlux(rng.uniform(30, 200)).drawImage(center=galsim.PositionD(x, y), scale=1.0)
        if number < saturated:
            stamp.array[:] = np.minimum(stamp.array, 0.5 * stamp.array.max())
        common = stamp.bounds & image.bounds
        image[common] += stamp[common]
    return (image.array + rng.normal(0, NOISE_NMGY, SHAPE)).astype(np.float32)


def measured(image):
    stars = choose_stars(detect(image, NOISE_NMGY, 5.0), image.shape)
    return measure_psf(image, *centre(image, stars["x"], stars["y"])[:2])


def seen_fwhm(psf):
    """The width of a profile as the pixels sample it, in arcsec."""
    pixelised = galsim.Convolve(psf, galsim.Pixel(1.0))
    return pixelised.drawImage(nx=400, ny=400, scale=0.1, method="no_pixel").calculateFWHM() * PIXEL_SCALE_ARCSEC


@pytest.mark.parametrize("fwhm_px", [2.3, 3.0, 4.5])
@pytest.mark.parametrize("beta", [2.5, 3.5, 5.0])
def test_a_moffat_profile_has_its_width(fwhm_px, beta):
    psf = galsim.Moffat(beta=beta, fwhm=fwhm_px)
    found = measured(field(psf))

    assert found.fwhm_arcsec == pytest.approx(seen_fwhm(psf), rel=0.02)
    assert found.stars > 30


def test_so_has_a_double_gaussian_as_the_surveys():
    psf = 0.85 * galsim.Gaussian(sigma=1.4) + 0.15 * galsim.Gaussian(sigma=3.2)

    assert measured(field(psf)).fwhm_arcsec == pytest.approx(seen_fwhm(psf), rel=0.03)


def test_galaxies_and_saturated_stars_are_left_out():
    psf = galsim.Moffat(beta=3, fwhm=3.0)
    found = measured(field(psf, stars=40, galaxies=35, saturated=8))

    assert found.fwhm_arcsec == pytest.approx(seen_fwhm(psf), rel=0.02)
    assert 20 < found.stars <= 33


def test_the_peak_is_that_of_the_profile():
    psf = galsim.Moffat(beta=3, fwhm=3.0)
    drawn = [
        psf.drawImage(nx=25, ny=25, scale=1.0, offset=(dx, dy)).array.max()
        for dx in np.arange(-0.45, 0.5, 0.1)
        for dy in np.arange(-0.45, 0.5, 0.1)
    ]

    assert measured(field(psf)).peak == pytest.approx(np.median(drawn), rel=0.05)


@pytest.mark.parametrize(("dx", "dy"), [(0.0, 0.0), (0.3, -0.2), (-0.6, 0.8)])
def test_stars_that_lie_elsewhere_than_expected_say_by_how_much(dx, dy):
    image = field(galsim.Moffat(beta=3, fwhm=3.0))
    stars = choose_stars(detect(image, NOISE_NMGY, 5.0), image.shape)
    x, y, _ = centre(image, stars["x"], stars["y"])

    assert measure_psf(image, x - dx, y - dy).offset_px == pytest.approx((dx, dy), abs=0.02)


@pytest.mark.parametrize("dy", [-40.0, 40.0])
def test_stars_that_a_band_has_at_its_edge_or_beyond_are_left_out(dy):
    image = field(galsim.Moffat(beta=3, fwhm=3.2))
    stars = choose_stars(detect(image, NOISE_NMGY, 5.0), image.shape)
    x, y, _ = centre(image, stars["x"], stars["y"])
    moved = np.vstack([np.zeros((40, SHAPE[1]), np.float32), image])[: SHAPE[0]] if dy > 0 else image
    expected = y + dy if dy > 0 else np.concatenate([y, y[:10] - y[:10].max() + dy])
    at_x = x if dy > 0 else np.concatenate([x, x[:10]])
    psf = measure_psf(moved, at_x, expected)
    assert psf is not None
    assert psf.fwhm_arcsec == pytest.approx(measure_psf(image, x, y).fwhm_arcsec, rel=0.02)


def test_too_few_stars_give_none():
    assert measured(field(galsim.Moffat(beta=3, fwhm=3.0), stars=4)) is None
    assert len(choose_stars(np.zeros(0, SOURCE), SHAPE)) == 0


def test_the_effective_width_of_a_gaussian_is_its_fwhm():
    nearly_gaussian = Psf(fwhm_arcsec=1.3, beta=1e4, peak=0.1, stars=9, offset_px=(0, 0))

    assert nearly_gaussian.effective_width_arcsec == pytest.approx(1.3, rel=1e-3)


@pytest.fixture(scope="module")
def survey_psf():
    path = SURVEY / "psField-000094-1-0012.fit"
    if not path.is_file():
        pytest.skip(f"no PSF of the survey at {path}")
    return fits.getdata(path, 6)[0]


@pytest.mark.parametrize("band", ["g", "r", "i"])
def test_the_widths_of_field_94_1_12_are_the_surveys(survey_psf, band):
    """Like with like: FWHM with that of the survey's double Gaussian, effective width with its psf_width."""
    image = read_frame(SURVEY / f"frame-{band}-000094-1-0012.fits.bz2").flux_nmgy
    stars = choose_stars(detect(image, float(sky_noise(image)), 5.0), image.shape)
    found = measure_psf(image, *centre(image, stars["x"], stars["y"])[:2])
    column = "ugriz".index(band)
    sigma1, sigma2, share = (survey_psf[f"psf_{name}_2G"][column] for name in ("sigma1", "sigma2", "b"))

    def above_half(radius):
        profile = np.exp(-((radius / sigma1) ** 2) / 2) + share * np.exp(-((radius / sigma2) ** 2) / 2)
        return profile / (1 + share) - 0.5

    assert found.fwhm_arcsec == pytest.approx(2 * brentq(above_half, 0.1, 9) * PIXEL_SCALE_ARCSEC, rel=0.05)
    assert found.effective_width_arcsec == pytest.approx(survey_psf["psf_width"][column], rel=0.05)
