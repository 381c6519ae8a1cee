"""The simulated survey: frames a minute beside its limit, and with a folder of real fields how like them it is.

python -m benchmarks.simulation [FOLDER_OF_REAL_FRAMES] [--fields 10] [--figure docs/pictures/simulation.jpg]
"""

import argparse
import bz2
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from benchmarks.field_statistics import BANDS, Statistics, measure_field
from benchmarks.limits import print_machine
from skygen.sky.field import FieldId, frame_name, parse_frame_name
from skygen.sky.frame import Frame, read_frame
from skygen.sky.frame_format import write_frame
from skygen.sky.simulation.simulate import simulate_field
from skygen.workers import processes

SEED = 2019  # the simulated survey that params.yaml asks for
TIMED_FIELDS = 3  # for each process
CUTOUT = (slice(500, 1000), slice(700, 1300))  # rows and columns of the frame in r that the figure shows
SHARES = ("16 %", "50 %", "84 %")
SIZE_RANGES = ("17-19", "19-20", "20-21")
# Title of a panel of the figure, statistics in it, their labels on its axis.
Panel = tuple[str, Sequence[str], Sequence[str]]
PANELS: tuple[Panel, ...] = (
    ("sky noise (nmgy)", [f"sky noise {band} (nmgy)" for band in BANDS], BANDS),
    ("PSF, width at half maximum (arcsec)", [f"PSF FWHM {band} (arcsec)" for band in BANDS], BANDS),
    (
        "offset from r (px)",
        [f"offset {band} in {axis} (px)" for band in "gi" for axis in "xy"],
        ["g, x", "g, y", "i, x", "i, y"],
    ),
    (
        "occupied places (%)",
        [f"places of {size} px with a source (%)" for size in (64, 128)],
        ["64 px", "128 px"],
    ),
    (
        "sources in a field, by magnitude in r",
        [f"sources r {low}-{low + 1}" for low in range(15, 22)],
        [f"{low}-{low + 1}" for low in range(15, 22)],
    ),
    (
        "share of stars, by magnitude in r",
        [f"star fraction r {span}" for span in ("15-17", "17-18", "18-19", "19-20", "20-21")],
        ("15-17", "17-18", "18-19", "19-20", "20-21"),
    ),
    (
        "half-light radius of galaxies, r (arcsec)",
        [f"radius of galaxies r {span} (arcsec), {share}" for span in SIZE_RANGES for share in SHARES],
        [f"{share}\n{span if share == '50 %' else ''}" for span in SIZE_RANGES for share in SHARES],
    ),
    (
        "ellipticity",
        ["ellipticity of stars, 50 %", *(f"ellipticity of galaxies, {share}" for share in SHARES)],
        ["stars\n50 %", *(f"galaxies\n{share}" for share in SHARES)],
    ),
    *(
        (
            f"colours of {kind}",
            [f"{colour} of {kind}, {share}" for colour in ("g-r", "r-i") for share in SHARES],
            [f"{colour}\n{share}" for colour in ("g-r", "r-i") for share in SHARES],
        )
        for kind in ("stars", "galaxies")
    ),
)


def main() -> None:
    """Print the speed; with a folder, the table, and draw the figure where `--figure` says."""
    parser = argparse.ArgumentParser(description="Speed of the simulated survey, and how like the real one it is.")
    parser.add_argument(
        "folder", type=Path, nargs="?", help="of real frames in g, r and i: their spread is the measure"
    )
    parser.add_argument("--fields", type=int, default=10, help="simulated fields to compare (10)")
    parser.add_argument("--figure", type=Path, help="where to draw the comparison")
    arguments = parser.parse_args()
    print_machine()
    with ProcessPoolExecutor(processes(), mp_context=get_context("spawn")) as pool:
        _print_speed(pool)
        if arguments.folder is None:
            return
        fields = _fields_in(arguments.folder)
        real = list(pool.map(_measure_real, fields))
        simulated = list(pool.map(_measure_simulated, range(arguments.fields)))
    _print_table(real, simulated)
    if arguments.figure is not None:
        _draw(arguments.figure, real, simulated, [field["r"] for field in fields[:2]])


def _print_speed(pool: ProcessPoolExecutor) -> None:
    indices = range(processes() * TIMED_FIELDS)
    with TemporaryDirectory() as folder:
        work = partial(_simulate_and_write, Path(folder))
        list(pool.map(work, indices))  # starts the processes, and their imports
        started = time.perf_counter()
        written = [path for paths in pool.map(work, indices) for path in paths]
        middle = time.perf_counter()
        alone = sum(pool.map(_compress, written)) / processes()
    frames, took = len(written), middle - started
    print(
        f"{60 * frames / took:.0f} frames a minute simulated and written by {processes()} processes;"
        f" the limit, bz2 of the same bytes alone: {60 * frames / alone:.0f} ({took / alone:.2f} times the time)\n"
    )


