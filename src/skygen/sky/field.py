"""The name of a piece of sky: run, camcol, field; and the frame files that show it."""

import os
import re
from dataclasses import dataclass

FRAME_PATTERN = "frame-BAND-RUN-CAMCOL-FIELD.fits"  # six digits of run, four of field
_FIELD = re.compile(r"([0-9]{1,6})-([1-6])-([0-9]{1,4})")
_PACKED = r"(?:\.(?:bz2|gz|fz|z|zip|xz|zst|7z|lz4))?"  # whether one is read, its content says
_NAME = re.compile(rf"frame-([ugriz])-([0-9]{{6}})-([1-6])-([0-9]{{4}})\.fits{_PACKED}", re.IGNORECASE | re.ASCII)
_RAW_NAME = re.compile(rf"fpC-([0-9]{{6}})-([ugriz])([1-6])-([0-9]{{4}})\.fits?{_PACKED}", re.IGNORECASE | re.ASCII)


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
        raise ValueError(
            f"{name!r} is not a frame's name; it must read {FRAME_PATTERN}, or so with .bz2, .gz or .fz at its end"
        )
    band, run, camcol, field = found.groups()
    return band.lower(), FieldId(int(run), int(camcol), int(field))


def parse_raw_name(name: str) -> tuple[str, FieldId] | None:
    """The band and the field that the name of a raw, uncalibrated image (fpC) states; None for any other name."""
    found = _RAW_NAME.fullmatch(name)
    if found is None:
        return None
    run, band, camcol, field = found.groups()
    return band.lower(), FieldId(int(run), int(camcol), int(field))


def sources_name(field_id: FieldId) -> str:
    """The file name of what was found in a field, such as `sources-000094-1-0012.fits`."""
    return f"sources-{field_id.run:06d}-{field_id.camcol}-{field_id.field:04d}.fits"


def shown(path: str | os.PathLike[str]) -> str:
    """The name of a file as it can be printed in one line: what is no text, and what would break it, as its code."""
    name = os.fspath(path).encode("utf-8", "backslashreplace").decode()
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in name)
