import galsim
import numpy as np
import pytest

from skygen.sky.inspection.binned import bin_pixels
from skygen.sky.inspection.bright import NOTICEABLE, find_bright

NOISE_NMGY = 0.025
NMGY_PER_COUNT = 0.005
SHAPE = (640, 768)
PSF = galsim.Moffat(beta=3, fwhm=3.0)
PEAK = float(PSF.drawImage(nx=25, ny=25, scale=1.0).array.max())
ROWS, COLUMNS = np.indices(SHAPE)


def sky(seed=0):
    return np.random.default_rng(seed).normal(0, NOISE_NMGY, SHAPE)


def star(x, y, flux_nmgy, cut_off_nmgy=np.inf):
    image = galsim.ImageD(SHAPE[1], SHAPE[0], xmin=0, ymin=0)
    PSF.withFlux(flux_nmgy).drawImage(image=image, center=galsim.PositionD(x, y), scale=1.0)
    return np.minimum(image.array, cut_off_nmgy)


def halo(x, y, at_px, slope=2.0):
    """A power law that is as bright as counts as noticeable at `at_px`."""
    return NOTICEABLE * NOISE_NMGY * (np.maximum(np.hypot(COLUMNS - x, ROWS - y), 2) / at_px) ** -slope


def haloes(image, *places):
    return [capsule for capsule in found(image, *places) if capsule.kind == "halo"]


def found(image, *places):
    x, y = np.array(places, dtype=float).reshape(-1, 2).T
    image = image.astype(np.float32)
    return find_bright(image, bin_pixels(image), NOISE_NMGY, NMGY_PER_COUNT, PEAK, x, y)


@pytest.mark.parametrize("at_px", [40, 80, 150])
def test_a_halo_reaches_to_where_it_is_no_more_noticeable(at_px):
    (circle,) = haloes(sky() + star(400, 300, 1500) + halo(400, 300, at_px), (400.2, 299.8))

    assert circle.kind == "halo"
    assert (circle.x0, circle.y0, circle.x1, circle.y1) == (400.2, 299.8, 400.2, 299.8)
    assert circle.radius_px == pytest.approx(at_px, rel=0.15, abs=4)


def test_sources_around_a_star_hardly_change_its_halo():
    crowd = sum(star(x, y, 60) for x, y in np.random.default_rng(1).uniform(280, 420, (12, 2)))
    (circle,) = haloes(sky() + star(350, 350, 1500) + halo(350, 350, 80) + crowd, (350, 350))

    assert circle.radius_px == pytest.approx(80, rel=0.2)


def test_stars_whose_light_ends_soon_and_galaxies_have_none():
    galaxy = 2000 * np.exp(-np.hypot(COLUMNS - 600, ROWS - 300) / 15) / (2 * np.pi * 15**2)

    assert found(sky() + star(200, 300, 300) + galaxy, (200, 300), (600, 300)) == []


def test_a_cross_is_followed_to_its_tips():
    image = sky() + star(400, 300, 3000) + halo(400, 300, 50)
    angle = np.deg2rad(20)
    for turn in range(4):
        cosine, sine = np.cos(angle + turn * np.pi / 2), np.sin(angle + turn * np.pi / 2)
        along = (COLUMNS - 400) * cosine + (ROWS - 300) * sine
        across = -(COLUMNS - 400) * sine + (ROWS - 300) * cosine
        image += 2.5 * NOISE_NMGY * np.exp(-(across**2) / 32) * ((along > 0) & (along < 200))
    circle, *arms = haloes(image, (400, 300))

    assert circle.radius_px == pytest.approx(50, rel=0.35)  # the arms' own width raises the rings' medians
    assert len(arms) == 4
    for arm in arms:
        length = np.hypot(arm.x1 - arm.x0, arm.y1 - arm.y0)
        turned = (np.arctan2(arm.y1 - arm.y0, arm.x1 - arm.x0) - angle) % (np.pi / 2)
        assert length == pytest.approx(200, abs=25)
        assert min(turned, np.pi / 2 - turned) < np.deg2rad(3.1)


def test_a_core_that_is_cut_off_is_saturated_and_covered():
    image = star(400, 300, 4000, cut_off_nmgy=60)
    image[285:335, 399:402] = np.maximum(image[285:335, 399:402], 60)  # charge bled along the columns
    cores = [capsule for capsule in found(sky() + image, (400, 302)) if capsule.kind == "saturated"]

    assert len(cores) == 1
    core = cores[0]
    assert core.x0 == core.x1 == pytest.approx(400, abs=1)
    inside = np.hypot(COLUMNS - core.x0, ROWS - np.clip(ROWS, core.y0, core.y1)) <= core.radius_px
    assert inside[image >= 60].all()
    assert inside.sum() < 800


@pytest.mark.parametrize("flux_nmgy", [600, 1500, 3000])
def test_an_unsaturated_star_is_not_called_saturated(flux_nmgy):
    kinds = [capsule.kind for capsule in found(sky() + star(400.4, 300.4, flux_nmgy), (400.4, 300.4))]

    assert "saturated" not in kinds


def test_a_glow_from_outside_the_frame_is_covered():
    glow = 2 * NOISE_NMGY * np.exp(-((np.hypot(COLUMNS - 768, ROWS - 300) / 150) ** 2))
    circles = found(sky() + glow)
    covered = np.zeros(SHAPE, bool)
    for circle in circles:
        covered |= np.hypot(COLUMNS - circle.x0, ROWS - circle.y0) <= circle.radius_px

    assert covered[glow > 0.7 * NOISE_NMGY].all()
    assert not covered[glow < 0.1 * NOISE_NMGY].any()


def test_plain_sky_and_an_extended_galaxy_do_not_glow():
    galaxy = 30 * NOISE_NMGY * np.exp(-np.hypot(COLUMNS - 400, (ROWS - 300) / 0.6) / 20)

    assert found(sky()) == []
    assert found(sky() + galaxy, (400, 300)) == []


def test_sources_outside_the_frame_are_passed_over():
    assert found(sky(), (-20.0, 100.0), (400.0, 700.0)) == []
