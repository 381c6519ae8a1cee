"""The work on one field, for a worker of any kind: get its frames, inspect it, write what is kept, record the outcome.

The record is written last and whole: where it is found, a run that was stopped need not do the field again.
"""

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from skygen.files import read_json, write_atomically, write_json
from skygen.params import Section
from skygen.sky.field import FieldId, frame_name, sources_name
from skygen.sky.frame import Frame, FrameError
from skygen.sky.frame_file import AGAIN
from skygen.sky.frame_format import write_frame
from skygen.sky.inspection.inspect import InspectionError, inspect_field, write_inspection
from skygen.sky.listing import Candidate, read_candidate, repeated
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
        return f"{self!r} {[_state(candidate.path) for candidate in self.candidates]}"


Job = SimulatedField | ListedField


def _state(path: Path) -> tuple[int, int] | None:
    """Size and time of a file's last change; None where it cannot be asked."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


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
    found, used = _Found(), dict[str, Candidate]()
    for candidate in sorted(job.candidates, key=_rank):
        if candidate.band in used:
            first = used[candidate.band]
            found.refused.append(repeated(candidate.path, candidate.shown, first.path, first.shown))
            continue
        try:
            frame = read_candidate(candidate)
        except FrameError as error:
            # What was downloaded is not asked for again while it is there.
            remedy = f"remove {candidate.path} and run again" if job.linked and error.remedy == AGAIN else error.remedy
            found.refused.append(Refusal(file=candidate.shown, cause=error.cause, remedy=remedy))
        else:
            found.add(frame, _place(candidate.path, folder, job.linked), candidate.shown)
            used[candidate.band] = candidate
    return found


def _rank(candidate: Candidate) -> tuple[bool, bool, str]:
    """The order of files of the same frame: those with a checksum inside, then files before links to them."""
    return candidate.path.suffix.lower() not in (".bz2", ".gz"), candidate.path.is_symlink(), candidate.shown


def _place(source: Path, folder: Path, linked: bool) -> Path:
    """The path of `source` in `folder`, after linking or copying it there: at no time is it there in part."""
    path = folder / source.name
    if linked and path.exists() and path.samefile(source):
        return path
    if not (linked and _link(source, path)):
        with write_atomically(path) as temporary:
            shutil.copyfile(source, temporary)
    return path


def _link(source: Path, path: Path) -> bool:
    """Whether the file system could make `path` a hard link to `source`; a file that was there is gone."""
    try:
        path.unlink(missing_ok=True)
        path.hardlink_to(source.resolve())
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
