"""What a folder of frames holds: the files of each field, what they should hash to, and what is of no use."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from skygen.sky.archive.sums import SUMS
from skygen.sky.field import FieldId, parse_frame_name, parse_raw_name
from skygen.sky.frame import is_raw
from skygen.sky.manifest import FramesError, Refusal

_SUM = re.compile(r"([0-9a-f]{64}) [ *](.+)")
_FITS = re.compile(r"(frame-|fpC-).*|.*\.fits?(\.bz2|\.gz|\.fz|\.Z)?", re.IGNORECASE)


@dataclass(frozen=True)
class Candidate:
    """A file that by its name is a field's frame in one band."""

    path: Path
    shown: str  # its name in the quarantine table: that below the folder
    band: str
    sha256: str | None  # that it should have


def list_folder(folder: Path, bands: Sequence[str]) -> tuple[dict[FieldId, list[Candidate]], list[Refusal]]:
    """The frames in `bands` below `folder` by field, both in order, and the FITS files that are none of them.

    Raises `FramesError` where there is no frame at all.
    """
    sums = read_sums(folder / SUMS)
    known: dict[FieldId, list[Candidate]] = defaultdict(list)
    refused = []
    for path in sorted(path for path in folder.rglob("*") if _FITS.fullmatch(path.name) and not path.is_dir()):
        shown = path.relative_to(folder).as_posix().encode("utf-8", "backslashreplace").decode()
        try:
            band, field_id = parse_frame_name(path.name)
        except ValueError:
            refused.append(_no_frame(shown, path.name))
            continue
        if band in bands:
            known[field_id].append(Candidate(path, shown, band, sums.get(shown)))
        else:
            remedy = "none needed, or name the band in a tile set"
            refused.append(Refusal(file=shown, cause=f"no tile set uses band {band}", remedy=remedy))
    if not known:
        raise FramesError(
            f"{folder} {'holds no frames' if folder.is_dir() else 'is not a folder'}; put the survey's "
            f"frame-BAND-RUN-CAMCOL-FIELD.fits.bz2 there, in {', '.join(bands)}, or set frames.folder to where they are"
            + "".join(f"\n  {refusal}" for refusal in refused[:100])
        )
    return dict(sorted(known.items())), refused


def _no_frame(shown: str, name: str) -> Refusal:
    raw = parse_raw_name(name)
    if raw is not None:
        found = is_raw(*raw)
        return Refusal(file=shown, cause=found.cause, remedy=found.remedy)
    cause = "its name is not a frame's, which reads frame-BAND-RUN-CAMCOL-FIELD.fits or .fits.bz2"
    return Refusal(file=shown, cause=cause, remedy="none needed if it is no frame; else give it its name back")


def read_sums(path: Path) -> Mapping[str, str]:
    """The SHA-256 by file that `sha256sum` wrote to `path`; none where there is no such file.

    Raises `FramesError` where a line is not one of its.
    """
    if not path.is_file():
        return {}
    sums = {}
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        found = _SUM.fullmatch(line)
        if found is None:
            raise FramesError(
                f"{path}, line {number}: not a SHA-256 and a file's name; mend the line or remove the file"
            )
        sums[found.group(2).removeprefix("./")] = found.group(1)
    return sums
