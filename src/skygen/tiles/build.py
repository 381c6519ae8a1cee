"""From a folder of frames to a tile store: split the fields, have the shards made, write manifest and card."""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from skygen.files import resume_folder, sha256_file, sha256_folder
from skygen.params import TileSetParams, TilesScale
from skygen.sky.conditions import BandConditions, Density
from skygen.sky.field import FieldId, sources_name
from skygen.sky.frame import SHAPE
from skygen.sky.manifest import FrameRow, Manifest
from skygen.sky.readout import HALVES, Half, field_of, readout
from skygen.sky.units import PIXEL_SCALE_ARCSEC
from skygen.tiles.cut import REFERENCE, grid_count
from skygen.tiles.manifest import MANIFEST, FieldReport, ShardReport, manifest_schema, merge_parts
from skygen.tiles.plan import plan_shards
from skygen.tiles.shard import ShardJob, make_shard, part_path
from skygen.tiles.split import Splits, hold_out_fields, split_fields
from skygen.tiles.store import CARD, SPLITS, Shard, Split, Survival, TileSetCard
from skygen.tiles.writer import data_hash, write_card
from skygen.workers import work_on

_CODE = Path(__file__).parents[1]
Known = dict[FieldId, dict[str, FrameRow]]  # the frames of a field by band


class FieldSummary(NamedTuple):
    """A row of the summary of a tile set: a field's split, what it gave, and its noise and sharpness in r."""

    split: Split
    report: FieldReport
    reference: FrameRow


class Built(NamedTuple):
    """A tile set that was built: its card, and a summary a field, by split and field."""

    card: TileSetCard
    fields: list[FieldSummary]


def build_tile_set(
    frames: Path,
    folder: Path,
    name: str,
    tile_set: TileSetParams,
    scale: TilesScale,
    scheduler: str | None = None,
) -> Built:
    """Build the tile set `name` in `folder` from the folder `frames` that the stage of that name wrote.

    Training tiles lie at random places or on a grid, held-out tiles on a grid, so that these share no pixel. Each field
    gives as many tiles as the scale says, at most, whatever other fields there are. Shards are made by the workers of
    `scheduler`, or by processes of this machine: the same bytes. A build that was stopped, even by kill -9, goes on
    with the shards that it had finished. Raises `FileNotFoundError` where there are no frames, and `ValueError` where
    there are too few fields, one to be held out is not there, a split gets no tile, or a frame is damaged: a store that
    was in `folder` then stays.
    """
    known, whole, splits = _fields(Manifest.read(frames), tile_set)
    jobs = _jobs(splits, whole, tile_set, scale)
    with resume_folder(folder.resolve(), _key(frames, tile_set, scale, jobs)) as building:
        work = partial(make_shard, frames.resolve(), building, tile_set)
        reports = list(work_on(jobs, work, scheduler, f"tiles {name}", "shard"))
        left_out = {"lacks a band": sorted(known.keys() - whole.keys()), "shares sky": splits.left_out}
        card = _card(name, tile_set, splits, left_out, reports, whole)
        _check_no_split_is_empty(name, card)
        merge_parts(building, [part_path(building, job.name) for job in jobs], manifest_schema(tile_set.bands))
        write_card(building, card)
        _tidy(building, card)
    summary = [
        FieldSummary(report.split, field, whole[FieldId.parse(field.field)][REFERENCE])
        for report in reports
        for field in report.fields
    ]
    return Built(card, sorted(summary, key=lambda row: (SPLITS.index(row.split), row.reference.field_id)))


def check_splits_agree(frames: Path, sets: Mapping[str, TileSetParams]) -> None:
    """Raise `ValueError` where tile sets cut from the folder `frames` would not hold out the same fields.

    What a model was trained on by one set, it would be tested on by another. Splits depend on shares and seeds, which
    agree in params.yaml, and on which fields are complete in a set's bands. A set that cannot be split is passed over:
    its own build says why.
    """
    manifest, dealt = Manifest.read(frames), dict[FieldId, tuple[Split, str]]()
    for name, tile_set in sets.items():
        try:
            splits = _fields(manifest, tile_set).splits.fields
        except ValueError:
            continue
        for split, fields in splits.items():
            for field in fields:
                before, other = dealt.setdefault(field, (split, name))
                if split != before:
                    raise ValueError(
                        f"field {field} is of {split} in tile set {name}, but of {before} in {other}: some fields lack "
                        "a band that one set has and the other has not; supply it, or name fields in hold_out"
                    )


class _Fields(NamedTuple):
    """The frames in a tile set's bands, those of the fields that are complete in them, and the splits of these."""

    known: Known
    whole: Known
    splits: Splits


def _fields(manifest: Manifest, tile_set: TileSetParams) -> _Fields:
    known = _by_field(manifest.frames, tile_set.bands)
    whole = {field: of_bands for field, of_bands in known.items() if len(of_bands) == len(tile_set.bands)}
    return _Fields(known, whole, _split(tile_set, known, whole))


def _by_field(rows: Iterable[FrameRow], bands: Sequence[str]) -> Known:
    known: Known = defaultdict(dict)
    for row in rows:
        known[row.field_id] |= {row.band: row} if row.band in bands else {}
    return {field: {band: found[band] for band in bands if band in found} for field, found in known.items()}


