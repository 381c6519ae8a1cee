"""From a folder of frames to a tile store: split the fields, cut each, write shards, manifest and card."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from skygen.files import read_json, replace_folder
from skygen.params import TileSetParams, TilesScale, validate
from skygen.sky.field import FieldId
from skygen.sky.frame import PIXEL_SCALE_ARCSEC, Frame, read_frame
from skygen.sky.manifest import FrameRow, Manifest
from skygen.tiles.cut import FieldTiles, cut_field, grid_places, random_places
from skygen.tiles.split import SPLITS, Split, split_fields
from skygen.tiles.store import ShardWriter, TileSetCard, write_card

_TRIES = 16  # random places tried for each training tile wanted: enough where one tile in eight holds a source

Progress = Callable[[Sequence[tuple[Split, FieldId]]], Iterable[tuple[Split, FieldId]]]


def build_tile_set(
    frames: Path, folder: Path, name: str, tile_set: TileSetParams, scale: TilesScale, progress: Progress = iter
) -> TileSetCard:
    """Build the tile set `name` in `folder` from the folder `frames` that the stage of that name wrote.

    Training tiles lie at random places, held-out tiles on a grid, so that these share no pixel. Every field of a split
    gives the same number of tiles where it can. `progress` wraps the work list. Raises `FileNotFoundError` where there
    are no frames, and `ValueError` where there are too few fields or a split gets no tile.
    """
    manifest = frames / "manifest.json"
    known: dict[FieldId, dict[str, FrameRow]] = defaultdict(dict)
    for row in validate(Manifest, read_json(manifest), str(manifest)).frames:
        known[row.field_id][row.band] = row
    complete = [field for field, bands in known.items() if set(tile_set.bands) <= set(bands)]
    splits = split_fields(complete, tile_set.validation, tile_set.test, tile_set.seed)
    survival: dict[Split, list[float]] = {split: [] for split in SPLITS}
    with replace_folder(folder) as building:
        writer = ShardWriter(building)
        lacking = {split: scale.train if split == "train" else scale.held_out for split in SPLITS}
        for split, field in progress(_work(splits)):
            wanted = math.ceil(lacking[split] / (len(splits[split]) - len(survival[split])))
            tiles = _cut(_read(frames, known[field], tile_set), field, split, tile_set, wanted)
            survival[split].append(tiles.survival)
            lacking[split] -= len(tiles.flux_nmgy)
            writer.add(split, tiles.flux_nmgy, _rows(tiles, field, known[field], tile_set))
        writer.close()
        _check_no_split_is_empty(name, writer)
        card = TileSetCard(
            name=name,
            size=tile_set.size,
            bands=list(tile_set.bands),
            softening_nmgy=tile_set.softening_nmgy,
            limit_nmgy=tile_set.limit_nmgy,
            pixel_scale_arcsec=PIXEL_SCALE_ARCSEC,
            fields={split: [str(field) for field in splits[split]] for split in SPLITS},
            survival={split: float(np.mean(survival[split])) for split in SPLITS},
            shards=writer.shards,
            data_hash=writer.data_hash(),
        )
        write_card(building, card)
    return card


def _work(splits: Mapping[Split, Sequence[FieldId]]) -> list[tuple[Split, FieldId]]:
    return [(split, field) for split in SPLITS for field in splits[split]]


def _read(frames: Path, known: Mapping[str, FrameRow], tile_set: TileSetParams) -> dict[str, Frame]:
    with ThreadPoolExecutor(max_workers=len(tile_set.bands)) as pool:  # bz2 releases the interpreter's lock
        read = pool.map(lambda band: read_frame(frames / known[band].name), tile_set.bands)
        return dict(zip(tile_set.bands, read, strict=True))


def _cut(frames: Mapping[str, Frame], field: FieldId, split: Split, tile_set: TileSetParams, wanted: int) -> FieldTiles:
    rng = np.random.default_rng([tile_set.seed, field.run, field.camcol, field.field])
    shape = (frames["r"].flux_nmgy.shape[0], frames["r"].flux_nmgy.shape[1])
    if split == "train":
        places = random_places(shape, tile_set.size, wanted * _TRIES, rng)
    else:
        places = grid_places(shape, tile_set.size, rng)
    return cut_field(frames, tile_set, places, wanted)


def _rows(
    tiles: FieldTiles, field: FieldId, known: Mapping[str, FrameRow], tile_set: TileSetParams
) -> list[dict[str, Any]]:
    of_field: dict[str, Any] = {"run": field.run, "camcol": field.camcol, "field": field.field}
    of_bands: dict[str, Any] = {}
    for band in tile_set.bands:
        of_bands[f"sky_noise_{band}_nmgy"] = known[band].sky_noise_nmgy
        of_bands[f"gain_{band}_e_per_count"] = known[band].gain_e_per_count
        of_bands[f"nmgy_per_count_{band}"] = known[band].nmgy_per_count
    return [
        {**of_field, "x": int(x), "y": int(y), "ra_deg": float(ra), "dec_deg": float(dec), **of_bands}
        for x, y, ra, dec in zip(tiles.x, tiles.y, tiles.ra_deg, tiles.dec_deg, strict=True)
    ]


def _check_no_split_is_empty(name: str, writer: ShardWriter) -> None:
    empty = [split for split in SPLITS if not writer.shards[split]]
    if empty:
        raise ValueError(
            f"tile set {name}: no tile in {', '.join(empty)}; give more fields, lower source_snr, "
            "or set require_source to false"
        )