def _simulate_and_write(folder: Path, index: int) -> list[Path]:
    paths = []
    for frame in simulate_field(SEED, index):
        paths.append(folder / frame_name(frame.band, frame.field_id))
        write_frame(paths[-1], frame, "benchmark")
    return paths


def _compress(path: Path) -> float:
    """The seconds that compressing the contents of `path` takes."""
    content = bz2.decompress(path.read_bytes())
    started = time.perf_counter()
    bz2.compress(content)
    return time.perf_counter() - started


def _fields_in(folder: Path) -> list[dict[str, Path]]:
    """The frames of each field by band, for the fields that have g, r and i."""
    fields: dict[FieldId, dict[str, Path]] = defaultdict(dict)
    for path in sorted(folder.glob("frame-*.fits*")):
        band, field_id = parse_frame_name(path.name)
        fields[field_id][band] = path
    return [frames for frames in fields.values() if set(BANDS) <= set(frames)]


def _measure_real(paths: dict[str, Path]) -> Statistics:
    return measure_field({band: read_frame(paths[band]) for band in BANDS})


def _measure_simulated(index: int) -> Statistics:
    frames: list[Frame] = list(simulate_field(SEED, index))
    return measure_field({frame.band: frame for frame in frames})


def _values(fields: Sequence[Statistics], name: str) -> NDArray[np.float64]:
    return np.array([field[name] for field in fields])


def _print_table(real: Sequence[Statistics], simulated: Sequence[Statistics]) -> None:
    print(f"| of {len(real)} real and {len(simulated)} simulated fields | real: least | median | most ", end="")
    print("| simulated: least | median | most | median inside |\n|---|---|---|---|---|---|---|---|")
    for name in real[0]:
        theirs, ours = _values(real, name), _values(simulated, name)
        low, high, middle = np.nanmin(theirs), np.nanmax(theirs), np.nanmedian(ours)
        cells = [low, np.nanmedian(theirs), high, np.nanmin(ours), middle, np.nanmax(ours)]
        inside = "yes" if low <= middle <= high else "no"
        print(f"| {name} | " + " | ".join(f"{cell:.3g}" for cell in cells) + f" | {inside} |")


def _draw(path: Path, real: Sequence[Statistics], simulated: Sequence[Statistics], pictures: Sequence[Path]) -> None:
    mpl.use("Agg")
    figure = plt.figure(figsize=(24, 15), layout="constrained")
    upper, lower = np.asarray(figure.subfigures(2, 1, height_ratios=(2, 1.05)))
    for axis, panel in zip(upper.subplots(2, 5).flat, PANELS, strict=True):
        _panel(axis, panel, real, simulated)
    upper.axes[0].legend(fontsize=9)
    frames = [("real", read_frame(picture)) for picture in pictures]
    frames += [("simulated", simulate_field(SEED, index)[1]) for index in range(2)]
    for axis, (kind, frame) in zip(lower.subplots(1, len(frames), squeeze=False).flat, frames, strict=True):
        shown = np.arcsinh(frame.flux_nmgy[CUTOUT] / 0.05)
        axis.imshow(shown, cmap="gray", vmin=-1, vmax=6, origin="lower", interpolation="none")
        axis.set_title(f"{kind}: {frame.field_id}, r, asinh stretch")
        axis.axis("off")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=65)
    print(f"\n{path} is drawn")


def _panel(axis: Axes, panel: Panel, real: Sequence[Statistics], simulated: Sequence[Statistics]) -> None:
    """A line a real field within the band of all; the simulated fields' median with their own range as bars."""
    title, names, labels = panel
    places = np.arange(len(names))
    theirs = np.array([_values(real, name) for name in names])
    ours = np.array([_values(simulated, name) for name in names])
    axis.fill_between(places, np.nanmin(theirs, 1), np.nanmax(theirs, 1), color="0.85", label="real: their spread")
    for k, field in enumerate(theirs.T):
        axis.plot(places, field, color="0.55", linewidth=0.8, label=None if k else "a real field")
    middle = np.nanmedian(ours, axis=1)
    bars = [middle - np.nanmin(ours, axis=1), np.nanmax(ours, axis=1) - middle]
    axis.errorbar(places, middle, bars, fmt="o", color="C3", capsize=3, label="simulated: median, least and most")
    axis.set_xticks(places, labels, fontsize=8)
    axis.set_title(title)


if __name__ == "__main__":
    main()
