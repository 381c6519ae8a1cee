"""The width of the point-spread function of a frame, from its stars."""

from dataclasses import dataclass

import numpy as np
import sep
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.spatial import KDTree

from skygen.sky.inspection.detection import TOTAL_RADIUS_PX
from skygen.sky.units import PIXEL_SCALE_ARCSEC

MIN_STARS = 5
MAX_STARS = 60  # the brightest: more add time and nothing else
_SNR = 40.0  # at least, of a star
_STAMP_PX = 7  # half-width of what is cut around a star
_ISOLATION_PX = 14.0  # to the next source
_LOCUS = 0.08  # relative half-width of the stars' half-light radii around their mode
_WINDOW_PX = 1.3  # standard deviation of the Gaussian window in which a star is centred
_ASTRAY_PX = 2.0  # further from where it was expected, a star is another
_PEAK_SPREAD = 0.3  # relative; where a star falls on the pixels changes its peak by 0.1


@dataclass(frozen=True)
class Psf:
    """A Moffat profile fitted to the stars of a frame, as the pixels sample it, and how many stars there were."""

    fwhm_arcsec: float
    beta: float
    peak: float  # the brightest pixel of a star, as a share of its flux within 12 px
    stars: int
    offset_px: tuple[float, float]  # in x and y, of the stars from where they were expected

    @property
    def effective_width_arcsec(self) -> float:
        """The FWHM of the Gaussian with the same effective area (∫f)² / ∫f²: what the survey calls psf_width."""
        core = (self.fwhm_arcsec / 2) ** 2 / (2 ** (1 / self.beta) - 1)
        area = np.pi * core * (2 * self.beta - 1) / (self.beta - 1) ** 2
        return float(np.sqrt(8 * np.log(2) * area / (4 * np.pi)))


def choose_stars(sources: NDArray[np.void], shape: tuple[int, ...]) -> NDArray[np.void]:
    """The brightest isolated sources [stars] on the stellar locus: half-light radii near the commonest one.

    `sources` is what `detect` found in r in an image of `shape`. Saturated stars are not told apart here.
    """
    x, y = sources["x"], sources["y"]
    margin = _STAMP_PX + 16  # other bands lie up to 15 px off
    inside = (x > margin) & (y > margin) & (x < shape[1] - margin) & (y < shape[0] - margin)
    usable = inside & (sources["snr"] > _SNR) & (sources["ellipticity"] < 0.25) & _isolated(x, y)
    if not usable.any():
        return sources[usable]
    radius = sources["half_light_radius_px"]
    mode = _half_sample_mode(radius[usable])
    stars = sources[usable & (np.abs(radius - mode) < _LOCUS * mode)]
    return stars[np.argsort(-stars["snr"])][:MAX_STARS]


def centre(
    image: NDArray[np.floating], x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """The centres of the stars near `x`, `y` (0-based px) in `image`, in a Gaussian window, and which were found."""
    at_x, at_y, flag = sep.winpos(np.ascontiguousarray(image), x, y, _WINDOW_PX)
    return at_x, at_y, (flag == 0) & (np.hypot(at_x - x, at_y - y) < _ASTRAY_PX)


def measure_psf(image: NDArray[np.floating], x: NDArray[np.float64], y: NDArray[np.float64]) -> Psf | None:
    """The PSF of `image` [H, W] from the stars expected at `x`, `y` (0-based px) and not too near its edges.

    None where fewer than 5 are. A star whose core is cut off by saturation, or that has a companion, stands out by its
    peak and is left out.
    """
    height, width = image.shape
    inside = (x >= _STAMP_PX) & (y >= _STAMP_PX) & (x < width - 1 - _STAMP_PX) & (y < height - 1 - _STAMP_PX)
    x, y = x[inside], y[inside]
    if len(x) < MIN_STARS:
        return None
    column, row = np.rint(x).astype(int), np.rint(y).astype(int)
    offset = np.arange(-_STAMP_PX, _STAMP_PX + 1)
    stamps = image[row[:, None, None] + offset[:, None], column[:, None, None] + offset].astype(np.float64)
    centre_x, centre_y, good = centre(image, x, y)
    flux, _, _ = sep.sum_circle(np.ascontiguousarray(image), centre_x, centre_y, TOTAL_RADIUS_PX)
    good &= flux > 0
    if good.sum() < MIN_STARS:
        return None
    peak = stamps.max((1, 2)) / np.where(good, flux, np.inf)
    typical = np.median(peak[good])
    good &= np.abs(peak - typical) < _PEAK_SPREAD * typical
    if good.sum() < MIN_STARS:
        return None
    from_x = offset[None, None, :] + (column - centre_x)[:, None, None]
    from_y = offset[None, :, None] + (row - centre_y)[:, None, None]
    fwhm_px, beta = _fit(np.hypot(from_x, from_y)[good], stamps[good] / flux[good, None, None])
    return Psf(
        fwhm_arcsec=fwhm_px * PIXEL_SCALE_ARCSEC,
        beta=beta,
        peak=float(np.median(peak[good])),
        stars=int(good.sum()),
        offset_px=(float(np.median((centre_x - x)[good])), float(np.median((centre_y - y)[good]))),
    )


def _fit(radius_px: NDArray[np.float64], light: NDArray[np.float64]) -> tuple[float, float]:
    """FWHM in px and beta of a Moffat profile, by least squares that outliers move little."""
    near = radius_px < _STAMP_PX
    r2, value = radius_px[near] ** 2, light[near]

    def residuals(parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        peak, width, beta, level = parameters
        return np.asarray(peak * (1 + r2 * (2 ** (1 / beta) - 1) / (width / 2) ** 2) ** -beta + level - value)

    bounds = ((0, 1, 1.2, -1), (1, 2 * _STAMP_PX, 30, 1))
    fitted = least_squares(residuals, (0.1, 3.0, 3.5, 0.0), bounds=bounds, loss="soft_l1", f_scale=0.003)
    _, width, beta, _ = fitted.x
    return float(width), float(beta)


def _isolated(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
    places = np.column_stack([x, y])
    nearest = KDTree(places).query(places, k=2)[0][:, 1]
    return np.asarray(nearest > _ISOLATION_PX)


def _half_sample_mode(values: NDArray[np.float64]) -> float:
    """The mode: the densest half of the densest half, and so on (Bickel & Fruehwirth 2006, arXiv math/0505419)."""
    values = np.sort(values)
    while len(values) > 3:
        half = (len(values) + 1) // 2
        start = int(np.argmin(values[half - 1 :] - values[: len(values) - half + 1]))
        values = values[start : start + half]
    return float(np.mean(values))
