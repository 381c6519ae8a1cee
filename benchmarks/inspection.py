"""Seconds to inspect a field on one core, part by part, beside decoding the bz2 of its frames.

    python -m benchmarks.inspection [FOLDER]

FOLDER holds the survey's frames; without it a simulated field is measured.
"""

import bz2
import cProfile
import pstats
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.limits import print_machine, seconds
from skygen.sky.field import FieldId, frame_name, parse_frame_name
from skygen.sky.frame import Frame, read_frame
from skygen.sky.frame_format import write_frame
from skygen.sky.inspection.binned import align, bin_pixels, flatten
from skygen.sky.inspection.bright import find_bright
from skygen.sky.inspection.defects import find_masked
from skygen.sky.inspection.detection import detect
from skygen.sky.inspection.inspect import inspect_field, write_inspection
from skygen.sky.inspection.psf import choose_stars, measure_psf
from skygen.sky.inspection.trails import find_trails
from skygen.sky.noise import pixel_noise
from skygen.sky.simulation.simulate import simulate_field

RUNS = 3
PARTS: dict[str, tuple[Callable[..., object], ...]] = {
    "noise": (pixel_noise,),
    "detection": (detect,),
    "PSF": (choose_stars, measure_psf),
    "trails": (bin_pixels, flatten, align, find_trails),
    "haloes, saturation": (find_bright,),
    "masked": (find_masked,),
}
LIMITED = ("detection", "PSF", "trails")  # at most 0.5 s a field together


def main() -> None:
    """Print the medians over fields."""
    print_machine()
    with TemporaryDirectory() as temporary:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else _simulated(Path(temporary))
        fields: dict[FieldId, dict[str, Path]] = defaultdict(dict)
        for path in sorted(folder.glob("frame-[gri]-*.fits.bz2")):
            band, field_id = parse_frame_name(path.name)
            fields[field_id][band] = path
        measured = [_measure(paths, Path(temporary)) for paths in fields.values()]
    print(f"median of {len(measured)} fields, seconds a field of {len(next(iter(fields.values())))} bands\n")
    median = {part: statistics.median(times[part] for times in measured) for part in measured[0]}
    for part, value in median.items():
        print(f"{part:20} {value:6.3f}   {value / median['bz2']:5.2f} of bz2")
    print(f"\n{', '.join(LIMITED)} together {sum(median[part] for part in LIMITED):.3f} s")


def _measure(paths: Mapping[str, Path], folder: Path) -> dict[str, float]:
    raw = [path.read_bytes() for path in paths.values()]
    frames = {band: read_frame(path) for band, path in paths.items()}
    times = {"bz2": seconds(lambda: [bz2.decompress(content) for content in raw], RUNS)}
    times["inspect_field"] = seconds(lambda: inspect_field(frames), RUNS)
    inspection, field_id = inspect_field(frames), frames["r"].field_id
    times |= _profile(frames)
    times["writing"] = seconds(lambda: write_inspection(folder / "sources.fits", inspection, field_id), RUNS)
    return times


def _profile(frames: Mapping[str, Frame]) -> dict[str, float]:
    """Seconds in each part of `inspect_field`, the least of some runs; what a part calls counts in it."""
    runs = []
    for _ in range(RUNS):
        profile = cProfile.Profile()
        profile.runcall(inspect_field, frames)
        spent = {key: row[3] for key, row in pstats.Stats(profile).stats.items()}  # type: ignore[attr-defined] # typeshed lacks it
        runs.append({part: sum(_of(spent, function) for function in functions) for part, functions in PARTS.items()})
    return {part: min(run[part] for run in runs) for part in PARTS}


def _of(spent: Mapping[tuple[str, int, str], float], function: Callable[..., object]) -> float:
    code = function.__code__
    return spent.get((code.co_filename, code.co_firstlineno, code.co_name), 0.0)


def _simulated(folder: Path) -> Path:
    for frame in simulate_field(2019, 0):
        write_frame(folder / frame_name(frame.band, frame.field_id), frame, "benchmark")
    return folder


if __name__ == "__main__":
    main()
