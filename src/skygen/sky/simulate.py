"""A simulated field: sources through atmosphere, telescope and CCD, then calibrated as the survey does.

A first honest version: photons of GalSim's stars and galaxies through a Moffat profile that is the same over the field,
on a tilted plane of sky, with Poisson noise, read noise and whole counts. It has no clustering, haloes of bright stars,
bleeding, satellites, cosmic rays or errors of calibration and sky subtraction.
"""

import galsim
import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray

from skygen.sky.camera import dark_variance_counts2, gain_e_per_count
from skygen.sky.catalogue import Catalogue, draw_catalogue
from skygen.sky.exposure import BANDS, Exposure, draw_exposures
from skygen.sky.frame import SHAPE
from skygen.sky.frame_format import FullFrame, keep_significant_bits, sky_grid
from skygen.sky.registration import sky_position

FULL_WELL_COUNTS = 64535  # 16 bits less the softbias of 1000
SHOT_E = {"star": 2e4, "galaxy": 3e4}  # electrons up to which shooting photons is quicker than drawing by FFT


def simulate_field(seed: int, index: int, shape: tuple[int, int] = SHAPE) -> list[FullFrame]:
    """The frames in g, r and i of simulated field `index`, each of `shape` (H, W).

    Field `index` is the same whatever other fields are simulated, and the same bytes for the same `seed`. Its place on
    the sky and its name depend on `index` alone.
    """
    rng = np.random.default_rng([seed, index])
    catalogue = draw_catalogue(rng, shape)
    exposures = draw_exposures(rng, index, shape)
    return [expose(catalogue, exposures["r"].wcs, exposures[band], shape, rng) for band in BANDS]


def expose(
    catalogue: Catalogue, reference: WCS, exposure: Exposure, shape: tuple[int, int], rng: np.random.Generator
) -> FullFrame:
    """The frame that `exposure` takes of `catalogue`, whose positions are pixels of the frame with WCS `reference`."""
    gain = gain_e_per_count(exposure.field_id, exposure.band)
    dark = dark_variance_counts2(exposure.field_id, exposure.band)
    calibration = exposure.calibration_nmgy_per_count
    sky = _interpolate_sky(exposure.sky_counts, shape)
    drawn_e, shot_e = _light(catalogue, reference, exposure, shape, rng)
    electrons = rng.poisson(drawn_e + sky * gain) + shot_e
    read_noise = np.sqrt(dark) * rng.standard_normal(shape, dtype=np.float32)
    counts = np.clip(np.rint(electrons / gain + read_noise), None, FULL_WELL_COUNTS)
    flux = ((counts - sky) * calibration).astype(np.float32)
    nmgy_per_count = round(float(np.median(calibration)), 8)
    return FullFrame(
        field_id=exposure.field_id,
        band=exposure.band,
        flux_nmgy=keep_significant_bits(flux),
        wcs=exposure.wcs,
        nmgy_per_count=nmgy_per_count,
        calibration_nmgy_per_count=calibration,
        sky_counts=exposure.sky_counts,
    )


def _interpolate_sky(sky_counts: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float64]:
    """The sky [H, W] in counts: bilinear in the table, which for its plane is a sum over rows and columns."""
    x, y = sky_grid(shape)
    along_x = np.interp(x, np.arange(sky_counts.shape[1]), sky_counts[0])
    along_y = np.interp(y, np.arange(sky_counts.shape[0]), sky_counts[:, 0])
    return np.asarray(along_y[:, None] + along_x - float(sky_counts[0, 0]))


def _light(
    catalogue: Catalogue, reference: WCS, exposure: Exposure, shape: tuple[int, int], rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Electrons [H, W] of the sources: the expected ones of bright sources, and the counted ones of faint sources."""
    height, width = shape
    gain = gain_e_per_count(exposure.field_id, exposure.band)
    x, y = exposure.wcs.all_world2pix(*sky_position(reference, catalogue.x, catalogue.y), 0)
    column = np.clip(np.rint(x), 0, width - 1).astype(int)
    expected_e = catalogue.flux_nmgy[exposure.band] / exposure.calibration_nmgy_per_count[column] * gain
    deviate = galsim.BaseDeviate(int(rng.integers(1, 2**31)))
    drawn = galsim.ImageD(width, height, xmin=0, ymin=0)
    pixels = [np.empty(0, np.int64)]
    for i in range(x.size):
        profile = _profile(catalogue, i, exposure.psf)
        if expected_e[i] > SHOT_E["galaxy" if catalogue.half_light_radius_px[i] else "star"]:
            _add_drawn(drawn, profile.withFlux(expected_e[i]), x[i], y[i])
        else:
            pixels.append(_shoot(profile, rng.poisson(expected_e[i]), x[i], y[i], shape, deviate))
    shot = np.bincount(np.concatenate(pixels), minlength=height * width).reshape(shape)
    return np.maximum(drawn.array, 0), shot


def _profile(catalogue: Catalogue, i: int, psf: galsim.GSObject) -> galsim.GSObject:
    radius = catalogue.half_light_radius_px[i]
    if radius == 0:
        return psf
    kind = galsim.DeVaucouleurs if catalogue.sersic[i] == 4 else galsim.Exponential
    shape = galsim.Shear(q=catalogue.axis_ratio[i], beta=catalogue.angle_deg[i] * galsim.degrees)
    # A shear keeps the area, so that the radius along the major axis is that of the circle over sqrt(q).
    galaxy = kind(half_light_radius=radius * np.sqrt(catalogue.axis_ratio[i])).shear(shape)
    return galsim.Convolve(galaxy, psf)


def _add_drawn(image: galsim.Image, profile: galsim.GSObject, x: float, y: float) -> None:
    stamp = profile.drawImage(center=galsim.PositionD(x, y), scale=1.0)
    common = stamp.bounds & image.bounds
    if common.isDefined():
        image[common] += stamp[common]


def _shoot(
    profile: galsim.GSObject, photons: int, x: float, y: float, shape: tuple[int, int], deviate: galsim.BaseDeviate
) -> NDArray[np.int64]:
    """The flat index of the pixel in which each of `photons` lands; those outside the frame are lost."""
    if photons == 0:
        return np.empty(0, np.int64)
    landed = profile.shoot(photons, deviate)
    column = np.floor(landed.x + x + 0.5).astype(np.int64)
    row = np.floor(landed.y + y + 0.5).astype(np.int64)
    inside = (column >= 0) & (column < shape[1]) & (row >= 0) & (row < shape[0])
    return np.asarray(row[inside] * shape[1] + column[inside])
