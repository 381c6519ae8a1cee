"""Files judged as the stage frames judges them, field by field, without keeping anything."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from skygen.sky.field import FieldId, parse_frame_name
from skygen.sky.frame import Frame, FrameError, read_frame
from skygen.sky.inspection.inspect import REFERENCE, InspectionError, inspect_field
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


def check_frames(paths: Sequence[Path]) -> Iterator[Accepted | Refusal]:
    """The verdict on each of the files `paths`, those of a field together; causes and remedies are the quarantine's.

    A field whose frame in r is among them is inspected, and refused whole where that fails.
    """
    by_field: dict[FieldId | None, list[Path]] = defaultdict(list)
    for path in paths:
        by_field[_stated_field(path)].append(path)
    for of_field in by_field.values():
        yield from _check_field(of_field)


def _stated_field(path: Path) -> FieldId | None:
    try:
        return parse_frame_name(path.name)[1]
    except ValueError:  # what is wrong with it is for its reader to say
        return None


def _check_field(paths: Sequence[Path]) -> Iterator[Accepted | Refusal]:
    frames: dict[str, Frame] = {}
    shown: dict[str, str] = {}  # by band
    for path in paths:
        name = str(path).encode("utf-8", "backslashreplace").decode()
        try:
            frame = read_frame(path)
        except FileNotFoundError:
            yield Refusal(file=name, cause="there is no such file", remedy="give the path of one")
        except FrameError as error:
            yield Refusal(file=name, cause=error.cause, remedy=error.remedy)
        else:
            if frame.band in frames:
                cause = f"it is the same frame as {shown[frame.band]}"
                yield Refusal(file=name, cause=cause, remedy="keep one of the two")
            else:
                frames[frame.band], shown[frame.band] = frame, name
    try:
        yield from _measure(frames, shown)
    except InspectionError as error:
        for band, frame in frames.items():
            yield Refusal(file=shown[band], cause=f"field {frame.field_id}: {error.cause}", remedy=error.remedy)


def _measure(frames: Mapping[str, Frame], shown: Mapping[str, str]) -> list[Accepted]:
    """What is measured of the frames of a field, by band; raises `InspectionError`."""
    if REFERENCE not in frames:
        noise = {band: pixel_noise(frame.flux_nmgy) for band, frame in frames.items()}
        for band in (band for band, level in noise.items() if level == 0):
            raise InspectionError(f"more than half of the pixels in {band} are equal", "fetch the file again")
        return [Accepted(shown[band], band, frames[band].field_id, level) for band, level in noise.items()]
    found = inspect_field(frames)
    return [
        Accepted(
            shown[band],
            band,
            frame.field_id,
            found.sky_noise_nmgy[band],
            found.psf_fwhm_arcsec[band],
            found.psf_stars[band],
            len(found.sources),
        )
        for band, frame in frames.items()
    ]
