import numpy as np
import pytest
import torch

from skygen.process.bright import halo_of
from skygen.process.saturation import full_well_nmgy, saturate, saturated_core
from tests.process.seen import drawn, objects

FWHM = torch.tensor([3.6, 3.4, 3.3], dtype=torch.float64)
WELL = full_well_nmgy("gri")


def core(flux_nmgy, x=50.3, y=60.8, halo=None):
    return saturated_core(objects(x, y, [flux_nmgy] * 3), FWHM, WELL, halo)


def test_a_star_saturates_where_its_light_exceeds_the_full_well():
    assert core(1000.0) is None
    found = core(2e4)
    light = drawn(objects(50.3, 60.8, [2e4] * 3), FWHM, 128, 128).numpy()
    over = light > np.array(WELL)[:, None, None]
    marked = saturate(light, found)
    assert over.any(axis=(1, 2)).all()
    assert not (over & ~marked).any()


def test_charge_runs_along_the_column_and_not_beyond_a_hundred_pixels_of_the_core():
    rows, columns = (np.ptp(part) + 1 for part in np.nonzero(core(3e5).mask[1]))
    assert rows > 2 * columns
    assert rows <= columns + 200 + 2


def test_pixels_that_saturate_hold_less_than_the_star_s_light_and_more_than_nothing():
    found = core(5e4)
    light = drawn(objects(50.3 - found.column, 60.8 - found.row, [5e4] * 3), FWHM, *found.mask.shape[1:]).numpy()
    assert (found.nmgy[found.mask] > 0).all()
    assert found.nmgy.max() <= light[found.mask].max()
    assert (found.nmgy[~found.mask] == 0).all()


@pytest.mark.parametrize("shift", [(7, -3), (-1000, 2_000_000)])
def test_a_core_moves_with_its_star_and_is_otherwise_the_same(shift):
    halo = halo_of("gri")
    here, there = core(5e4, 50.25, 60.75, halo), core(5e4, 50.25 + shift[0], 60.75 + shift[1], halo)
    assert (there.column - here.column, there.row - here.row) == shift
    assert np.array_equal(here.nmgy, there.nmgy)


@pytest.mark.parametrize(("row", "column"), [(0, 0), (55, 45), (-300, 20), (400, 400)])
def test_a_window_gets_the_part_of_a_core_that_lies_in_it(row, column):
    found = core(5e4)
    whole, part = np.ones((3, 600, 600)), np.ones((3, 40, 50), np.float32)
    everywhere = saturate(whole, found, -400, -100)
    there = saturate(part, found, row, column)
    inside = np.s_[:, row + 400 : row + 440, column + 100 : column + 150]
    if row == 400:
        assert not there.any()
    else:
        assert np.array_equal(there, everywhere[inside])
        assert part == pytest.approx(whole[inside], rel=1e-6)
