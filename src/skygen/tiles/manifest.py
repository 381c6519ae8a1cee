"""The manifest of a tile store: a row a tile in Parquet, merged from the parts that the shards' makers write."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from skygen.files import write_atomically
from skygen.sky.manifest import FrameRow
from skygen.tiles.cut import FLAGS, FieldTiles
from skygen.tiles.store import Shard, Split

MANIFEST = "manifest.parquet"
_REPORT = b"skygen.shard"  # key of a part's metadata


@dataclass(frozen=True)
class FieldReport:
    """What a field gave: tiles kept, places tried, those fit to keep, those spoilt by each cause."""

    field: str
    tiles: int
    tried: int
    good: int
    spoilt: dict[str, int]


@dataclass(frozen=True)
class ShardReport:
    """What became of a shard: None for `shard` where its fields gave no tile, and no file was kept."""

    split: Split
    shard: Shard | None
    fields: list[FieldReport]


def tile_rows(
    split: Split, shard: str, first: int, tiles: FieldTiles, frames: Mapping[str, FrameRow], schema: pa.Schema
) -> pa.Table:
    """The rows of a field's tiles, of which the first is tile `first` of the shard's file; `frames` by band."""
    count, row = len(tiles.x), next(iter(frames.values()))
    constant: dict[str, Any] = {
        "split": split,
        "shard": shard,
        "run": row.run,
        "camcol": row.camcol,
        "field": row.field,
    }
    for band, frame in frames.items():
        constant |= _of_band(band, frame)
    columns: dict[str, Any] = {
        name: pa.repeat(pa.scalar(value, schema.field(name).type), count) for name, value in constant.items()
    }
    columns |= {"index": range(first, first + count), "x": tiles.x, "y": tiles.y}
    columns |= {"ra_deg": tiles.ra_deg, "dec_deg": tiles.dec_deg}
    columns |= {str(flag): touched for flag, touched in tiles.flags.items()}
    for band, frame in frames.items():
        of_half = np.where(tiles.right, frame.noise_of("right"), frame.noise_of("left"))
        columns[f"sky_noise_{band}_nmgy"] = of_half
    return pa.table([pa.array(columns[name], schema.field(name).type) for name in schema.names], schema=schema)


def manifest_schema(bands: Sequence[str]) -> pa.Schema:
    """The columns of the manifest of a tile set in `bands`."""
    columns: list[tuple[str, pa.DataType]] = [("split", pa.string()), ("shard", pa.string())]
    columns += [(name, pa.int32()) for name in ("index", "run", "camcol", "field", "x", "y")]
    columns += [(name, pa.float64()) for name in ("ra_deg", "dec_deg")]
    columns += [(flag, pa.bool_()) for flag in FLAGS]
    for band in bands:
        columns += [
            (name, pa.float64())
            for name in (
                f"sky_noise_{band}_nmgy",
                f"gain_{band}_e_per_count",
                f"nmgy_per_count_{band}",
                f"psf_fwhm_{band}_arcsec",
            )
        ]
    return pa.schema(columns)


def _of_band(band: str, frame: FrameRow) -> dict[str, float]:
    return {
        f"gain_{band}_e_per_count": frame.gain_e_per_count,
        f"nmgy_per_count_{band}": frame.nmgy_per_count,
        f"psf_fwhm_{band}_arcsec": frame.psf_fwhm_arcsec,
    }


def write_part(path: Path, rows: Sequence[pa.Table], schema: pa.Schema, report: ShardReport) -> None:
    """Write the rows and the report of a shard: its maker's last file, which says that the shard is whole."""
    content = asdict(report) | {"shard": report.shard and report.shard.model_dump()}
    table = pa.concat_tables([schema.empty_table(), *rows])
    with write_atomically(path) as temporary:
        pq.write_table(table.replace_schema_metadata({_REPORT: json.dumps(content)}), temporary)


def read_part(path: Path) -> ShardReport:
    """The report in a part."""
    content = json.loads(pq.read_schema(path).metadata[_REPORT])
    shard = None if content["shard"] is None else Shard(**content["shard"])
    return ShardReport(content["split"], shard, [FieldReport(**field) for field in content["fields"]])


def merge_parts(folder: Path, parts: Iterable[Path], schema: pa.Schema) -> None:
    """Write the manifest in `folder` of the rows in `parts`, in their order, with one of them in memory at a time."""
    with write_atomically(folder / MANIFEST) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        for part in parts:
            table = pq.read_table(part, schema=schema)
            if table.num_rows:
                writer.write_table(table)


def read_manifest(folder: Path) -> pa.Table:
    """The manifest of the tile store in `folder`; raises `FileNotFoundError` where there is none."""
    return pq.read_table(folder / MANIFEST)
