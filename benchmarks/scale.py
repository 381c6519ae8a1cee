"""Seconds a field and peak memory of the stages frames and tiles as fields grow, and what that makes of a survey.

Usage: python -m benchmarks.scale [--folder FOLDER] [--frames FOLDER] FIELDS... such as 10 50 200. Frames are simulated
once, or taken from --frames; what was measured stays in --folder, so that it can be run in parts.
"""

import argparse
import sys
import time
import tracemalloc
from itertools import pairwise
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np
import psutil  # type: ignore[import-untyped]

from benchmarks.limits import print_machine
from skygen.files import read_json, write_json
from skygen.params import FramesScale, Params, load
from skygen.sky.collect import collect_frames
from skygen.sky.field import FieldId, parse_frame_name
from skygen.sky.manifest import FrameRow
from skygen.tiles.build import build_tile_set
from skygen.tiles.split import split_fields
from skygen.workers import processes

SURVEY_FIELDS, SURVEY_BANDS = 938_046, 5
PAPER = {"r64": 100_000, "gri128": 300_000}  # tiles
WORKERS = (2, 64, 1024)
MEGABYTE, GIGABYTE = 1e6, 1e9
STAGES = ("frames", "r64", "gri128")
Costs = dict[str, dict[str, float]]  # by stage: seconds, peak_bytes, tiles


