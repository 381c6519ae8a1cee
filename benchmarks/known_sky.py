"""Images of a sky of which every object is known: generated ones, and frames of the simulated survey."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from skygen.bundle.bundle import Bundle
from skygen.bundle.tile import Rectangle
from skygen.process.profiles import PIXEL_VARIANCE, core_px
from skygen.sky.ccd import gain_e_per_count
from skygen.sky.frame import SHAPE
from skygen.sky.registration import sky_position
from skygen.sky.simulation.catalogue import draw_catalogue
from skygen.sky.simulation.exposure import BANDS, draw_exposures, draw_pointing, field_id
from skygen.sky.simulation.simulate import expose
from skygen.sky.spread import (
    CORE_SHARE,
    GLOW,
    SHOULDER_SHARE,
    SHOULDER_WIDTH,
    SPIKE_SCALE_PX,
    SPIKE_SHARE,
    WING_SHARE,
    WING_WIDTH,
)

SURVEY_SEED = 2019  # of the simulated survey that params.yaml asks for

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Spread:
    """How far the light of a star is spread: the width of its PSF's core, and its glow in the CCD."""

    core_px: float
    glow: tuple[float, float]  # share of the flux beyond the PSF's, and scale in px

    def enclosed(self, radius_px: float) -> float:
        """The light of a star of flux 1 within a circle: the survey's PSF as pixels sample it, glow and spikes."""
        square, found = radius_px**2, 0.0
        pixels = 2 * PIXEL_VARIANCE  # what a pixel takes in, and how a circle's edge shares pixels out
        for share, width in ((CORE_SHARE, 1.0), (SHOULDER_SHARE, SHOULDER_WIDTH)):
            found -= share * np.expm1(-square / (2 * ((width * self.core_px) ** 2 + pixels)))
        found += WING_SHARE * (1 - (1 + square / (WING_WIDTH * self.core_px) ** 2) ** -0.5)
        share, scale = self.glow
        found += share * (1 - (1 + radius_px / scale) * np.exp(-radius_px / scale))
        arm = (2 * np.pi) ** 0.5 * self.core_px * SPIKE_SCALE_PX * -np.expm1(-radius_px / SPIKE_SCALE_PX)
        found += 4 * SPIKE_SHARE * arm
        return float(found)


@dataclass(frozen=True)
class KnownSky:
    """One band of a known sky: what a survey would publish of it, and the truth."""

    band: str
    image: Floats  # [H, W] nmgy, sky-subtracted
    sky_noise_nmgy: float
    nmgy_per_electron: float
    spread: Spread
    x: Floats  # [n] 0-based px
    y: Floats
    flux_nmgy: Floats  # total
    is_galaxy: NDArray[np.bool_]

    @property
    def magnitude(self) -> Floats:
        """Of the total flux."""
        return np.asarray(22.5 - 2.5 * np.log10(self.flux_nmgy))


def generated(folder: Path, number: int, shape: tuple[int, int] = SHAPE) -> Iterator[KnownSky]:
    """Rectangle `number` of `shape` (H, W) of the sky of a bundle, a band at a time; each is another seed's."""
    bundle = Bundle.load(folder)
    wanted = Rectangle(number, 0, 0, shape[1], shape[0])
    rows = bundle.sky_truth(wanted).rows
    conditions = bundle.conditions_of([wanted.observed()])
    if conditions is None:
        raise SystemExit(f"{folder}: no bundle of a process; give one")
    for place, (band, image) in enumerate(zip(bundle.card.bands, bundle.sky(wanted), strict=True)):
        noise, electron, fwhm = (float(part[0, place]) for part in conditions[:3])
        yield KnownSky(
            band=band,
            image=image.astype(np.float64),
            sky_noise_nmgy=noise,
            nmgy_per_electron=electron,
            spread=Spread(float(core_px(torch.tensor(fwhm, dtype=torch.float64))), GLOW[band]),
            x=rows["x"],
            y=rows["y"],
            flux_nmgy=rows[f"flux_{band}_nmgy"],
            is_galaxy=rows["class"] == b"galaxy",
        )


def simulated(number: int, shape: tuple[int, int] = SHAPE) -> Iterator[KnownSky]:
    """Field `number` of the simulated survey, a band at a time, drawn as `simulate_field` draws it."""
    rng = np.random.default_rng([SURVEY_SEED, number])
    catalogue = draw_catalogue(rng, shape)
    pointing = draw_pointing(rng, number, shape)
    exposures = draw_exposures(rng, field_id(number), pointing, shape)
    for band in BANDS:
        exposure = exposures[band]
        frame = expose(catalogue, pointing, exposure, shape, rng)
        x, y = exposure.wcs.all_world2pix(*sky_position(pointing, catalogue.x, catalogue.y), 0)
        yield KnownSky(
            band=band,
            image=frame.flux_nmgy.astype(np.float64),
            sky_noise_nmgy=float(np.sqrt(frame.sky_counts.mean() / gain_e_per_count(frame.field_id, band)))
            * frame.nmgy_per_count,
            nmgy_per_electron=frame.nmgy_per_count / gain_e_per_count(frame.field_id, band),
            spread=Spread(exposure.optics.core_px, exposure.optics.glow),
            x=x,
            y=y,
            flux_nmgy=catalogue.flux_nmgy[band],
            is_galaxy=catalogue.disc_radius_px > 0,
        )
