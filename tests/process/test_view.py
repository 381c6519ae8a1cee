"""What is drawn of boxes, and what is left out of it."""

import numpy as np
import pytest
import torch

from skygen.process.bright import halo_of
from skygen.process.objects import Objects
from skygen.process.saturation import full_well_nmgy, saturated_core
from skygen.process.view import core_reach_px


@pytest.mark.parametrize("fwhm", [1.5, 3.4, 7.6])
@pytest.mark.parametrize("magnitude", [8.0, 10.0, 11.0, 12.0, 13.5])
def test_no_saturated_core_reaches_farther_than_its_star_s_flux_allows(magnitude, fwhm):
    well, one = full_well_nmgy("gri"), torch.ones(1, dtype=torch.float64)
    flux = 10 ** (-0.4 * (torch.tensor([[magnitude + 1, magnitude, magnitude - 0.5]], dtype=torch.float64) - 22.5))
    star = Objects(one < 0, 0.3 * one, -0.2 * one, flux, 0 * one, one, 0 * one, 0 * one)
    core = saturated_core(star, torch.full((3,), fwhm), well, halo_of("gri"))
    across, along = (float(part) for part in core_reach_px(flux, well))
    if core is not None:
        height, width = core.mask.shape[1:]
        assert max(-core.row, core.row + height) < along
        assert max(-core.column, core.column + width) < across
        assert np.isfinite(core.nmgy).all()
