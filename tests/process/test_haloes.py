"""Haloes by truth are those that the survey's inspection finds."""

import numpy as np
import pytest
import torch

from skygen.process import haloes
from skygen.process.cells import Catalogue
from skygen.process.haloes import Sight, spoilt
from skygen.process.light import Canvas
from skygen.process.objects import Objects
from skygen.process.places import APERTURE_PX, EDGE_PX
from skygen.process.view import Under, View
from skygen.sky.inspection import binned, bright, detection
from skygen.sky.inspection.defects import table, touching
from skygen.tiles import cut
from tests.process.skies import conditions, process

SIDE = 512


@pytest.fixture(scope="module")
def view():
    return View(process(), "gri")


def _star(flux_nmgy, is_galaxy=False, x=SIDE / 2, y=SIDE / 2):
    one = torch.ones(1, dtype=torch.float64)
    flux = torch.full((1, 3), float(flux_nmgy), dtype=torch.float64)
    objects = Objects(torch.tensor([is_galaxy]), one * x, one * y, flux, one * 12 * is_galaxy, one, one * 0, one * 0)
    nothing = np.zeros(1, np.int64)
    return Catalogue(objects, nothing, nothing, nothing + 512, 22.5 - 2.5 * np.log10(np.array([flux_nmgy])))


def _sight():
    under = Under.of(conditions())
    return Sight.of("gri", under.sky_noise_nmgy, under.psf_fwhm_px)


def _grid(size):
    x, y = np.meshgrid(np.arange(0, SIDE - size, 8), np.arange(0, SIDE - size, 8))
    return x.ravel(), y.ravel()


@pytest.mark.parametrize("flux", [300, 2000, 5000, 20000, 80000])
def test_a_star_spoils_the_places_that_the_inspection_of_its_image_says(view, flux):
    star, under = _star(flux), Under.of(conditions())
    light = view.drawn(star, np.zeros(1, np.int64), under, Canvas(1, 3, SIDE, SIDE))[0].astype(np.float64)
    x, y = _grid(64)
    by_truth = spoilt(star, x[None], y[None], 64, _sight())[0]
    found, rng = np.zeros(len(x), bool), np.random.default_rng(1)
    for band, image in enumerate(light):
        noise = float(under.sky_noise_nmgy[0, band])
        noisy = image + rng.normal(0, noise, image.shape)
        seen = bright.find_haloes(binned.bin_pixels(noisy), noise, np.array([SIDE / 2]), np.array([SIDE / 2]))
        found |= touching(table({"r": seen}), x, y, 64)["halo"]
    assert (by_truth ^ found).sum() <= 0.2 * found.sum()
    assert found.any() == (flux > 300)


def test_a_star_inside_a_place_or_a_wide_galaxy_outside_does_not_spoil_it():
    x = np.arange(SIDE // 2 - 63, SIDE // 2 + 1)
    y = np.full_like(x, SIDE // 2 - 30)
    assert not spoilt(_star(5000), x[None], y[None], 64, _sight()).any()
    assert spoilt(_star(5000), y[None] + 31, y[None], 64, _sight()).all()
    assert not spoilt(_star(800, is_galaxy=True), x[None] + 64, y[None], 64, _sight()).any()


def test_what_is_noticed_is_what_the_inspection_notices():
    assert haloes.NOTICEABLE == bright.NOTICEABLE
    assert haloes.STAR_NMGY == bright.STAR_NMGY
    assert haloes.MIN_HALO_PX == bright.MIN_HALO_PX
    assert haloes.STAR_PEAK_COUNTS == bright.STAR_PEAK_COUNTS
    assert haloes.SPIKE_PX == bright._SPIKE_PX
    assert haloes.RING_SHARE == bright._SPIKE_SHARE
    assert haloes.BIN_PX == binned.BIN_PX
    assert APERTURE_PX == detection._SNR_RADIUS_PX
    assert EDGE_PX == cut._MARGIN_PX
