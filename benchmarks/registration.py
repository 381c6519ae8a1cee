"""How g and i come onto r: by whole pixels a tile, as the tiles do, or by resampling. Offsets, noise and seconds.

    python -m benchmarks.registration [FOLDER]

FOLDER holds the survey's frames; without it a simulated field is measured.
"""

import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import sep
from numpy.typing import NDArray
from reproject import reproject_adaptive, reproject_interp
from scipy.ndimage import binary_dilation, uniform_filter

from benchmarks.limits import print_machine
from skygen.sky.field import FieldId, parse_frame_name
from skygen.sky.frame import Frame, read_frame
from skygen.sky.inspection.detection import detect
from skygen.sky.inspection.inspect import inspect_field
from skygen.sky.noise import sky_noise
from skygen.sky.registration import band_shift, register
from skygen.sky.simulation.simulate import simulate_field

TILE_PX = 128
SNR = 60.0  # of the sources that are compared, in both bands
ISOLATION_PX = 15.0
EDGE_PX = 10
SATURATING_NMGY = 600.0  # brighter stars saturate in some band
WINDOW_PX = 1.3  # standard deviation of the window in which sources are centred
LAGS = {"x": (0, 1), "y": (1, 0), "diagonal": (1, 1)}

Bring = Callable[[Frame, Frame], NDArray[np.float32]]


@dataclass
class WayResult:
    """One way of registration: residual offsets [n, 2] in px, noise correlation by lag, noise variance, seconds."""

    offsets: NDArray[np.float64]
    correlation: dict[str, float]
    variance: float  # of the sky noise, over that before
    seconds: float


def main() -> None:
    """Print a table: a row a way and a pair of bands, over all fields."""
    print_machine()
    fields = _read(Path(sys.argv[1])) if len(sys.argv) > 1 else _simulated()
    ways: dict[str, Bring] = {
        "whole pixels a tile, WCS alone": whole_pixels,
        "whole pixels a tile, WCS on the stars": whole_pixels,
        "bilinear": lambda r, other: resample(r, other, "bilinear"),
        "bicubic": lambda r, other: resample(r, other, "bicubic"),
        "adaptive": adaptive,
    }
    found: dict[tuple[str, str], list[WayResult]] = defaultdict(list)
    for frames in fields.values():
        on_stars = register(frames, inspect_field(frames).offset_px)
        for band in sorted(set(frames) - {"r"}):
            for way, bring in ways.items():
                other = on_stars[band] if way.endswith("on the stars") else frames[band]
                found[way, band].append(measure(frames["r"], other, bring))
    print(f"{len(fields)} fields; offsets of sources in px, correlation of the noise of neighbouring pixels\n")
    print("| way | bands | sources | bias x | bias y | rms x | rms y | lag x | lag y | lag xy | variance | s a frame |")
    print("|---|---|---|---|---|---|---|---|---|---|---|---|")
    for (way, band), measured in sorted(found.items(), key=lambda item: list(ways).index(item[0][0])):
        print(f"| {way} | {band}-r | {_row(measured)} |")


def whole_pixels(reference: Frame, other: Frame) -> NDArray[np.float32]:
    """`other` on the pixels of `reference`, tile by tile, each moved by the whole pixels of its centre; NaN outside."""
    rows, columns = reference.flux_nmgy.shape
    y, x = np.mgrid[0 : rows - TILE_PX + 1 : TILE_PX, 0 : columns - TILE_PX + 1 : TILE_PX].reshape(2, -1)
    middle = (TILE_PX - 1) / 2
    shifts = band_shift(reference.wcs, other.wcs, x + middle, y + middle)
    brought = np.full(reference.flux_nmgy.shape, np.nan, np.float32)
    for at_x, at_y, dx, dy in zip(x, y, *shifts, strict=True):
        if 0 <= at_x + dx <= columns - TILE_PX and 0 <= at_y + dy <= rows - TILE_PX:
            tile = other.flux_nmgy[at_y + dy : at_y + dy + TILE_PX, at_x + dx : at_x + dx + TILE_PX]
            brought[at_y : at_y + TILE_PX, at_x : at_x + TILE_PX] = tile
    return brought


def resample(reference: Frame, other: Frame, order: str) -> NDArray[np.float32]:
    """`other` on the pixels of `reference` by interpolation; NaN outside."""
    source, shape = (other.flux_nmgy, other.wcs), reference.flux_nmgy.shape
    brought = reproject_interp(source, reference.wcs, shape, order=order, return_footprint=False)
    return np.asarray(brought, dtype=np.float32)


def adaptive(reference: Frame, other: Frame) -> NDArray[np.float32]:
    """`other` on the pixels of `reference` by adaptive resampling (DeForest 2004), which keeps flux; NaN outside."""
    source, shape = (other.flux_nmgy, other.wcs), reference.flux_nmgy.shape
    brought = reproject_adaptive(source, reference.wcs, shape, conserve_flux=True, return_footprint=False)
    return np.asarray(brought, dtype=np.float32)


