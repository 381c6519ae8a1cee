"""Tiles against their limits, side by side: bz2 for the whole stage, Cutout2D for cutting, a memory map for reading.

Usage: python -m benchmarks.tiles [FOLDER] where FOLDER holds frames of the survey in g, r and i; without one, simulated
ones are made.
"""

import bz2
import os
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing import get_context
from multiprocessing.pool import Pool
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from astropy.nddata import Cutout2D
from numpy.typing import NDArray

from benchmarks.limits import print_machine, seconds
from skygen.params import TileSetParams, TilesScale, load
from skygen.sky.field import FieldId, frame_name, parse_frame_name, sources_name
from skygen.sky.frame import Frame, read_frame
from skygen.sky.frame_format import write_frame
from skygen.sky.inspection.defects import DEFECT
from skygen.sky.inspection.detection import SOURCE
from skygen.sky.inspection.inspect import inspect_field, write_inspection
from skygen.sky.manifest import FrameRow, describe
from skygen.sky.simulation.simulate import simulate_field
from skygen.tiles.cut import cut_field, random_places
from skygen.tiles.shard import ShardJob, make_shard
from skygen.tiles.store import TileSplit
from skygen.tiles.writer import describe_shard, write_shard
from skygen.workers import processes

RUNS = 3  # of each, by turns
SIMULATED = 4  # fields, where no folder is given
Fields = dict[FieldId, dict[str, FrameRow]]


def main(folder: str | None = None) -> None:
    """Print each ratio beside its target."""
    print_machine()
    params = load(Path("params.yaml"))
    with TemporaryDirectory() as scratch:
        frames = Path(folder).resolve() if folder else _simulate(Path(scratch) / "simulated")
        sources = Path(scratch) / "frames"
        fields = _inspect(frames, sources)
        print(f"{len(fields)} fields of {folder or 'simulated frames'}, {processes()} processes\n")
        for name, tile_set in params.tiles.sets.items():
            scale = params.chosen.tiles[name]
            _compare_stage(name, sources, fields, tile_set, scale)
            _compare_cutting(name, sources, fields, tile_set, scale)
            _compare_reading(name, Path(scratch), tile_set)
        _print_float16(sources, fields)


def _simulate(folder: Path) -> Path:
    folder.mkdir()
    for index in range(SIMULATED):
        for frame in simulate_field(2019, index):
            write_frame(folder / frame_name(frame.band, frame.field_id), frame, "benchmark")
    return folder


def _inspect(frames: Path, folder: Path) -> Fields:
    """The rows of the frames, of which `folder` then holds links, beside the lists of sources: that is timed apart."""
    folder.mkdir()
    paths: dict[FieldId, dict[str, Path]] = defaultdict(dict)
    for path in sorted(frames.glob("frame-*.fits.bz2")):
        band, field = parse_frame_name(path.name)
        paths[field][band] = folder / path.name
        paths[field][band].symlink_to(path)
    fields: Fields = {}
    for field, of_bands in paths.items():
        read = {band: read_frame(path) for band, path in of_bands.items()}
        inspection = inspect_field(read)
        write_inspection(folder / sources_name(field), inspection, field)
        fields[field] = {band: describe(of_bands[band], frame, "benchmark", inspection) for band, frame in read.items()}
    return fields


def _compare_stage(name: str, frames: Path, fields: Fields, tile_set: TileSetParams, scale: TilesScale) -> None:
    """Reading, registering, cutting and writing, against decoding the same files, by processes that wait for work."""
    jobs = []
    for field, of_bands in fields.items():
        of_set: dict[str, FrameRow] = {band: of_bands[band] for band in tile_set.bands}
        jobs.append(ShardJob("train", str(field), scale.train_a_field, {field: of_set}))
    files = [[frames / row.name for row in next(iter(job.fields.values())).values()] for job in jobs]
    count = min(processes(), len(jobs))
    with get_context("spawn").Pool(count) as pool:
        pool.map(_wake, range(8 * count), chunksize=1)
        stages, codecs = [], []
        for _ in range(RUNS):  # by turns, so that both meet the same machine
            codecs.append(_timed(pool, _decode, files))
            with TemporaryDirectory(dir=frames.parent) as out:
                stages.append(_timed(pool, partial(make_shard, frames, Path(out), tile_set), jobs))
    ratios = [stage / codec for stage, codec in zip(stages, codecs, strict=True)]
    print(
        f"{name}: {len(jobs)} fields to {scale.train_a_field} tiles each {statistics.median(stages):.2f} s, their bz2 "
        f"alone {statistics.median(codecs):.2f} s: ratio {statistics.median(ratios):.2f} (target 1.3 at most)"
    )