def _split(tile_set: TileSetParams, known: Known, whole: Known) -> Splits:
    places = {field: (row[REFERENCE].ra_deg, row[REFERENCE].dec_deg) for field, row in whole.items()}
    if tile_set.hold_out is None:
        return split_fields(places, tile_set.validation, tile_set.test, tile_set.seed)
    validation, test = (
        [FieldId.parse(name) for name in names] for names in (tile_set.hold_out.validation, tile_set.hold_out.test)
    )
    for field in (*validation, *test):
        if field not in known:
            raise ValueError(f"hold_out names {field}, of which there are no frames; there are {_some(known)}")
        lacking = [band for band in tile_set.bands if band not in known[field]]
        if lacking:
            raise ValueError(
                f"hold_out names {field}, which lacks {', '.join(lacking)}; supply its frames, or hold out another "
                f"field: complete are {_some(whole)}"
            )
    return hold_out_fields(places, validation, test)


def _some(known: Known, at_most: int = 20) -> str:
    names = [str(field) for field in sorted(known)]
    more = [f"and {len(names) - at_most} more"] if len(names) > at_most else []
    return ", ".join([*names[:at_most], *more]) or "none"


def _jobs(splits: Splits, known: Known, tile_set: TileSetParams, scale: TilesScale) -> list[ShardJob]:
    held_out = scale.held_out_a_field or grid_count(SHAPE, tile_set.size)
    most = {split: scale.train_a_field if split == "train" else held_out for split in SPLITS}
    return [
        ShardJob(plan.split, plan.name, most[plan.split], {field: known[field] for field in plan.fields})
        for plan in plan_shards(splits.fields, most, tile_set.seed)
    ]


def _key(frames: Path, tile_set: TileSetParams, scale: TilesScale, jobs: Iterable[ShardJob]) -> str:
    """The hash of all that decides the content of the store: parameters, frames, what was found in them, and code."""
    digest = hashlib.sha256(tile_set.model_dump_json().encode() + scale.model_dump_json().encode())
    for room in ("sky", "tiles"):
        digest.update(sha256_folder(_CODE / room, "*.py").encode())
    for job in jobs:
        rows = [row.model_dump(mode="json") for of_bands in job.fields.values() for row in of_bands.values()]
        found = [sha256_file(frames / sources_name(field)) for field in job.fields]  # other bands' light is in it
        digest.update(json.dumps([job.name, rows, found]).encode())
    return digest.hexdigest()


def _card(
    name: str,
    tile_set: TileSetParams,
    splits: Splits,
    left_out: Mapping[str, Sequence[FieldId]],
    reports: Sequence[ShardReport],
    known: Known,
) -> TileSetCard:
    shards: dict[Split, list[Shard]] = {split: [] for split in SPLITS}
    for report in reports:
        if report.shard is not None:
            shards[report.split].append(report.shard)
    halves = {readout(field, half): (of_bands, half) for field, of_bands in known.items() for half in HALVES}
    held = [name for of_split in shards.values() for shard in of_split for name in shard.readouts]
    conditions = {name: _conditions(*halves[name]) for name in held}
    densities = {field_of(name): _density(halves[name][0][REFERENCE]) for name in held}
    return TileSetCard(
        name=name,
        size=tile_set.size,
        bands=list(tile_set.bands),
        dtype=tile_set.dtype,
        softening_nmgy=tile_set.softening_nmgy,
        limit_nmgy=tile_set.limit_nmgy,
        pixel_scale_arcsec=PIXEL_SCALE_ARCSEC,
        fields={split: [str(field) for field in splits.fields[split]] for split in SPLITS},
        left_out={cause: [str(field) for field in fields] for cause, fields in left_out.items()},
        survival={split: _survival(report for report in reports if report.split == split) for split in SPLITS},
        conditions=conditions,
        densities=densities,
        shards=shards,
        data_hash=data_hash(shards, conditions, densities),
    )


def _conditions(of_bands: Mapping[str, FrameRow], half: Half) -> list[BandConditions]:
    return [
        BandConditions(
            sky_noise_nmgy=row.noise_of(half),
            nmgy_per_electron=row.nmgy_per_count / row.gain_e_per_count,
            psf_fwhm_arcsec=row.psf_fwhm_arcsec,
            sky_level_nmgy=row.level_of(half),
        )
        for row in of_bands.values()
    ]


def _density(row: FrameRow) -> Density:
    return Density(stars=row.stars_arcmin2, galaxies=row.galaxies_arcmin2)


def _survival(reports: Iterable[ShardReport]) -> Survival:
    fields = [field for report in reports for field in report.fields]
    tried = sum(field.tried for field in fields)
    spoilt: Counter[str] = Counter()
    for field in fields:
        spoilt.update(field.spoilt)
    return Survival(
        tried=tried,
        kept=sum(field.good for field in fields) / tried,
        spoilt={cause: count / tried for cause, count in spoilt.items()},
    )


def _check_no_split_is_empty(name: str, card: TileSetCard) -> None:
    empty = [split for split in SPLITS if not card.shards[split]]
    if empty:
        raise ValueError(
            f"tile set {name}: no tile in {', '.join(empty)}; give more fields, lower source_snr, drop less, "
            "or set require_source to false"
        )


def _tidy(folder: Path, card: TileSetCard) -> None:
    """Remove all that is no part of the store: the manifest's parts, and what a killed worker left half written."""
    wanted = {CARD, MANIFEST} | {shard.name for shards in card.shards.values() for shard in shards}
    for path in folder.iterdir():
        if path.name not in wanted:
            path.unlink()
