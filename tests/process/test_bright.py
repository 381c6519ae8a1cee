import numpy as np
import pytest
import torch

from skygen.process.bright import halo_of
from skygen.process.light import reach_px
from skygen.sky.spread import GLOW, SPIKE_SCALE_PX, SPIKE_SHARE
from tests.process.seen import drawn, objects

FWHM = [3.4, 3.4, 3.4]
SIZE = 800


def beyond_the_psf(flux_nmgy, faint_nmgy=1e-5):
    """The glow and spikes [bands, H, W] of a star in the middle, without its PSF."""
    star = objects(SIZE / 2, SIZE / 2, [flux_nmgy] * 3)
    halo = halo_of("gri")
    return (drawn(star, FWHM, SIZE, SIZE, faint_nmgy, halo) - drawn(star, FWHM, SIZE, SIZE, faint_nmgy)).numpy()


def test_glow_holds_its_share_of_a_star_s_flux_in_each_band():
    light = beyond_the_psf(1e6)
    dy, dx = np.mgrid[:SIZE, :SIZE] - SIZE // 2
    off_the_arms = (np.minimum(np.abs(dx), np.abs(dy)) > 12) & (np.hypot(dx, dy) > 5)
    for band, image in zip("gri", light, strict=True):
        share, scale = GLOW[band]
        expected = 1e6 * share / (2 * np.pi * scale**2) * np.exp(-np.hypot(dx, dy) / scale)
        assert image[off_the_arms].sum() == pytest.approx(expected[off_the_arms].sum(), rel=0.01)
        assert expected.sum() == pytest.approx(1e6 * share, rel=0.01)


def test_the_arms_of_the_cross_are_as_bright_as_the_survey_s():
    image = beyond_the_psf(1e6)[0]
    share, scale = GLOW["g"]
    for arm in range(4):
        turn = arm * np.pi / 2
        x, y = round(SIZE / 2 + 60 * np.cos(turn)), round(SIZE / 2 + 60 * np.sin(turn))
        around = image[y - 3 : y + 4, x - 3 : x + 4].max()
        glow = share / (2 * np.pi * scale**2) * np.exp(-60 / scale)
        assert around == pytest.approx(1e6 * (SPIKE_SHARE * np.exp(-60 / SPIKE_SCALE_PX) + glow), rel=0.12)


def test_only_stars_so_bright_that_it_shows_have_a_halo():
    assert np.abs(beyond_the_psf(1.0, faint_nmgy=1e-3)).max() == 0
    assert np.abs(beyond_the_psf(1e3, faint_nmgy=1e-3)).max() > 1e-3


def test_a_halo_lengthens_a_star_s_reach_and_is_drawn_until_it_is_faint():
    star, fwhm = objects(SIZE / 2, SIZE / 2, [1e4] * 3), torch.tensor(FWHM, dtype=torch.float64)
    halo = halo_of("gri")
    assert reach_px(star, fwhm, 1e-3, halo) > reach_px(star, fwhm, 1e-3)
    left_out = drawn(star, FWHM, SIZE, SIZE, 1e-9, halo) - drawn(star, FWHM, SIZE, SIZE, 1e-3, halo)
    assert left_out.abs().max() < 1e-3


def test_a_band_without_known_glow_is_refused():
    with pytest.raises(ValueError, match=r"no glow is known in \['z'\]; allowed are \['g', 'r', 'i'\]"):
        halo_of("rz")
