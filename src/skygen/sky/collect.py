"""Filling the folder of frames: simulated ones, or those of a local folder; all of it or nothing."""

import shutil
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from tqdm import tqdm

from skygen.files import replace_folder, write_json
from skygen.params import Params
from skygen.sky.exposure import BANDS
from skygen.sky.field import frame_name, parse_frame_name
from skygen.sky.frame import SHAPE, FrameError, read_frame
from skygen.sky.frame_format import write_frame
from skygen.sky.manifest import FrameRow, FramesError, Manifest, Refusal, describe, make_manifest
from skygen.sky.simulate import simulate_field

PROCESSES = 2  # for simulation
THREADS = 2  # for reading: bz2 releases the interpreter's lock


def collect_frames(params: Params, folder: Path, shape: tuple[int, int] = SHAPE) -> Manifest:
    """The manifest of the frames that `params.frames` asks for, after making `folder` hold them and it, and no more.

    `folder` is replaced at the end, at once: whatever fails before leaves an earlier one as it was. Raises
    `FramesError` where three complete fields cannot be had. `shape` (H, W) is that of simulated frames; readers ask for
    whole ones.
    """
    bands = sorted({band for tiles in params.tiles.values() for band in tiles.bands})
    with replace_folder(folder) as building:
        if params.frames.source == "simulated":
            manifest = _simulate(building, params.frames.seed, params.chosen.frames.fields, bands, shape)
        else:
            manifest = _copy_local(building, Path(params.frames.folder), bands)
        write_json(building / "manifest.json", manifest.model_dump())
    return manifest


def _simulate(folder: Path, seed: int, fields: int, bands: Sequence[str], shape: tuple[int, int]) -> Manifest:
    lacking = sorted(set(bands) - set(BANDS))
    if lacking:
        raise FramesError(
            f"tile sets ask for {', '.join(lacking)}, but the simulation makes {', '.join(BANDS)}; "
            "change `bands` in tiles, or set frames.source to local"
        )
    simulate = partial(_simulate_into, folder, seed, shape)
    # Spawned, not forked: the same on every system, and safe beside threads.
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        rows = list(tqdm(pool.map(simulate, range(fields)), total=fields, desc="simulating", unit="field"))
    return make_manifest("simulated", [row for field in rows for row in field], [], bands)


def _simulate_into(folder: Path, seed: int, shape: tuple[int, int], index: int) -> list[FrameRow]:
    rows = []
    for frame in simulate_field(seed, index, shape):
        path = folder / frame_name(frame.band, frame.field_id)
        write_frame(path, frame, "skygen simulation")
        rows.append(describe(path, frame, f"simulated, seed {seed}, field {index}"))
    return rows


def _copy_local(folder: Path, source: Path, bands: Sequence[str]) -> Manifest:
    paths = sorted(path for path in source.glob("frame-*") if path.is_file())
    if not paths:
        raise FramesError(
            f"{source} {'holds no frames' if source.is_dir() else 'is not a folder'}; put the survey's "
            f"frame-BAND-RUN-CAMCOL-FIELD.fits.bz2 there, in {', '.join(bands)}, for three fields or more, "
            "or set frames.folder to where they are"
        )
    read = partial(_read_local, bands)
    with ThreadPoolExecutor(THREADS) as pool:
        found = list(tqdm(pool.map(read, paths), total=len(paths), desc="reading", unit="frame"))
    rows = [row for row in found if isinstance(row, FrameRow)]
    refused = [refusal for refusal in found if isinstance(refusal, Refusal)]
    manifest = make_manifest("local", rows, refused, bands)
    for row in manifest.frames:
        shutil.copyfile(source / row.name, folder / row.name)
    return manifest


def _read_local(bands: Sequence[str], path: Path) -> FrameRow | Refusal:
    try:
        band = parse_frame_name(path.name)[0]
        if band not in bands:
            return Refusal(name=path.name, reason=f"no tile set uses band {band}")
        return describe(path, read_frame(path), f"local folder {path.parent.resolve().name}")
    except (FrameError, ValueError, OSError) as error:
        return Refusal(name=path.name, reason=str(error))
