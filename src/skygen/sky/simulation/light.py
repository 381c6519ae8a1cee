"""The light of a catalogue on a CCD: faint sources as photons shot all at once, bright ones drawn by GalSim."""

import galsim
import numpy as np
from numpy.typing import NDArray

from skygen.sky.simulation.catalogue import Catalogue
from skygen.sky.simulation.optics import Optics

DRAWN_FROM_E = 4e3  # electrons from which drawing what is expected is quicker than shooting photons
STAR_HALF_PX = 24  # of the stamp that holds a star's core
GALAXY_HALF_PX = (24.0, 256.0)  # of a galaxy's stamp, at least and at most; between them
GALAXY_REACH = 10.0  # times its larger half-light radius
_COARSE = galsim.GSParams(folding_threshold=0.02)
_BULGE = galsim.DeVaucouleurs(half_light_radius=1.0, gsparams=_COARSE)
_DISC = galsim.Exponential(half_light_radius=1.0, gsparams=_COARSE)

Places = tuple[NDArray[np.float64], NDArray[np.float64]]


def draw_bright(
    catalogue: Catalogue,
    places: Places,
    electrons: NDArray[np.float64],
    optics: Optics,
    faint_e: float,
    shape: tuple[int, int],
) -> NDArray[np.float64]:
    """The electrons [H, W] expected of the sources that have more than `DRAWN_FROM_E` of them.

    `places` are 0-based x and y [n], `electrons` [n] what each source gives in all. A star's halo is drawn as far as it
    adds `faint_e` electrons to a pixel.
    """
    image = galsim.ImageD(shape[1], shape[0], xmin=0, ymin=0)
    for i in np.flatnonzero(electrons > DRAWN_FROM_E).tolist():
        x, y = places[0][i], places[1][i]
        if catalogue.disc_radius_px[i] == 0:
            _draw_star(image, optics, electrons[i], x, y, faint_e)
        else:
            seen = galsim.Convolve([_galaxy(catalogue, i), optics.psf], propagate_gsparams=False)
            reach = GALAXY_REACH * max(catalogue.disc_radius_px[i], catalogue.bulge_radius_px[i])
            _add(image, electrons[i] * seen, x, y, int(np.clip(reach, *GALAXY_HALF_PX)))
    return np.asarray(np.maximum(image.array, 0))


def shoot_faint(
    catalogue: Catalogue,
    places: Places,
    electrons: NDArray[np.float64],
    optics: Optics,
    shape: tuple[int, int],
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """The electrons [H, W] counted of the sources that have at most `DRAWN_FROM_E`: each photon at its own place."""
    photons = rng.poisson(np.where(electrons > DRAWN_FROM_E, 0, electrons))
    deviate = galsim.BaseDeviate(int(rng.integers(1, 2**31)))
    extended = catalogue.disc_radius_px > 0
    of_bulges = np.where(extended, rng.binomial(photons, catalogue.bulge_share), 0)
    of_discs = np.where(extended, photons - of_bulges, 0)
    bulges = _scatter(_BULGE, of_bulges, catalogue.bulge_radius_px, catalogue.bulge_axis_ratio, catalogue, deviate)
    discs = _scatter(_DISC, of_discs, catalogue.disc_radius_px, catalogue.disc_axis_ratio, catalogue, deviate)
    stars = np.zeros((2, int(photons[~extended].sum())))
    offsets = np.concatenate([bulges, discs, stars], axis=1)
    if not offsets.shape[1]:
        return np.zeros(shape, np.int64)
    blur = optics.psf.shoot(offsets.shape[1], deviate)
    counts = [of_bulges, of_discs, np.where(extended, 0, photons)]
    x, y = (np.concatenate([np.repeat(place, count) for count in counts]) for place in places)
    column = np.floor(x + offsets[0] + blur.x + 0.5).astype(np.int64)
    row = np.floor(y + offsets[1] + blur.y + 0.5).astype(np.int64)
    inside = (column >= 0) & (column < shape[1]) & (row >= 0) & (row < shape[0])
    landed = row[inside] * shape[1] + column[inside]
    return np.bincount(landed, minlength=shape[0] * shape[1]).reshape(shape)


def _scatter(
    profile: galsim.GSObject,
    photons: NDArray[np.int64],
    radius_px: NDArray[np.float64],
    axis_ratio: NDArray[np.float64],
    catalogue: Catalogue,
    deviate: galsim.BaseDeviate,
) -> NDArray[np.float64]:
    """Where the photons leave [2, sum of `photons`], from their galaxy's centre: `profile` stretched and turned."""
    total = int(photons.sum())
    if not total:
        return np.empty((2, 0))
    unit = profile.shoot(total, deviate)
    along = unit.x * np.repeat(radius_px, photons)
    across = unit.y * np.repeat(radius_px * axis_ratio, photons)
    angle = np.repeat(np.radians(catalogue.angle_deg), photons)
    sine, cosine = np.sin(angle), np.cos(angle)
    return np.stack([along * cosine - across * sine, along * sine + across * cosine])


def _draw_star(image: galsim.Image, optics: Optics, flux: float, x: float, y: float, faint: float) -> None:
    """The Gaussians of the PSF integrated over pixels, and the smooth halo at the pixels' centres."""
    _add(image, flux * optics.gaussians, x, y, STAR_HALF_PX)
    common = _stamp(x, y, optics.reach_px(flux, faint)) & image.bounds
    if common.isDefined():
        columns = np.arange(common.xmin, common.xmax + 1) - x
        rows = np.arange(common.ymin, common.ymax + 1) - y
        image[common].array[:] += flux * optics.halo(columns, rows)


def _galaxy(catalogue: Catalogue, i: int) -> galsim.GSObject:
    """Bulge and disc, together of flux 1."""
    bulge = _stretched(_BULGE, catalogue.bulge_radius_px[i], catalogue.bulge_axis_ratio[i], catalogue.angle_deg[i])
    disc = _stretched(_DISC, catalogue.disc_radius_px[i], catalogue.disc_axis_ratio[i], catalogue.angle_deg[i])
    share = catalogue.bulge_share[i]
    return share * bulge + (1 - share) * disc


def _stretched(profile: galsim.GSObject, radius_px: float, axis_ratio: float, angle_deg: float) -> galsim.GSObject:
    # A shear keeps the area, so that the radius along the major axis is that of the circle over sqrt(axis ratio).
    shear = galsim.Shear(q=axis_ratio, beta=angle_deg * galsim.degrees)
    return profile.dilate(radius_px * np.sqrt(axis_ratio)).shear(shear)


def _stamp(x: float, y: float, half_px: int) -> galsim.BoundsI:
    column, row = round(float(x)), round(float(y))
    return galsim.BoundsI(column - half_px, column + half_px, row - half_px, row + half_px)


def _add(image: galsim.Image, profile: galsim.GSObject, x: float, y: float, half_px: int) -> None:
    stamp = galsim.Image(_stamp(x, y, half_px), dtype=np.float64)
    common = stamp.bounds & image.bounds
    if common.isDefined():
        profile.drawImage(stamp, center=galsim.PositionD(x, y), scale=1.0)
        image[common] += stamp[common]
