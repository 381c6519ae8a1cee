import numpy as np
import pytest
import torch

from skygen.process.profiles import PSF, SIZES, TABLES, core_px, galaxy_gaussians, galaxy_psf, psf_gaussians
from skygen.sky.spread import WING_BETA, WING_SHARE, WING_WIDTH


def test_all_light_is_in_the_gaussians():
    assert sum(PSF.shares) == pytest.approx(1)
    assert sum(galaxy_psf().shares) == pytest.approx(1)
    for size in range(len(SIZES) + 1):
        gaussians = galaxy_gaussians(size, np.inf)
        assert sum(gaussians.exponential) == pytest.approx(1)
        assert sum(gaussians.de_vaucouleurs) == pytest.approx(1)


def test_the_wing_is_the_power_law_within_4_percent_to_50_of_its_widths():
    share, width = np.array(PSF.shares[2:]), np.array(PSF.widths[2:])
    r = np.geomspace(0.01, 50, 400) * WING_WIDTH
    light = (share / (2 * np.pi * width**2) * np.exp(-(r[:, None] ** 2) / (2 * width**2))).sum(1)
    moffat = WING_SHARE / (2 * np.pi * WING_WIDTH**2) * (1 + (r / WING_WIDTH) ** 2) ** -WING_BETA
    assert light == pytest.approx(moffat, rel=0.04)


@pytest.mark.parametrize("table", TABLES[2:])
def test_half_the_light_of_a_table_lies_within_the_half_light_radius(table):
    for shares in table[1:]:
        half = 1 - np.exp(-1 / (2 * np.array(table.variances)))
        assert np.dot(shares, half) / sum(shares) == pytest.approx(0.5, abs=0.02)


def test_wider_wings_are_left_out_of_narrow_stamps():
    assert len(psf_gaussians(10).widths) < len(psf_gaussians(100).widths) < len(PSF.widths)
    assert max(psf_gaussians(10).widths) <= 10


def test_a_fwhm_that_pixels_alone_would_give_has_a_core_still():
    assert core_px(torch.tensor([0.1, 3.4])).tolist() == pytest.approx([0.3, 1.3589], rel=1e-3)
