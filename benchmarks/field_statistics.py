"""What a field looks like in numbers: the same measurement for a survey's field and for a simulated one."""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import sep
from numpy.typing import NDArray

from skygen.sky.frame import Frame
from skygen.sky.inspection.detection import detect
from skygen.sky.noise import sky_noise
from skygen.sky.registration import sky_position
from skygen.sky.units import PIXEL_SCALE_ARCSEC, ZERO_POINT_MAG

BANDS = ("g", "r", "i")
SNR = 10.0
EDGE_PX = 20  # nearer than this to the edge of a frame nothing is measured
COLOUR_RADIUS_PX = 6.0
INNER_PX, OUTER_PX = 2.5, 5.0  # what lies within the one, over what lies within the other, tells stars from galaxies
COMPACT = 0.93  # of a star's ratio
STAR_PEAK_NMGY = (2.0, 25.0)  # bright, and far from saturation, in every band
MAGNITUDES = range(15, 22)

Statistics = dict[str, float]


def measure_field(frames: Mapping[str, Frame]) -> Statistics:
    """Every statistic of a field by name; `frames` holds g, r and i. One that has too few sources is NaN."""
    flux = {band: np.ascontiguousarray(frames[band].flux_nmgy, dtype=np.float64) for band in BANDS}
    noise = {band: float(sky_noise(flux[band])) for band in BANDS}
    sources = _inside(detect(flux["r"], noise["r"], SNR), flux["r"].shape)
    places = {band: _places(frames, sources, band) for band in BANDS}
    mag = ZERO_POINT_MAG - 2.5 * np.log10(np.maximum(sources["flux_nmgy"], 1e-9))
    stars, locus = _stars(flux["r"], sources, mag)
    bright = stars & (mag > 15.5) & (mag < 18.5)
    statistics = {f"sky noise {band} (nmgy)": noise[band] for band in BANDS}
    for band in BANDS:
        statistics[f"PSF FWHM {band} (arcsec)"] = _fwhm_arcsec(flux[band], *places[band][:, bright])
    for band in ("g", "i"):
        shift = np.median(places[band] - places["r"], axis=1)
        statistics |= {f"offset {band} in {axis} (px)": float(shift[k]) for k, axis in enumerate("xy")}
    area = flux["r"].size / (1489 * 2048)
    for low in MAGNITUDES:
        here = (mag >= low) & (mag < low + 1)
        statistics[f"sources r {low}-{low + 1}"] = float(here.sum() / area)
    for low, high in pairwise((15, 17, 18, 19, 20, 21)):
        here = (mag >= low) & (mag < high)
        statistics[f"star fraction r {low}-{high}"] = float(stars[here].mean()) if here.sum() >= 5 else np.nan
    statistics |= _colours(flux, places, mag, stars)
    statistics |= _shapes(sources, mag, stars, locus)
    return statistics | _pixels(flux["r"], noise["r"], sources)


def _inside(sources: NDArray[np.void], shape: tuple[int, ...]) -> NDArray[np.void]:
    x, y = sources["x"], sources["y"]
    return sources[(x > EDGE_PX) & (x < shape[1] - EDGE_PX) & (y > EDGE_PX) & (y < shape[0] - EDGE_PX)]


def _places(frames: Mapping[str, Frame], sources: NDArray[np.void], band: str) -> NDArray[np.float64]:
    sky = sky_position(frames["r"].wcs, sources["x"], sources["y"])
    return np.array(frames[band].wcs.all_world2pix(*sky, 0))