def main() -> None:
    """Print a row a number of fields, then the projections from the largest."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale")
    parser.add_argument("fields", type=int, nargs="+", help="numbers of fields, 5 or more")
    parser.add_argument("--folder", type=Path, default=Path("data/scale"), help="where frames and results are kept")
    parser.add_argument("--frames", type=Path, help="a folder of frames to take in place of simulated ones")
    options = parser.parse_args()
    print_machine()
    params = load(Path("params.yaml"))
    params = params.model_copy(update={"scale": "paper"})
    options.folder.mkdir(parents=True, exist_ok=True)
    pool = options.frames or _simulate(params, options.folder, max(options.fields))
    print(f"{processes()} processes; a field gives up to {_wanted(params)}\n")
    print("fields  " + "  ".join(f"{stage:>8} s/field  peak GB" for stage in STAGES) + "   tiles r64, gri128")
    measured: dict[int, Costs] = {}
    for count in sorted(options.fields):
        found = measured[count] = _measure(params, options.folder, pool, count)
        cells = [
            f"{found[stage]['seconds'] / count:16.2f}  {found[stage]['peak_bytes'] / GIGABYTE:7.2f}" for stage in STAGES
        ]
        print(f"{count:6}  " + "  ".join(cells) + f"   {found['r64']['tiles']:.0f}, {found['gri128']['tiles']:.0f}")
    _print_growth(measured)
    _project(params, measured[max(measured)], max(measured))


def _wanted(params: Params) -> str:
    return " and ".join(f"{scale.train_a_field} tiles of {name}" for name, scale in params.chosen.tiles.items())


def _simulate(params: Params, folder: Path, fields: int) -> Path:
    """The folder of as many simulated fields or more, made by the stage frames, which goes on with what is there."""
    pool, done = folder / "simulated", folder / "simulated.json"
    if done.is_file() and read_json(done)["fields"] >= fields:
        return pool
    found = _watch(_frames, _sized(params, fields, {"source": "simulated"}), pool)
    write_json(done, {"fields": fields, **found})
    print(f"simulated {fields} fields: {found['seconds'] / fields:.2f} s a field (where none was there before)")
    return pool


def _sized(params: Params, fields: int, frames: dict[str, Any]) -> Params:
    scale = params.chosen.model_copy(update={"frames": FramesScale(fields=fields)})
    changes = {"scales": {**params.scales, params.scale: scale}, "frames": params.frames.model_copy(update=frames)}
    return params.model_copy(update=changes)


def _measure(params: Params, folder: Path, pool: Path, count: int) -> Costs:
    """What each stage took on the first `count` fields of `pool`; what was measured before is read."""
    result = folder / f"{count}.json"
    if not result.is_file():
        work = folder / f"work-{count}"
        rmtree(work, ignore_errors=True)  # a stage that went on where another had stopped would seem quick
        linked = _link(pool, work / "local", count)
        local = _sized(params, count, {"source": "local", "folder": str(linked)})
        found = {"frames": _watch(_frames, local, work / "frames")}
        for name in params.judged:
            found[name] = _watch(_tiles, local, work / "frames", work / name, name)
        write_json(result, found)
        rmtree(work)
    measured: Costs = read_json(result)
    return measured


def _print_growth(measured: dict[int, Costs]) -> None:
    """Seconds for each field more: starting processes takes a few seconds, however many fields follow."""
    counts = list(measured)
    for few, many in pairwise(counts):
        more = [(measured[many][stage]["seconds"] - measured[few][stage]["seconds"]) / (many - few) for stage in STAGES]
        cells = ", ".join(f"{stage} {seconds:.2f}" for stage, seconds in zip(STAGES, more, strict=True))
        print(f"each field more, from {few} to {many}: {cells}, together {sum(more):.2f} s")


def _link(pool: Path, folder: Path, count: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    frames = sorted(pool.glob("frame-*"))
    fields = sorted({parse_frame_name(path.name)[1] for path in frames})
    if len(fields) < count:
        sys.exit(f"{pool} holds {len(fields)} fields, fewer than {count}")
    for path in frames:
        if parse_frame_name(path.name)[1] in fields[:count]:
            (folder / path.name).unlink(missing_ok=True)
            (folder / path.name).symlink_to(path.resolve())
    return folder


def _frames(params: Params, folder: Path) -> int:
    return len(collect_frames(params, folder).frames)


def _tiles(params: Params, frames: Path, folder: Path, name: str) -> int:
    card = build_tile_set(frames, folder, name, params.tiles[name], params.chosen.tiles[name]).card
    return sum(shard.tiles for shards in card.shards.values() for shard in shards)


def _watch(work: Any, *arguments: Any) -> dict[str, float]:
    """How long `work` took in a process of its own, and the most memory that it and its workers held at once."""
    receiver, sender = get_context("spawn").Pipe(duplex=False)
    process = get_context("spawn").Process(target=_send, args=(sender, work, arguments))
    started = time.monotonic()
    process.start()
    sender.close()
    peak = 0
    while process.is_alive():
        peak = max(peak, _resident(process))
        process.join(0.2)
    seconds = time.monotonic() - started
    if process.exitcode != 0:
        sys.exit(f"{work.__name__} failed; what it finished is kept")
    return {"seconds": seconds, "peak_bytes": peak, "tiles": receiver.recv()}


def _send(sender: Any, work: Any, arguments: tuple[Any, ...]) -> None:
    sender.send(work(*arguments))


def _resident(process: BaseProcess) -> int:
    """Memory of a process and those below it that no other of them shares: bytes."""
    try:
        parent = psutil.Process(process.pid)
        family = [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    return sum(_unshared(member) for member in family)


def _unshared(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except (psutil.NoSuchProcess, psutil.AccessDenied):  # it just ended
        return 0


def _project(params: Params, found: Costs, count: int) -> None:
    a_field = {stage: found[stage]["seconds"] / count for stage in STAGES}
    fields = max(PAPER[name] / (found[name]["tiles"] / count) for name in PAPER)
    hours = fields * sum(a_field.values()) / 3600
    print(
        f"\nThe paper's {sum(PAPER.values())} tiles: {fields:.0f} fields at {found['r64']['tiles'] / count:.0f} and "
        f"{found['gri128']['tiles'] / count:.0f} tiles a field, {hours:.1f} h on {processes()} cores. Assumed: frames "
        "are there; held-out tiles count as tiles."
    )
    core_s = processes() * sum(a_field.values()) * SURVEY_BANDS / 3
    print(
        f"\nThe whole survey, {SURVEY_FIELDS} fields in {SURVEY_BANDS} bands: {core_s:.1f} core-seconds a field. "
        "Assumed: a worker is one core like these, time is as the number of bands (five against three), frames (16 TB) "
        "lie on a disk that all workers share, the scheduler keeps up."
    )
    for workers in WORKERS:
        seconds = SURVEY_FIELDS * core_s / workers
        rate = SURVEY_FIELDS * SURVEY_BANDS * 3.4 * MEGABYTE / seconds
        print(
            f"  {workers:5} workers: {seconds / 86400:8.2f} days, reading {rate / MEGABYTE:.1f} MB/s, "
            f"{SURVEY_FIELDS / seconds:.2f} fields a second"
        )
    _print_whole_survey(params)


def _print_whole_survey(params: Params) -> None:
    """What the process that hands out the work needs for it all: to split, and to hold a row a frame."""
    places, tile_set = survey_places(), params.tiles["r64"]
    started = time.monotonic()
    splits = split_fields(places, tile_set.validation, tile_set.test, tile_set.seed)
    seconds = time.monotonic() - started
    shares = ", ".join(f"{len(fields)} {split}" for split, fields in splits.fields.items())
    print(f"  the split of {len(places)} made fields: {seconds:.1f} s; {shares}, {len(splits.left_out)} left out")
    tracemalloc.start()
    rows = [_row(number) for number in range(1000)]
    held = tracemalloc.get_traced_memory()[0] / len(rows)
    tracemalloc.stop()
    print(f"  rows of all frames: {held * SURVEY_FIELDS * SURVEY_BANDS / GIGABYTE:.1f} GB where the work is handed out")


def _row(number: int) -> FrameRow:
    whole = {"run": number, "camcol": 1, "field": number, "psf_stars": 40 + number}
    text = {"name": f"frame-r-{number:06d}-1-0012.fits.bz2", "sha256": f"{number:064d}", "band": "r"}
    real = dict.fromkeys((name for name, of in FrameRow.model_fields.items() if of.annotation is float), 0.5 + number)
    return FrameRow.model_validate({**whole, **text, **real, "origin": "the survey"})


def survey_places() -> dict[FieldId, tuple[float, float]]:
    """As many fields as the survey has: stripes of twelve strips each, of which one was seen on seventy nights."""
    step, rng = 1361 * 0.396 / 3600, np.random.default_rng(0)
    strips = [(dec + 0.21 * strip, 120, 240) for dec in np.arange(-10, 65, 2.52) for strip in range(12)]
    strips += [(-1.25 + 0.21 * (night % 2 + 2 * camcol), 308, 419) for night in range(70) for camcol in range(6)]
    ra, dec = [], []
    for at, start, end in strips:
        along = np.arange(start, end, step / np.cos(np.radians(at))) + rng.uniform(0, step)
        ra.append(along % 360)
        dec.append(np.full(len(along), at) + rng.normal(0, 0.01))
    places = np.stack([np.concatenate(ra), np.concatenate(dec)])
    again = rng.permutation(places.shape[1])[: max(0, SURVEY_FIELDS - places.shape[1])]  # another night, for the rest
    places = np.concatenate([places, places[:, again] + [[0.0], [0.1]]], axis=1)[:, :SURVEY_FIELDS]
    names = [FieldId(1 + index // 5000, 1 + index % 6, index % 5000 // 6) for index in range(SURVEY_FIELDS)]
    return dict(zip(names, zip(*places.tolist(), strict=True), strict=True))


if __name__ == "__main__":
    main()