def measure(reference: Frame, other: Frame, bring: Bring) -> WayResult:
    """What `bring` does to `other`."""
    start = time.perf_counter()
    brought = bring(reference, other)
    seconds = time.perf_counter() - start
    blank = _blank(reference.flux_nmgy) & np.isfinite(brought)
    sky = np.where(blank, brought - np.median(brought[blank]), np.nan)
    sky = np.where(np.abs(sky) < 4 * np.nanstd(sky), sky, np.nan)
    before = float(sky_noise(other.flux_nmgy[_blank(other.flux_nmgy)][None, None]))
    return WayResult(
        offsets=source_offsets(reference.flux_nmgy, brought),
        correlation={name: _correlation(sky, lag) for name, lag in LAGS.items()},
        variance=float(sky_noise(sky[blank & np.isfinite(sky)][None]) / before) ** 2,
        seconds=seconds,
    )


def source_offsets(reference: NDArray[np.float32], brought: NDArray[np.float32]) -> NDArray[np.float64]:
    """Where isolated, well-measured sources lie in `brought` less where they lie in `reference` [sources, 2], in px."""
    noise = float(sky_noise(reference))
    sources = detect(reference, noise, SNR)
    every = detect(reference, noise, 5.0)
    apart = np.hypot(sources["x"][:, None] - every["x"], sources["y"][:, None] - every["y"])
    shape = reference.shape
    inside = (sources["x"] > 20) & (sources["y"] > 20) & (sources["x"] < shape[1] - 20) & (sources["y"] < shape[0] - 20)
    for axis in "xy":  # a tile's edge may cut a source in two
        inside &= np.abs(sources[axis] % TILE_PX - TILE_PX / 2) < TILE_PX / 2 - EDGE_PX
    alone = inside & ((apart < ISOLATION_PX).sum(1) == 1) & (sources["half_light_radius_px"] < 3)
    alone &= sources["flux_nmgy"] < SATURATING_NMGY
    x, y = sources["x"][alone], sources["y"][alone]
    gaps = np.isnan(brought)
    there = np.where(gaps, 0, brought)
    noise_there = float(sky_noise(there[~gaps][None]))
    flux, error, flag = sep.sum_circle(there, x, y, 3.5, err=noise_there, mask=gaps)
    use = (flag == 0) & (flux > SNR * error)
    x, y = x[use], y[use]
    here_x, here_y, _ = sep.winpos(np.ascontiguousarray(reference), x, y, WINDOW_PX)
    there_x, there_y, bad = sep.winpos(there, x, y, WINDOW_PX)
    offsets = np.column_stack([there_x - here_x, there_y - here_y])
    return np.asarray(offsets[(bad == 0) & (np.abs(offsets).max(1) < 2)])


def _blank(image: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Pixels away from sources and edges."""
    bright = uniform_filter(image, 5) > 0.7 * float(sky_noise(image))
    blank = ~binary_dilation(bright, iterations=10)
    blank[:32], blank[-32:], blank[:, :32], blank[:, -32:] = False, False, False, False
    return np.asarray(blank)


def _correlation(sky: NDArray[np.float32], lag: tuple[int, int]) -> float:
    """The correlation of pixels with those `lag` (rows, columns) further."""
    height, width = sky.shape
    one, two = sky[: height - lag[0], : width - lag[1]], sky[lag[0] :, lag[1] :]
    both = np.isfinite(one) & np.isfinite(two)
    return float(np.corrcoef(one[both], two[both])[0, 1])


def _row(measured: list[WayResult]) -> str:
    offsets = np.concatenate([way.offsets for way in measured])
    bias, rms = offsets.mean(0), np.sqrt((offsets**2).mean(0))
    numbers = [*bias, *rms, *(np.mean([way.correlation[name] for way in measured]) for name in LAGS)]
    numbers.append(np.mean([way.variance for way in measured]))
    seconds = np.median([way.seconds for way in measured])
    return " | ".join([str(len(offsets)), *(f"{number:.3f}" for number in numbers), f"{seconds:.2f}"])


def _read(folder: Path) -> dict[FieldId, Mapping[str, Frame]]:
    fields: dict[FieldId, dict[str, Frame]] = defaultdict(dict)
    for path in sorted(folder.glob("frame-[gri]-*.fits*")):
        band, field_id = parse_frame_name(path.name)
        fields[field_id][band] = read_frame(path)
    return {field_id: frames for field_id, frames in fields.items() if "r" in frames}


def _simulated() -> dict[FieldId, Mapping[str, Frame]]:
    frames = simulate_field(2019, 0)
    return {frames[0].field_id: {frame.band: frame for frame in frames}}


if __name__ == "__main__":
    main()