def _stars(
    flux: NDArray[np.float64], sources: NDArray[np.void], mag: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], float]:
    """Which sources are as compact as the field's stars, and the stars' half-light radius in px."""
    inner, outer = (
        sep.sum_circle(flux, sources["x"], sources["y"], radius, subpix=5)[0] for radius in (INNER_PX, OUTER_PX)
    )
    ratio = inner / np.maximum(outer, 1e-9)
    sample = ratio[(mag > 15.5) & (mag < 19)]
    if len(sample) < 3:
        return np.zeros(len(mag), dtype=bool), float("nan")
    widths = np.sort(sample)
    window = max(3, len(widths) // 4)  # the stars are where the ratios lie closest
    start = int(np.argmin(widths[window - 1 :] - widths[: len(widths) - window + 1]))
    locus = float(np.median(widths[start : start + window]))
    stars = (ratio > COMPACT * locus) | (mag < 15.5)  # brighter ones, saturated, are broad without being galaxies
    bright = stars & (mag > 15.5) & (mag < 18.5)
    return stars, float(np.median(sources["half_light_radius_px"][bright]))


def _fwhm_arcsec(flux: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """The median over stars of the width of the Gaussian that fits the logarithm of the core, above 0.3 of its peak."""
    widths = []
    rows, columns = np.mgrid[-6:7, -6:7]
    for x0, y0 in zip(x, y, strict=True):
        column, row = round(float(x0)), round(float(y0))
        stamp = flux[max(row - 6, 0) : row + 7, max(column - 6, 0) : column + 7]
        if stamp.shape != rows.shape or not STAR_PEAK_NMGY[0] < stamp[4:9, 4:9].max() < STAR_PEAK_NMGY[1]:
            continue
        core = (stamp > 0.3 * stamp[4:9, 4:9].max()) & (np.hypot(rows, columns) < 5)
        design = np.stack(
            [np.ones(core.sum()), columns[core], rows[core], columns[core] ** 2 + rows[core] ** 2], axis=1
        )
        weight = stamp[core]
        fit = np.linalg.lstsq(design * weight[:, None], np.log(stamp[core]) * weight, rcond=None)[0]
        if fit[3] < 0:
            widths.append(np.sqrt(-4 * np.log(2) / fit[3]) * PIXEL_SCALE_ARCSEC)
    return float(np.median(widths)) if len(widths) >= 3 else np.nan


def _colours(
    flux: dict[str, NDArray[np.float64]],
    places: dict[str, NDArray[np.float64]],
    mag: NDArray[np.float64],
    stars: NDArray[np.bool_],
) -> Statistics:
    mags = {}
    for band in BANDS:
        aperture, _, _ = sep.sum_circle(flux[band], *places[band], COLOUR_RADIUS_PX)
        mags[band] = -2.5 * np.log10(np.where(aperture > 0, aperture, np.nan))
    statistics: Statistics = {}
    for kind, chosen in (
        ("stars", stars & (mag > 15.5) & (mag < 20)),
        ("galaxies", ~stars & (mag > 17) & (mag < 20.5)),
    ):
        for blue, red in pairwise(BANDS):
            colour = (mags[blue] - mags[red])[chosen]
            statistics |= _percentiles(f"{blue}-{red} of {kind}", colour[np.isfinite(colour)])
    return statistics


def _shapes(sources: NDArray[np.void], mag: NDArray[np.float64], stars: NDArray[np.bool_], locus: float) -> Statistics:
    radius = sources["half_light_radius_px"] * PIXEL_SCALE_ARCSEC
    statistics = {"half-light radius of stars (arcsec)": locus * PIXEL_SCALE_ARCSEC}
    for low, high in pairwise((17, 19, 20, 21)):
        chosen = ~stars & (mag >= low) & (mag < high)
        statistics |= _percentiles(f"radius of galaxies r {low}-{high} (arcsec)", radius[chosen])
    round_ones = stars & (mag > 15.5) & (mag < 19)
    statistics["ellipticity of stars, 50 %"] = float(np.median(sources["ellipticity"][round_ones]))
    return statistics | _percentiles(
        "ellipticity of galaxies", sources["ellipticity"][~stars & (mag > 17) & (mag < 21)]
    )


def _percentiles(name: str, values: NDArray[np.float64]) -> Statistics:
    if len(values) < 5:
        return {f"{name}, {share} %": np.nan for share in (16, 50, 84)}
    return {f"{name}, {share} %": float(np.percentile(values, share)) for share in (16, 50, 84)}


def _pixels(flux: NDArray[np.float64], noise: float, sources: NDArray[np.void]) -> Statistics:
    empty = np.abs(flux) < 2.5 * noise
    pairs = empty[:, 1:] & empty[:, :-1]
    statistics = {
        "noise correlation of neighbours": float(np.corrcoef(flux[:, 1:][pairs], flux[:, :-1][pairs])[0, 1]),
        "pixels above 5 sigma (%)": float(100 * (flux > 5 * noise).mean()),
        "pixels above 1 nmgy (%)": float(100 * (flux > 1).mean()),
        "brightest pixel (nmgy)": float(flux.max()),
    }
    for size in (64, 128):
        statistics[f"places of {size} px with a source (%)"] = 100 * _occupied(flux.shape, sources, size)
    return statistics


def _occupied(shape: tuple[int, ...], sources: NDArray[np.void], size: int, places: int = 4000) -> float:
    """The share of random places that hold a source."""
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0, shape[1] - size, places), rng.uniform(0, shape[0] - size, places)
    dx, dy = sources["x"][None] - x[:, None], sources["y"][None] - y[:, None]
    return float(((dx >= 0) & (dx < size) & (dy >= 0) & (dy < size)).any(axis=1).mean())
