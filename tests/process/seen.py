"""Objects drawn by the process, and the same by GalSim."""

import galsim
import numpy as np
import torch

from skygen.process.light import Canvas, draw
from skygen.process.objects import Objects
from skygen.process.profiles import core_px
from skygen.sky.spread import CORE_SHARE, SHOULDER_SHARE, SHOULDER_WIDTH, WING_BETA, WING_SHARE, WING_WIDTH

# The wing wraps around an image of GalSim where a hundredth of it is left.
WIDE = galsim.GSParams(folding_threshold=0.01, maximum_fft_size=8192)


def objects(x, y, flux_nmgy, radius_px=0.0, axis_ratio=1.0, bulge_share=0.0, angle=0.0, dtype=torch.float64):
    """Stars where the radius is 0, galaxies elsewhere; numbers or lists, fluxes a band for all."""
    flux_nmgy = np.atleast_2d(flux_nmgy)
    values = np.broadcast_arrays(x, y, radius_px, axis_ratio, bulge_share, angle, flux_nmgy[:, 0])[:-1]
    x, y, radius, ratio, bulge, turn = (torch.tensor(np.atleast_1d(value).copy(), dtype=dtype) for value in values)
    flux = torch.tensor(np.broadcast_to(flux_nmgy, (len(x), flux_nmgy.shape[1])).copy(), dtype=dtype)
    return Objects(radius > 0, x, y, flux, radius, ratio, bulge, turn)


def drawn(some, psf_fwhm_px, height, width, faint_nmgy=1e-6, halo=None):
    """One canvas [bands, H, W] of `some` objects."""
    psf = torch.tensor(np.atleast_1d(psf_fwhm_px), dtype=torch.float64)[None]
    canvas = Canvas(1, psf.shape[1], height, width)
    return draw(some, torch.zeros(len(some.x), dtype=torch.long), psf, canvas, faint_nmgy, halo)[0]


def psf(psf_fwhm_px):
    """The survey's PSF as GalSim has it, its wing a Moffat profile."""
    core = float(core_px(torch.tensor(psf_fwhm_px, dtype=torch.float64)))
    return galsim.Sum(
        [
            galsim.Gaussian(sigma=core, flux=CORE_SHARE),
            galsim.Gaussian(sigma=SHOULDER_WIDTH * core, flux=SHOULDER_SHARE),
            galsim.Moffat(beta=WING_BETA, scale_radius=WING_WIDTH * core, flux=WING_SHARE, gsparams=WIDE),
        ],
        propagate_gsparams=False,
    )


def galaxy(radius_px, axis_ratio, bulge_share, angle):
    """A galaxy of flux 1 as GalSim has it."""
    disc = (1 - bulge_share) * galsim.Exponential(half_light_radius=1.0)
    bulge = bulge_share * galsim.DeVaucouleurs(half_light_radius=1.0)
    shear = galsim.Shear(q=axis_ratio, beta=angle * galsim.radians)
    return (disc + bulge).dilate(radius_px * axis_ratio**0.5).shear(shear)


def by_galsim(profile, x, y, height, width):
    """An image [H, W] of `profile` at 0-based x, y."""
    image = galsim.ImageD(width, height, xmin=0, ymin=0)
    return profile.drawImage(image, center=galsim.PositionD(x, y), scale=1.0).array
