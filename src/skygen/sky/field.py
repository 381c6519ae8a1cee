"""The name of a piece of sky: run, camcol, field; and the frame files that show it."""

import re
from dataclasses import dataclass

_FIELD = re.compile(r"([0-9]{1,6})-([1-6])-([0-9]{1,4})")
_NAME = re.compile(r"frame-([ugriz])-([0-9]{6})-([1-6])-([0-9]{4})\.fits(\.bz2)?")
_RAW_NAME = re.compile(r"fpC-([0-9]{6})-([ugriz])([1-6])-([0-9]{4})\.fit(\.gz)?")


@dataclass(frozen=True, order=True)
class FieldId:
    """A field of the survey, named by imaging run, camera column (1 to 6) and field number within the run."""

    run: int
    camcol: int
    field: int

    def __str__(self) -> str:
        return f"{self.run}-{self.camcol}-{self.field}"

    @classmethod
    def parse(cls, text: str) -> "FieldId":
        """The field that `text` names, such as 94-1-12; raises `ValueError` for what is no run-camcol-field."""
        found = _FIELD.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} names no field; it must read RUN-CAMCOL-FIELD, such as 94-1-12")
        run, camcol, field = found.groups()
        return cls(int(run), int(camcol), int(field))


def frame_name(band: str, field_id: FieldId, compressed: bool = True) -> str:
    """The survey's file name of a field's frame in one band, such as `frame-r-000094-1-0012.fits.bz2`."""
    stem = f"frame-{band}-{field_id.run:06d}-{field_id.camcol}-{field_id.field:04d}.fits"
    return f"{stem}.bz2" if compressed else stem


def parse_frame_name(name: str) -> tuple[str, FieldId]:
    """The band and the field that a frame's file name states; raises `ValueError` for any other name."""
    found = _NAME.fullmatch(name)
    if found is None:
        raise ValueError(f"{name!r} is not a frame's name; it must read frame-BAND-RUN-CAMCOL-FIELD.fits or .fits.bz2")
    band, run, camcol, field, _ = found.groups()
    return band, FieldId(int(run), int(camcol), int(field))


def parse_raw_name(name: str) -> tuple[str, FieldId] | None:
    """The band and the field that the name of a raw, uncalibrated image (fpC) states; None for any other name."""
    found = _RAW_NAME.fullmatch(name)
    if found is None:
        return None
    run, band, camcol, field, _ = found.groups()
    return band, FieldId(int(run), int(camcol), int(field))


def sources_name(field_id: FieldId) -> str:
    """The file name of what was found in a field, such as `sources-000094-1-0012.fits`."""
    return f"sources-{field_id.run:06d}-{field_id.camcol}-{field_id.field:04d}.fits"
