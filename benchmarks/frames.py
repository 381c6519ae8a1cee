"""Seconds to read a frame, against decoding its bz2 alone, which is the limit of any reader.

Usage: python -m benchmarks.frames [FOLDER]: the first frame in r of FOLDER, or a simulated one.
"""

import bz2
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.limits import print_machine, seconds
from skygen.sky.field import frame_name
from skygen.sky.frame import read_frame
from skygen.sky.frame_format import write_frame
from skygen.sky.simulation.simulate import simulate_field


def main(folder: str | None = None) -> None:
    """Print how far `read_frame` is from the codec."""
    print_machine()
    with TemporaryDirectory() as scratch:
        path = min(Path(folder).glob("frame-r-*.fits.bz2")) if folder else _simulate(Path(scratch))
        raw = path.read_bytes()
        whole, codec = seconds(lambda: read_frame(path), runs=5), seconds(lambda: bz2.decompress(raw), runs=5)
    print(f"{path.name}: read_frame {whole:.3f} s, bz2 alone {codec:.3f} s, ratio {whole / codec:.2f}")


def _simulate(folder: Path) -> Path:
    frame = next(frame for frame in simulate_field(2019, 0) if frame.band == "r")
    path = folder / frame_name(frame.band, frame.field_id)
    write_frame(path, frame, "benchmark")
    return path


if __name__ == "__main__":
    main(*sys.argv[1:])
