"""The noise model against frames whose noise GalSim and a CCD made: photons, read noise, whole counts."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from skygen.gan.camera import Conditions, Sky, expose
from skygen.sky.ccd import gain_e_per_count
from skygen.sky.conditions import BandConditions
from skygen.sky.noise import pixel_noise
from skygen.sky.readout import halves_of
from skygen.sky.simulation.catalogue import Catalogue
from skygen.sky.simulation.exposure import draw_exposures, draw_pointing, field_id
from skygen.sky.simulation.simulate import BANDS
from skygen.sky.simulation.simulate import expose as simulate

SHAPE, EXPOSURES = (192, 256), 50
STARS_NMGY = (1.0, 5.0, 25.0, 300.0)


def stars():
    """Four stars of each flux, far apart."""
    x, y = np.meshgrid([40.0, 100.0, 160.0, 220.0], [30.0, 75.0, 120.0, 165.0])
    zeros, ones = np.zeros(x.size), np.ones(x.size)
    return Catalogue(
        x=x.ravel(),
        y=y.ravel(),
        flux_nmgy={band: np.tile(STARS_NMGY, 4) for band in BANDS},
        disc_radius_px=zeros,
        disc_axis_ratio=ones,
        bulge_radius_px=zeros,
        bulge_axis_ratio=ones,
        bulge_share=zeros,
        angle_deg=zeros,
    )


def exposures(catalogue, band):
    """Frames [EXPOSURES, H, W] of one sky under one sky and seeing, and nanomaggies an electron."""
    rng = np.random.default_rng(1)
    pointing = draw_pointing(rng, 0, SHAPE)
    exposure = replace(draw_exposures(rng, field_id(0), pointing, SHAPE)[band], trail=None, full_well_counts=1e9)
    frames = [simulate(catalogue, pointing, exposure, SHAPE, rng) for _ in range(EXPOSURES)]
    return np.stack([frame.flux_nmgy for frame in frames]), frames[0].nmgy_per_count / gain_e_per_count(
        field_id(0), band
    )


@pytest.mark.parametrize("band", BANDS)
def test_empty_sky_and_bright_stars_have_the_noise_that_the_model_gives_them(band):
    flux, nmgy_per_electron = exposures(stars(), band)
    scene = flux.mean(0)
    levels = [float(np.median([pixel_noise(frame) for frame in half])) for half in halves_of(flux).values()]
    readouts = [
        [BandConditions(sky_noise_nmgy=level, nmgy_per_electron=nmgy_per_electron, psf_fwhm_arcsec=1.3)]
        for level in levels
    ]
    planes = torch.from_numpy(np.stack([*halves_of(scene).values()])[:, None])
    model = (expose(planes, Sky(Conditions.of_fields(readouts, 0.396), torch.ones_like(planes))) - planes)[:, 0].numpy()
    photons = np.concatenate(model**2 / np.square(levels)[:, None, None] - 1, axis=-1)  # over the variance of the sky
    model = np.concatenate(model, axis=-1)

    variance = flux.var(0, ddof=1)
    for low, high, rel in ((-1, 0.05, 0.02), (0.05, 0.5, 0.04), (0.5, 2, 0.05), (2, np.inf, 0.05)):
        chosen = (photons >= low) & (photons < high)
        chance = 4 * np.sqrt(0.5 / (chosen.sum() * (EXPOSURES - 1)))
        assert chosen.sum() > 30
        assert np.sqrt(variance[chosen].sum() / (model[chosen] ** 2).sum()) == pytest.approx(1, abs=rel)
        assert chance < rel
