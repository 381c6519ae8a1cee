"""Making one shard: the fields' frames are read, cut, and appended to its file. A job for a worker."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from skygen.params import TileSetParams
from skygen.sky.field import FieldId, sources_name
from skygen.sky.frame import read_frame
from skygen.sky.inspection.inspect import read_inspection, read_offsets
from skygen.sky.manifest import FrameRow
from skygen.sky.readout import readout
from skygen.sky.registration import register
from skygen.tiles.cut import REFERENCE, FieldTiles, Places, cut_field, grid_places, random_places
from skygen.tiles.manifest import FieldReport, ShardReport, manifest_schema, read_part, tile_rows, write_part
from skygen.tiles.store import Split
from skygen.tiles.writer import describe_shard, write_shard

_TRIES = 16  # random places tried for each training tile wanted: enough where one tile in eight is fit to keep


@dataclass(frozen=True)
class ShardJob:
    """A shard to be made: its split, its name without suffix, and the frames by band of its fields, in their order."""

    split: Split
    name: str
    tiles_a_field: int
    fields: dict[FieldId, dict[str, FrameRow]]


def make_shard(frames: Path, folder: Path, tile_set: TileSetParams, job: ShardJob) -> ShardReport:
    """The report on the shard that `job` asks for, made in `folder` of the frames in the folder `frames`.

    A shard that is there already is not made again. Beside the shard a part of the manifest is written, last: with it
    the shard is whole. Raises `ValueError` where a frame or a field's list of sources is damaged.
    """
    part = part_path(folder, job.name)
    if part.is_file():
        return read_part(part)
    path, schema = folder / f"{job.name}.npy", manifest_schema(tile_set.bands)
    rows, reports = [], []
    with write_shard(path, (len(tile_set.bands), tile_set.size, tile_set.size), tile_set.dtype) as writer:
        for field, of_bands in job.fields.items():
            tiles = _cut(frames, field, of_bands, tile_set, job)
            rows.append(tile_rows(job.split, path.name, sum(writer.readouts.values()), tiles, of_bands, schema))
            for half, block in tiles.blocks():
                writer.add(readout(field, half), block)
            reports.append(FieldReport(str(field), len(tiles.x), tiles.tried, tiles.good, tiles.spoilt))
    shard = describe_shard(path, writer.readouts) if writer.readouts else None
    if shard is None:
        path.unlink(missing_ok=True)  # a second worker may be at it, where the first was taken for lost
    report = ShardReport(job.split, shard, reports)
    write_part(part, rows, schema, report)
    return report


def part_path(folder: Path, name: str) -> Path:
    """Where the part of the manifest lies that says that the shard `name` in `folder` is whole."""
    return folder / f"{name}.part.parquet"


def _cut(
    frames: Path, field: FieldId, of_bands: Mapping[str, FrameRow], tile_set: TileSetParams, job: ShardJob
) -> FieldTiles:
    inspected = frames / sources_name(field)
    images = register({band: read_frame(frames / row.name) for band, row in of_bands.items()}, read_offsets(inspected))
    sources, defects = read_inspection(inspected)
    shape = images[REFERENCE].flux_nmgy.shape
    places = _places((shape[0], shape[1]), field, tile_set, job)
    return cut_field(images, sources, defects, tile_set, places, job.tiles_a_field)


def _places(shape: tuple[int, int], field: FieldId, tile_set: TileSetParams, job: ShardJob) -> Places:
    """The places to try, which depend on the seed and the field alone; held-out tiles share no pixel."""
    rng = np.random.default_rng([tile_set.seed, field.run, field.camcol, field.field])
    if job.split == "train" and tile_set.places == "random":
        return random_places(shape, tile_set.size, job.tiles_a_field * _TRIES, rng)
    return grid_places(shape, tile_set.size, rng)
