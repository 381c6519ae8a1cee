"""What sep and photutils measure in an image, with their usual settings, and how it is matched to the truth."""

import warnings
from typing import NamedTuple

import numpy as np
import sep
from astropy.convolution import convolve
from astropy.stats import SigmaClip
from numpy.typing import NDArray
from photutils.aperture import ApertureStats, CircularAnnulus, CircularAperture, aperture_photometry
from photutils.background import Background2D, MedianBackground
from photutils.segmentation import SourceCatalog, SourceFinder, make_2dgaussian_kernel
from scipy.spatial import KDTree

from benchmarks.known_sky import Floats, KnownSky

TOOLS = ("sep", "photutils")
THRESHOLD_SIGMA, MIN_AREA_PX, MESH_PX = 1.5, 5, 64
MATCH_PX = 3.0
KRON, LEAST_RADIUS_PX = 2.5, 3.5  # of apertures for total fluxes, as Source Extractor has them
RADII_PX = (5.0, 7.0, 12.0)  # of apertures for stars
ANNULUS_PX = (16.0, 24.0)  # of their local sky
FAR_PX = 100.0
STAR_SNR, NEIGHBOURS_SHARE, BRIGHTEST_MAG = 100.0, 0.03, 15.0  # of isolated stars; brighter ones may be saturated


class Found(NamedTuple):
    """Detections [n]: 0-based places and total (Kron) fluxes."""

    x: Floats
    y: Floats
    flux_nmgy: Floats


def find(tool: str, image: Floats) -> Found:
    """What a tool detects in an image [H, W] at 1.5 sigma over 5 px after a matched filter."""
    return _find_by_sep(image) if tool == "sep" else _find_by_photutils(image)


def _find_by_sep(image: Floats) -> Found:
    background = sep.Background(image, bw=MESH_PX, bh=MESH_PX)
    pixels = image - background
    found = sep.extract(pixels, THRESHOLD_SIGMA, err=background.globalrms, minarea=MIN_AREA_PX)
    found = found[(found["a"] > 0) & (found["b"] > 0)]
    x, y, a, b, theta = (found[name] for name in ("x", "y", "a", "b", "theta"))
    theta = np.clip(theta, -np.pi / 2, np.pi / 2)
    kron, _ = sep.kron_radius(pixels, x, y, a, b, theta, 6.0)
    kron = np.nan_to_num(kron)
    flux, _, _ = sep.sum_ellipse(pixels, x, y, a, b, theta, np.maximum(KRON * kron, 0.1), subpix=1)
    small = KRON * kron * np.sqrt(a * b) < LEAST_RADIUS_PX
    flux[small], _, _ = sep.sum_circle(pixels, x[small], y[small], LEAST_RADIUS_PX, subpix=1)
    return Found(x, y, flux)


def _find_by_photutils(image: Floats) -> Found:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        background = Background2D(image, MESH_PX, filter_size=3, bkg_estimator=MedianBackground())
        pixels = image - background.background
        smooth = convolve(pixels, make_2dgaussian_kernel(3.0, size=5))
        finder = SourceFinder(n_pixels=MIN_AREA_PX, n_levels=32, contrast=0.005, progress_bar=False)
        segments = finder(smooth, THRESHOLD_SIGMA * background.background_rms)
        catalogue = SourceCatalog(
            pixels, segments, convolved_data=smooth, kron_params=(KRON, LEAST_RADIUS_PX / KRON, LEAST_RADIUS_PX)
        )
        x, y, flux = catalogue.x_centroid, catalogue.y_centroid, catalogue.kron_flux
    good = np.isfinite(x) & np.isfinite(y) & np.isfinite(flux)
    return Found(x[good], y[good], flux[good])


def match(places: Floats, flux_nmgy: Floats, found: Floats) -> NDArray[np.int64]:
    """The detection that each object [n] has, or -1: the nearest free one within 3 px, the brightest object first.

    `places` [n, 2] are those of objects, `found` [m, 2] those of detections, in px.
    """
    taken = np.full(len(places), -1)
    if len(found):
        tree, free = KDTree(found), np.ones(len(found), bool)
        for each in np.argsort(-flux_nmgy, kind="stable"):
            near = [one for one in tree.query_ball_point(places[each], MATCH_PX) if free[one]]
            if near:
                taken[each] = min(near, key=lambda one: float(((found[one] - places[each]) ** 2).sum()))
                free[taken[each]] = False
    return taken


def isolated_stars(sky: KnownSky) -> NDArray[np.int64]:
    """Stars of S/N over 100 with little light of others where their own and that of their local sky is measured.

    Neighbours there have 3 % of a star's light at most, and none for 100 px around is brighter. They are asked for
    alike in aperture and local sky, so that the sky's mean takes their light away on average.
    """
    area = np.pi * RADII_PX[0] ** 2
    snr = sky.flux_nmgy / np.sqrt(area * sky.sky_noise_nmgy**2 + sky.flux_nmgy * sky.nmgy_per_electron)
    bright = np.flatnonzero(~sky.is_galaxy & (snr > STAR_SNR) & (sky.magnitude > BRIGHTEST_MAG))
    if not len(bright):
        return bright
    places, flux = np.column_stack([sky.x, sky.y]), sky.flux_nmgy[bright]
    tree = KDTree(places)
    near, far = (tree.query_ball_point(places[bright], radius) for radius in (ANNULUS_PX[1], FAR_PX))
    around = np.array([sky.flux_nmgy[some].sum() for some in near]) - flux
    brightest = np.array([sky.flux_nmgy[some].max() for some in far])
    return bright[(around < NEIGHBOURS_SHARE * flux) & (brightest <= flux)]


def aperture_fluxes(tool: str, sky: KnownSky, x: Floats, y: Floats) -> Floats:
    """Total fluxes [n, radii] of stars at (x, y): in circles less the local sky, corrected for what lies outside.

    sep takes the mean of an annulus as the local sky, photutils its median after clipping, as is usual.
    """
    if not len(x):
        return np.empty((0, len(RADII_PX)))
    ring = _mean_ring(sky.image, x, y) if tool == "sep" else _clipped_ring(sky.image, x, y)
    inner, outer = ANNULUS_PX
    of_ring = (sky.spread.enclosed(outer) - sky.spread.enclosed(inner)) / (np.pi * (outer**2 - inner**2))
    columns = []
    for radius in RADII_PX:
        area = np.pi * radius**2
        if tool == "sep":
            light, _, _ = sep.sum_circle(sky.image, x, y, radius, subpix=0)
        else:
            circles = CircularAperture(np.column_stack([x, y]), radius)
            light = np.asarray(aperture_photometry(sky.image, circles)["aperture_sum"])
        columns.append((light - ring * area) / (sky.spread.enclosed(radius) - of_ring * area))
    return np.stack(columns, axis=1)


def _mean_ring(image: Floats, x: Floats, y: Floats) -> Floats:
    inner, outer = ANNULUS_PX
    light, _, _ = sep.sum_circann(image, x, y, inner, outer, subpix=0)
    return np.asarray(light / (np.pi * (outer**2 - inner**2)))


def _clipped_ring(image: Floats, x: Floats, y: Floats) -> Floats:
    rings = CircularAnnulus(np.column_stack([x, y]), *ANNULUS_PX)
    return np.asarray(ApertureStats(image, rings, sigma_clip=SigmaClip(3.0, maxiters=10)).median)
