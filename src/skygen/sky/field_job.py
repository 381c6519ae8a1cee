"""The work on one field, for a worker of any kind: get its frames, inspect it, write what is kept, record the outcome.

The record is written last and whole: where it is found, a run that was stopped need not do the field again.
"""

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from skygen.files import read_json, sha256_file, write_atomically, write_json
from skygen.params import Section
from skygen.sky.archive.sums import SUMS
from skygen.sky.field import FieldId, frame_name, sources_name
from skygen.sky.frame import Frame, FrameError, read_frame
from skygen.sky.frame_file import AGAIN
from skygen.sky.frame_format import write_frame
from skygen.sky.inspection.inspect import InspectionError, inspect_field, write_inspection
from skygen.sky.listing import Candidate
from skygen.sky.manifest import FrameRow, Refusal, describe
from skygen.sky.simulation.simulate import simulate_field

RECORDS = "records"  # folder within the one that is being filled


class Outcome(Section):
    """What became of a field: the rows of its frames, all bands or none, and what was left out."""

    job: str  # hash of what was asked for
    rows: list[FrameRow]
    refused: list[Refusal]

    def files(self, field_id: FieldId) -> list[str]:
        """The names of the files that were kept of the field."""
        return [*(row.name for row in self.rows), sources_name(field_id)] if self.rows else []


@dataclass(frozen=True)
class SimulatedField:
    """A field to simulate."""

    field_id: FieldId
    seed: int
    index: int
    shape: tuple[int, int]

    @property
    def origin(self) -> str:
        """Where its frames come from."""
        return f"simulated, seed {self.seed}, field {self.index}"


@dataclass(frozen=True)
class ListedField:
    """A field whose frames are files."""

    field_id: FieldId
    origin: str
    candidates: tuple[Candidate, ...]
    linked: bool  # rather than copied, where the file system can

    def __str__(self) -> str:
        """What changes where a file does."""
        paths = [candidate.path for candidate in self.candidates]
        state = [(path.stat().st_size, path.stat().st_mtime_ns) for path in paths if path.exists()]
        return f"{self!r} {state}"


Job = SimulatedField | ListedField


@dataclass
class _Found:
    """What was found of a field: by band its frame, where it lies, what its file was called; and what is refused."""

    frames: dict[str, Frame] = field(default_factory=dict)
    paths: dict[str, Path] = field(default_factory=dict)
    shown: dict[str, str] = field(default_factory=dict)
    refused: list[Refusal] = field(default_factory=list)

    def add(self, frame: Frame, path: Path, shown: str) -> None:
        self.frames[frame.band], self.paths[frame.band], self.shown[frame.band] = frame, path, shown


def work_on_field(folder: Path, bands: Sequence[str], job: Job) -> Outcome:
    """The outcome of `job`; the frames of a field that is kept, in `bands`, and what they hold then lie in `folder`.

    Done already, it is only read. Raises `OSError` where `folder` cannot be written.
    """
    digest = hashlib.sha256(str(job).encode()).hexdigest()
    record = folder / RECORDS / f"{job.field_id}.json"
    if record.exists():
        known = Outcome.model_validate(read_json(record))
        if known.job == digest and all((folder / name).is_file() for name in known.files(job.field_id)):
            return known
    found = _simulate(folder, bands, job) if isinstance(job, SimulatedField) else _take(folder, job)
    outcome = Outcome(job=digest, rows=_keep(folder, bands, job, found), refused=found.refused)
    write_json(record, outcome.model_dump())
    return outcome


def _simulate(folder: Path, bands: Sequence[str], job: SimulatedField) -> _Found:
    found = _Found()
    for frame in simulate_field(job.seed, job.index, job.shape):
        if frame.band in bands:
            path = folder / frame_name(frame.band, frame.field_id)
            write_frame(path, frame, "skygen simulation")
            found.add(frame, path, path.name)
    return found


def _take(folder: Path, job: ListedField) -> _Found:
    """The first usable file of each band, compressed ones first, put into `folder`; all others are refused."""
    found = _Found()
    for candidate in sorted(job.candidates, key=lambda candidate: (candidate.path.suffix != ".bz2", candidate.shown)):
        if candidate.band in found.frames:
            cause = f"it is the same frame as {found.shown[candidate.band]}"
            found.refused.append(Refusal(file=candidate.shown, cause=cause, remedy="keep one of the two"))
            continue
        try:
            frame = _read(candidate)
        except FrameError as error:
            # What was downloaded is not asked for again while it is there.
            remedy = f"remove {candidate.path} and run again" if job.linked and error.remedy == AGAIN else error.remedy
            found.refused.append(Refusal(file=candidate.shown, cause=error.cause, remedy=remedy))
        else:
            found.add(frame, _place(candidate.path, folder, job.linked), candidate.shown)
    return found


def _read(candidate: Candidate) -> Frame:
    try:
        frame = read_frame(candidate.path)
    except FileNotFoundError as error:
        raise FrameError(candidate.path, "it is gone", "put it back") from error
    if candidate.sha256 not in (None, sha256_file(candidate.path)):
        raise FrameError(candidate.path, f"its SHA-256 is not the one that {SUMS} lists", AGAIN)
    return frame


def _place(source: Path, folder: Path, linked: bool) -> Path:
    """The path of `source` in `folder`, after linking or copying it there: at no time is it there in part."""
    path = folder / source.name
    if linked and path.exists() and path.samefile(source):
        return path
    with write_atomically(path) as temporary:
        if not (linked and _link(source, temporary)):
            shutil.copyfile(source, temporary)
    return path


def _link(source: Path, temporary: Path) -> bool:
    """Whether the file system could make `temporary` a hard link to `source`."""
    try:
        temporary.unlink()
        temporary.hardlink_to(source.resolve())
    except OSError:  # another file system, or one without links
        return False
    return True


def _keep(folder: Path, bands: Sequence[str], job: Job, found: _Found) -> list[FrameRow]:
    """The rows of a field's frames; none, and each one refused and removed, where a band or the inspection fails."""
    lacking = [band for band in bands if band not in found.frames]
    if lacking:
        cause = f"field {job.field_id} has no usable frame in {', '.join(lacking)}"
        remedy = f"supply {', '.join(frame_name(band, job.field_id) for band in lacking)}"
        return _refuse(found, cause, remedy)
    try:
        inspection = inspect_field(found.frames)
    except InspectionError as error:
        return _refuse(found, f"field {job.field_id}: {error.cause}", error.remedy)
    write_inspection(folder / sources_name(job.field_id), inspection, job.field_id)
    return [describe(found.paths[band], found.frames[band], job.origin, inspection) for band in bands]


def _refuse(found: _Found, cause: str, remedy: str) -> list[FrameRow]:
    for band, path in found.paths.items():
        path.unlink(missing_ok=True)
        found.refused.append(Refusal(file=found.shown[band], cause=cause, remedy=remedy))
    return []
