"""What is measured of a single tile, on tiles of which it is known."""

import math

import numpy as np
import pytest
import torch

from skygen.encoder import properties
from skygen.measure.pixels import STRETCH


def measured(tiles, bands="r"):
    """The properties of tiles by their names."""
    psf = torch.full((len(tiles), len(bands)), 3.0)
    found = properties.measure(torch.from_numpy(tiles.astype(np.float32)), psf, bands)
    return dict(zip(properties.names(bands), found.T, strict=True))


def stars(flux_nmgy, bands=1):
    tiles = np.random.default_rng(0).normal(0, 0.01, (4, bands, 64, 64))
    rows, columns = np.mgrid[:64, :64]
    for flux, x in zip(flux_nmgy, (16, 48), strict=False):
        tiles += flux * np.exp(-((columns - x) ** 2 + (rows - 32) ** 2) / (2 * 1.5**2)) / (2 * math.pi * 1.5**2)
    return tiles


def test_white_noise_has_its_variance_at_every_frequency():
    tiles = STRETCH.unstretch(np.random.default_rng(0).normal(0, 0.01, (64, 1, 64, 64)))
    found = measured(tiles)

    power = [np.exp(values).mean() for name, values in found.items() if name.startswith("power")]
    assert len(power) == 9
    assert power == pytest.approx([1e-4] * 9, rel=0.1)


def test_a_checkerboard_is_in_the_corner_of_the_plane():
    rows, columns = np.mgrid[:64, :64]
    tiles = STRETCH.unstretch(0.02 * (1 - 2.0 * ((rows + columns) % 2)))[None, None]
    power = {name: value[0] for name, value in measured(tiles).items() if name.startswith("power")}

    assert max(power, key=power.get) == "power.r.0.6"


def test_noise_is_told_in_logarithms():
    tiles = np.random.default_rng(0).normal(0, 0.03, (16, 1, 64, 64))

    assert measured(tiles)["sky_noise.r"].mean() == pytest.approx(math.log(0.03), abs=0.02)


def test_sources_are_told_by_the_brightest_and_the_second():
    found = measured(stars((100.0, 10.0)))

    assert found["number"] == pytest.approx(math.log(3), abs=1e-5)
    assert found["brightest.magnitude"] == pytest.approx(17.5, abs=0.03)
    assert found["second.magnitude"] == pytest.approx(20.0, abs=0.1)
    assert found["psf.r"] == pytest.approx(math.log(3))


def test_what_a_tile_has_no_source_for_is_not_a_number():
    dark, single = measured(np.zeros((2, 1, 64, 64))), measured(stars((100.0,)))

    assert np.isnan(dark["brightest.magnitude"]).all()
    assert np.isnan(dark["second.magnitude"]).all()
    assert np.isnan(single["second.magnitude"]).all()
    assert {name for name, values in dark.items() if np.isnan(values).any()} == {
        "second.magnitude",
        *(name for name in dark if name.startswith("brightest")),
    }


def test_every_band_has_its_own_and_colours_come_with_theirs():
    found = measured(stars((100.0, 10.0), bands=3), "gri")

    assert {name for name in found if name.startswith("flux")} == {"flux.g", "flux.r", "flux.i"}
    assert found["brightest.g_r"] == pytest.approx(0, abs=0.05)