def _wake(_: int) -> None:
    time.sleep(0.2)


def _decode(paths: Sequence[Path]) -> int:
    return sum(len(bz2.decompress(path.read_bytes())) for path in paths)


def _timed(pool: Pool, work: Callable[..., object], items: Sequence[object]) -> float:
    started = time.perf_counter()
    pool.map(work, items, chunksize=1)
    return time.perf_counter() - started


def _compare_cutting(name: str, frames: Path, fields: Fields, tile_set: TileSetParams, scale: TilesScale) -> None:
    """The same tiles of one field by `cut_field`, registration and all, and by a loop of Cutout2D without any."""
    of_bands = next(iter(fields.values()))
    read: dict[str, Frame] = {band: read_frame(frames / of_bands[band].name) for band in tile_set.bands}
    shape = read["r"].flux_nmgy.shape
    places = random_places((shape[0], shape[1]), tile_set.size, scale.train_a_field, np.random.default_rng(0))
    anywhere = tile_set.model_copy(update={"require_source": False, "drop": []})
    nothing = np.zeros(0, SOURCE), np.zeros(0, DEFECT)

    def cut() -> int:
        tiles = cut_field(read, *nothing, anywhere, places, scale.train_a_field)
        return sum(len(block) for _, block in tiles.blocks())

    ours, theirs = seconds(cut, RUNS), seconds(partial(_cutouts, read, places, tile_set.size), RUNS)
    print(
        f"{name}: cutting {scale.train_a_field} tiles {1e3 * ours:.1f} ms, a Cutout2D loop {1e3 * theirs:.0f} ms: "
        f"{theirs / ours:.0f} times as fast (target 10)"
    )


def _cutouts(
    frames: dict[str, Frame], places: tuple[NDArray[np.integer], NDArray[np.integer]], size: int
) -> NDArray[np.float32]:
    middle = (size - 1) / 2
    tile = np.empty((len(frames), size, size), dtype=np.float32)
    for x, y in zip(*places, strict=True):
        for number, frame in enumerate(frames.values()):
            tile[number] = Cutout2D(frame.flux_nmgy, (x + middle, y + middle), size, wcs=frame.wcs).data
    return tile


def _compare_reading(name: str, scratch: Path, tile_set: TileSetParams, shards: int = 8, batch: int = 32) -> None:
    """Random batches from a store of several shards, and from one array of the same tiles: both as float32."""
    shape = (len(tile_set.bands), tile_set.size, tile_set.size)
    noise = np.random.default_rng(0).normal(0, 0.03, (500, *shape)).astype(np.float32)
    written = []
    for number in range(shards):
        with write_shard(scratch / f"{name}-{number}.npy", shape, tile_set.dtype) as writer:
            writer.add("1-1-1/left", noise)
        written.append(describe_shard(scratch / f"{name}-{number}.npy", writer.readouts))
    whole = scratch / f"{name}.npy"
    with write_shard(whole, shape, tile_set.dtype) as writer:
        for number in range(shards):
            writer.add(f"1-1-{number}/left", noise)
    store, plain = TileSplit(scratch, written, shape, tile_set.dtype), np.load(whole, mmap_mode="r")
    draws = np.random.default_rng(1).integers(0, len(store), (100, batch))
    times = []
    for _ in range(4 * RUNS):  # by turns
        of_store = seconds(lambda: [store.batch(indices) for indices in draws], 1)
        times.append(
            (of_store, seconds(lambda: [np.asarray(plain[indices], dtype=np.float32) for indices in draws], 1))
        )
    ours, theirs = np.median(times, axis=0)
    print(
        f"{name}: {draws.size / ours:.0f} tiles/s at random from the store of {tile_set.dtype}, "
        f"{draws.size / theirs:.0f} from one memory map: ratio {theirs / ours:.2f} (target 0.8 at least)\n"
    )


def _print_float16(frames: Path, fields: Fields) -> None:
    """What float16 costs on these frames, in all pixels and in a source's total."""
    exact, worst, worst_sky, pixels = 0, 0.0, 0.0, 0
    for of_bands in fields.values():
        for row in of_bands.values():
            flux = read_frame(frames / row.name).flux_nmgy
            error = np.abs(flux.astype(np.float16).astype(np.float32) - flux)
            exact, pixels = exact + int((error == 0).sum()), pixels + flux.size
            worst = max(worst, float(error.max()))
            worst_sky = max(worst_sky, float(error.max()) / row.sky_noise_nmgy)
    print(
        f"float16: {exact / pixels:.3%} of {pixels} pixels exact, off by {worst:.1e} nmgy at most, "
        f"{worst_sky:.0e} of the frame's sky noise"
    )


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main(*sys.argv[1:])
