"""Filling the folder of frames: simulated, downloaded or local ones, with what they hold; all of it or nothing."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from skygen.files import resume_folder, sha256_folder
from skygen.params import SOURCE_SNR_FLOOR, Params
from skygen.sky.archive.download import download_frames
from skygen.sky.archive.fields import choose_fields
from skygen.sky.field import FieldId, parse_frame_name, sources_name
from skygen.sky.field_job import RECORDS, Job, ListedField, SimulatedField, work_on_field
from skygen.sky.frame import SHAPE
from skygen.sky.listing import Candidate, list_folder
from skygen.sky.manifest import FRAMES, QUARANTINE, FramesError, Manifest, Refusal, make_manifest
from skygen.sky.simulation.exposure import BANDS, field_id
from skygen.workers import work_on

Plan = tuple[Sequence[Job], list[Refusal]]  # the work on each field, and what is of no use from the outset


def collect_frames(params: Params, folder: Path, shape: tuple[int, int] = SHAPE) -> Manifest:
    """The manifest of the frames that `params.frames` asks for, after making `folder` hold them and it, and no more.

    `folder` is replaced at the end, at once: whatever fails before leaves an earlier one as it was, and the fields that
    were done are not done again. Raises `FramesError` where fewer than `frames.min_fields` complete fields can be had,
    and `SurveyError` where the survey's files cannot. `shape` (H, W) is that of simulated frames.
    """
    bands = sorted({band for tiles in params.tiles.sets.values() for band in tiles.bands})
    jobs, refused = _plan(params, bands, folder.parent / "downloads", shape)
    with resume_folder(folder, _key(params, bands, shape)) as building:
        work = partial(work_on_field, building.resolve(), bands)
        label = "simulating" if params.frames.source == "simulated" else "reading"
        rows = []
        for outcome in work_on(jobs, work, params.frames.scheduler, label, "field"):
            rows += outcome.rows
            refused += outcome.refused
        manifest = make_manifest(params.frames.source, rows, refused, bands, params.frames.min_fields)
        manifest.write(building)
        _remove_all_but(building, manifest)
    return manifest


def _plan(params: Params, bands: Sequence[str], downloads: Path, shape: tuple[int, int]) -> Plan:
    match params.frames.source:
        case "simulated":
            return _simulated(params.frames.seed, params.chosen.frames.fields, bands, shape), []
        case "sdss":
            return _survey(params, bands, downloads)
        case "local":
            return _local(Path(params.frames.folder), bands)


def _simulated(seed: int, fields: int, bands: Sequence[str], shape: tuple[int, int]) -> Sequence[Job]:
    lacking = sorted(set(bands) - set(BANDS))
    if lacking:
        raise FramesError(
            f"tile sets ask for {', '.join(lacking)}, but the simulation makes {', '.join(BANDS)}; "
            "change `bands` in tiles, or set frames.source to sdss or local"
        )
    return [SimulatedField(field_id(index), seed, index, shape) for index in range(fields)]


def _survey(params: Params, bands: Sequence[str], downloads: Path) -> Plan:
    survey = params.frames.sdss
    fields = choose_fields(survey, params.chosen.frames.fields, downloads)
    paths, missing = download_frames(survey, fields, bands, downloads)
    known: dict[FieldId, list[Candidate]] = defaultdict(list)
    for path in paths:
        band, identity = parse_frame_name(path.name)
        known[identity].append(Candidate(path.resolve(), path.name, band, ()))
    jobs = [ListedField(field, "the survey", tuple(known[field]), linked=True) for field in fields if field in known]
    return jobs, [Refusal(file=lost.name, cause=lost.cause, remedy=lost.remedy) for lost in missing]


def _local(folder: Path, bands: Sequence[str]) -> Plan:
    known, refused = list_folder(folder.resolve(), bands)
    origin = f"local folder {folder.resolve().name}"
    return [ListedField(field, origin, tuple(files), linked=False) for field, files in known.items()], refused


def _key(params: Params, bands: Sequence[str], shape: tuple[int, int]) -> str:
    """The hash of what decides a field's frames and sources; what decides which fields there are is in the jobs."""
    parts = [
        params.frames.source,
        params.frames.seed,
        SOURCE_SNR_FLOOR,
        bands,
        shape,
        sha256_folder(Path(__file__).parent, "*.py"),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _remove_all_but(folder: Path, manifest: Manifest) -> None:
    """Leave in `folder` what `manifest` names: every field left a record, and a run that was stopped maybe more."""
    kept = {FRAMES, QUARANTINE, *(row.name for row in manifest.frames)}
    kept |= {sources_name(row.field_id) for row in manifest.frames}
    for path in [*folder.glob(f"{RECORDS}/*"), *folder.iterdir()]:
        if path.is_dir():
            path.rmdir()
        elif path.name not in kept:
            path.unlink()
