"""A simulated field: sources through atmosphere, telescope and CCD, then calibrated as the survey does.

Photons of GalSim's stars and galaxies through the survey's form of PSF, the same over the field, on a tilted plane of
sky, with Poisson noise, each half's read noise and whole counts. Bright stars have wings, glow, spikes and saturated
cores; a frame in a hundred has a satellite's trail. It has no spiral arms, cosmic rays, ghosts, or errors of
calibration and sky subtraction.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray

from skygen.sky.ccd import dark_variance_of_halves_counts2, gain_e_per_count
from skygen.sky.field import FieldId
from skygen.sky.frame import SHAPE
from skygen.sky.frame_file import keep_significant_bits
from skygen.sky.frame_format import FullFrame, sky_grid
from skygen.sky.readout import in_right_half
from skygen.sky.registration import sky_position
from skygen.sky.simulation.artefacts import fill_saturated, saturated_pixels, trail_nmgy
from skygen.sky.simulation.catalogue import Catalogue, draw_catalogue
from skygen.sky.simulation.exposure import BANDS, Exposure, draw_exposures, draw_pointing, field_id, shifted
from skygen.sky.simulation.light import draw_bright, shoot_faint

DEFERRED = 0.007  # of a pixel's charge, read with the next in the row: it correlates the noise of neighbours by as much
FAINT_SIGMA = 0.1  # of the sky's noise: what adds less to a pixel of a star's halo is not drawn


@dataclass(frozen=True)
class View:
    """A field of its own name that sees a simulated sky `dx_px`, `dy_px` pixels of r off that sky's own field."""

    field_id: FieldId
    dx_px: float = 0.0
    dy_px: float = 0.0


def simulate_field(seed: int, index: int, shape: tuple[int, int] = SHAPE) -> list[FullFrame]:
    """The frames in g, r and i of simulated field `index`, each of `shape` (H, W).

    Field `index` is the same whatever other fields are simulated, and the same bytes for the same `seed`. Its place on
    the sky and its name depend on `index` alone.
    """
    return simulate_views(seed, index, [View(field_id(index))], shape)[0]


def simulate_views(
    seed: int, index: int, views: Sequence[View], shape: tuple[int, int] = SHAPE
) -> list[list[FullFrame]]:
    """The frames in g, r and i of each of `views` on one sky, that of simulated field `index`.

    The sources are the same; sharpness, sky and noise are each view's own, as on another night. Views of different
    shifts are neighbours: at 1361 px in y they share 128 rows, as the fields of a run do.
    """
    rng = np.random.default_rng([seed, index])
    left, low = (int(np.floor(min(shifts))) for shifts in _shifts(views))
    right, high = (int(np.ceil(max(shifts))) for shifts in _shifts(views))
    catalogue = draw_catalogue(rng, (shape[0] + high - low, shape[1] + right - left))
    catalogue = replace(catalogue, x=catalogue.x + left, y=catalogue.y + low)
    pointing = draw_pointing(rng, index, shape)
    fields = []
    for view in views:
        reference = shifted(pointing, view.dx_px, view.dy_px, shape) if view.dx_px or view.dy_px else pointing
        exposures = draw_exposures(rng, view.field_id, reference, shape)
        fields.append([expose(catalogue, pointing, exposures[band], shape, rng) for band in BANDS])
    return fields


def _shifts(views: Sequence[View]) -> tuple[list[float], list[float]]:
    return [view.dx_px for view in views], [view.dy_px for view in views]


def expose(
    catalogue: Catalogue, reference: WCS, exposure: Exposure, shape: tuple[int, int], rng: np.random.Generator
) -> FullFrame:
    """The frame that `exposure` takes of `catalogue`, whose positions are pixels of the frame with WCS `reference`."""
    gain = gain_e_per_count(exposure.field_id, exposure.band)
    calibration = exposure.calibration_nmgy_per_count
    sky = _interpolate_sky(exposure.sky_counts, shape)
    drawn_e, shot_e = _light(catalogue, reference, exposure, shape, rng)
    expected_e = drawn_e + sky * gain
    if exposure.trail:
        expected_e += trail_nmgy(exposure.trail, shape) / calibration * gain
    arrived = rng.poisson(expected_e) + shot_e
    electrons = arrived - DEFERRED * np.diff(arrived, axis=1, prepend=arrived[:, :1])
    read_noise = _read_noise_counts(exposure, shape[1]) * rng.standard_normal(shape, dtype=np.float32)
    counts = np.rint(electrons / gain + read_noise)
    saturated = saturated_pixels(expected_e / gain, exposure.full_well_counts)
    flux = (fill_saturated(counts - sky, saturated) * calibration).astype(np.float32)
    return FullFrame(
        field_id=exposure.field_id,
        band=exposure.band,
        flux_nmgy=keep_significant_bits(flux),
        wcs=exposure.wcs,
        nmgy_per_count=float(np.median(calibration)),
        calibration_nmgy_per_count=calibration,
        sky_counts=exposure.sky_counts,
    )


def _read_noise_counts(exposure: Exposure, columns: int) -> NDArray[np.float32]:
    """The standard deviation [W] by column of what the electronics add: each half's amplifier has its own."""
    dark = dark_variance_of_halves_counts2(exposure.field_id, exposure.band)
    right = in_right_half(np.arange(columns), columns)
    return np.sqrt(np.where(right, dark["right"], dark["left"]).astype(np.float32))


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
    gain = gain_e_per_count(exposure.field_id, exposure.band)
    x, y = exposure.wcs.all_world2pix(*sky_position(reference, catalogue.x, catalogue.y), 0)
    column = np.clip(np.rint(x), 0, shape[1] - 1).astype(int)
    electrons = catalogue.flux_nmgy[exposure.band] / exposure.calibration_nmgy_per_count[column] * gain
    faint_e = FAINT_SIGMA * float(np.sqrt(exposure.sky_counts.mean() * gain))
    drawn = draw_bright(catalogue, (x, y), electrons, exposure.optics, faint_e, shape)
    return drawn, shoot_faint(catalogue, (x, y), electrons, exposure.optics, shape, rng)
