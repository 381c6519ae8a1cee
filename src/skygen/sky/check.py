"""Files judged as the stage frames judges them, field by field, without keeping anything."""

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from skygen.sky.field import FieldId, parse_frame_name, shown
from skygen.sky.frame import Frame, FrameError
from skygen.sky.inspection.inspect import REFERENCE, InspectionError, inspect_field
from skygen.sky.listing import Candidate, find_frames, read_candidate, repeated
from skygen.sky.manifest import Refusal
from skygen.sky.noise import pixel_noise


@dataclass(frozen=True)
class Accepted:
    """A usable frame; its PSF, and the sources of its field, where the field's frame in r was there to find stars."""

    file: str
    band: str
    field_id: FieldId
    sky_noise_nmgy: float
    psf_fwhm_arcsec: float | None = None
    psf_stars: int | None = None
    sources: int | None = None

    def __str__(self) -> str:
        said = f"{self.file}: {self.band} of field {self.field_id}, sky noise {self.sky_noise_nmgy:.4f} nmgy"
        if self.psf_fwhm_arcsec is None:
            return f"{said}; PSF and sources not measured: that takes the field's frame in {REFERENCE}"
        return f"{said}, PSF {self.psf_fwhm_arcsec:.2f} arcsec by {self.psf_stars} stars, {self.sources} sources"


def find_given(paths: Sequence[Path]) -> tuple[list[Candidate], list[Refusal]]:
    """The files to judge: those given, and the frames in any band below the folders given; and what else lies there."""
    found: list[Candidate] = []
    refused: list[Refusal] = []
    for path in paths:
        if _stated_field(path) and not os.path.lexists(path):  # of any other name, that is what is said
            refused.append(Refusal(file=shown(path), cause="there is no such file", remedy="give the path of one"))
            continue
        if not path.is_dir():
            found.append(Candidate(path, shown(path), "", ()))
            continue
        known, others = find_frames(path, "ugriz")
        found += [replace(frame, shown=shown(frame.path)) for of_field in known.values() for frame in of_field]
        refused += [other.model_copy(update={"file": f"{shown(path)}/{other.file}"}) for other in others]
        if not known:
            refused.append(Refusal(file=shown(path), cause="it holds no frames", remedy="give a folder with frames"))
    return found, refused


def check_frames(candidates: Sequence[Candidate]) -> Iterator[Accepted | Refusal]:
    """The verdict on each of the files, those of a field together; causes and remedies are the quarantine's.

    A field whose frame in r is among them is inspected, and refused whole where that fails.
    """
    by_field: dict[FieldId | None, list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        by_field[_stated_field(candidate.path)].append(candidate)
    for of_field in by_field.values():
        yield from _check_field(of_field)


def _stated_field(path: Path) -> FieldId | None:
    try:
        return parse_frame_name(path.name)[1]
    except ValueError:  # what is wrong with it is for its reader to say
        return None


def _check_field(candidates: Sequence[Candidate]) -> Iterator[Accepted | Refusal]:
    frames: dict[str, Frame] = {}
    used: dict[str, Candidate] = {}  # by band
    for candidate in candidates:
        try:
            frame = read_candidate(candidate)
        except FrameError as error:
            yield Refusal(file=candidate.shown, cause=error.cause, remedy=error.remedy)
        else:
            if frame.band in frames:
                first = used[frame.band]
                yield repeated(candidate.path, candidate.shown, first.path, first.shown)
            else:
                frames[frame.band], used[frame.band] = frame, candidate
    names = {band: candidate.shown for band, candidate in used.items()}
    try:
        yield from _measure(frames, names)
    except InspectionError as error:
        for band, frame in frames.items():
            yield Refusal(file=names[band], cause=f"field {frame.field_id}: {error.cause}", remedy=error.remedy)


def _measure(frames: Mapping[str, Frame], names: Mapping[str, str]) -> list[Accepted]:
    """What is measured of the frames of a field, by band; raises `InspectionError`."""
    if REFERENCE not in frames:
        noise = {band: pixel_noise(frame.flux_nmgy) for band, frame in frames.items()}
        for band in (band for band, level in noise.items() if level == 0):
            raise InspectionError(f"more than half of the pixels in {band} are equal", "fetch the file again")
        return [Accepted(names[band], band, frames[band].field_id, level) for band, level in noise.items()]
    found = inspect_field(frames)
    return [
        Accepted(
            names[band],
            band,
            frame.field_id,
            found.sky_noise_nmgy[band],
            found.psf_fwhm_arcsec[band],
            found.psf_stars[band],
            len(found.sources),
        )
        for band, frame in frames.items()
    ]
