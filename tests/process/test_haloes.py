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
from skygen.process.profiles import core_px
from skygen.process.view import Under, View
from skygen.sky.inspection import binned, bright, detection
from skygen.sky.inspection.defects import table, touching
from skygen.tiles import cut
from tests.process.skies import conditions, process

SIDE = 640


@pytest.fixture(scope="module")
def view():
    return View(process(), "gri")


def _star(flux_nmgy, is_galaxy=False, x=SIDE / 2, y=SIDE / 2):
    one = torch.ones(1, dtype=torch.float64)
    flux = torch.full((1, 3), float(flux_nmgy), dtype=torch.float64)
    objects = Objects(torch.tensor([is_galaxy]), one * x, one * y, flux, one * 3 * is_galaxy, one, one * 0, one * 0)
    nothing = np.zeros(1, np.int64)
    return Catalogue(objects, nothing, nothing, nothing + 512, 22.5 - 2.5 * np.log10(np.array([flux_nmgy])))


def _sight(view):
    under = Under.of(conditions())
    core = core_px(torch.from_numpy(under.psf_fwhm_px.astype(np.float64))).numpy()
    return Sight(under.sky_noise_nmgy.astype(np.float64), core, view.halo)


def _grid(size):
    x, y = np.meshgrid(np.arange(0, SIDE - size, 4), np.arange(0, SIDE - size, 4))
    return x.ravel(), y.ravel()


@pytest.mark.parametrize("flux", [700, 2000, 5000, 20000, 80000])
def test_a_star_spoils_the_places_that_the_inspection_of_its_image_says(view, flux):
    star, under = _star(flux), Under.of(conditions())
    light = view.drawn(star, np.zeros(1, np.int64), under, Canvas(1, 3, SIDE, SIDE))[0].astype(np.float64)
    x, y = _grid(64)
    by_truth = spoilt(star, x[None], y[None], 64, _sight(view))[0]
    found = np.zeros(len(x), bool)
    for band, image in enumerate(light):
        noise = float(under.sky_noise_nmgy[0, band])
        noisy = image + np.random.default_rng(band).normal(0, noise, image.shape)
        seen = bright.find_haloes(binned.bin_pixels(noisy), noise, np.array([SIDE / 2]), np.array([SIDE / 2]))
        found |= touching(table({"r": seen}), x, y, 64)["halo"]
    assert abs(by_truth.sum() - found.sum()) <= 0.12 * max(found.sum(), 1), (flux, by_truth.sum(), found.sum())
    assert (by_truth ^ found).sum() <= 0.2 * max(found.sum(), 1)


def test_a_star_inside_a_place_or_a_galaxy_outside_does_not_spoil_it(view):
    x = np.arange(SIDE // 2 - 63, SIDE // 2 + 1)
    y = np.full_like(x, SIDE // 2 - 30)
    assert not spoilt(_star(5000), x[None], y[None], 64, _sight(view)).any()
    assert spoilt(_star(5000), y[None] + 31, y[None], 64, _sight(view)).all()
    assert not spoilt(_star(5000, is_galaxy=True), x[None] + 64, y[None], 64, _sight(view)).any()


def test_what_is_noticed_is_what_the_inspection_notices():
    assert haloes.NOTICEABLE == bright.NOTICEABLE
    assert haloes.STAR_NMGY == bright.STAR_NMGY
    assert haloes.MIN_HALO_PX == bright.MIN_HALO_PX
    assert haloes.SPIKE_PX == bright._SPIKE_PX
    assert haloes.RING_SHARE == bright._SPIKE_SHARE
    assert haloes.BIN_PX == binned.BIN_PX
    assert APERTURE_PX == detection._SNR_RADIUS_PX
    assert EDGE_PX == cut._MARGIN_PX
