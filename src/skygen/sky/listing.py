"""What a folder of frames holds: the files of each field, what they should hash to, and what is of no use.

Links are followed, to files and to folders; every file below the folder is a candidate or has a refusal.
"""

import contextlib
import errno
import os
import re
import stat
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from skygen.files import sha256_file
from skygen.sky.archive.sums import SUMS, read_sums
from skygen.sky.field import FRAME_PATTERN, FieldId, parse_frame_name, parse_raw_name, shown
from skygen.sky.frame import Frame, FrameError, broken_link, is_raw, kind_of, read_frame
from skygen.sky.frame_file import AGAIN
from skygen.sky.manifest import NOTHING_TO_DO, FramesError, Refusal

_FITS = re.compile(r"(frame-|fpC-).*|.*\.fits?(\.[a-z0-9]+)?", re.IGNORECASE | re.DOTALL)
_OTHERS_SHOWN = 100  # files that have nothing of a frame in their names; any more are counted


@dataclass(frozen=True)
class Candidate:
    """A file that by its name is a field's frame in one band."""

    path: Path
    shown: str  # its name in the quarantine table: that below the folder
    band: str
    sha256: tuple[str, ...]  # that it should have, by each line that names it


def list_folder(folder: Path, bands: Sequence[str]) -> tuple[dict[FieldId, list[Candidate]], list[Refusal]]:
    """The frames in `bands` below `folder` by field, both in order, and the files that are none of them.

    Raises `FramesError` where there is no frame at all.
    """
    known, refused = find_frames(folder, bands) if folder.is_dir() else ({}, [])
    if not known:
        raise FramesError(
            f"{folder} {'holds no frames' if folder.is_dir() else 'is not a folder'}; put the survey's {FRAME_PATTERN}"
            f".bz2 there, in {', '.join(bands)}, or set frames.folder to where they are"
            + "".join(f"\n  {refusal}" for refusal in refused[:100])
        )
    return known, refused


def find_frames(folder: Path, bands: Sequence[str]) -> tuple[dict[FieldId, list[Candidate]], list[Refusal]]:
    """The same where there may be none."""
    known: dict[FieldId, list[Candidate]] = defaultdict(list)
    files, refused = walk(folder)
    sums, of_sums = _read_all_sums(folder, files)
    refused += of_sums
    others: list[Refusal] = []
    for path in sorted(files):
        name = shown(path.relative_to(folder))
        try:
            band, field_id = parse_frame_name(path.name)
        except ValueError:
            if path.name != SUMS:
                (refused if _FITS.fullmatch(path.name) else others).append(_no_frame(name, path.name))
            continue
        if band in bands:
            known[field_id].append(Candidate(path, name, band, tuple(sorted(sums.get(os.path.realpath(path), ())))))
        else:
            remedy = f"{NOTHING_TO_DO}, or name the band in a tile set"
            refused.append(Refusal(file=name, cause=f"no tile set uses band {band}", remedy=remedy))
    refused += others[:_OTHERS_SHOWN]
    if len(others) > _OTHERS_SHOWN:
        cause = f"{len(others) - _OTHERS_SHOWN} further files have no frame's name, the last {others[-1].file}"
        refused.append(Refusal(file=".", cause=cause, remedy=f"{NOTHING_TO_DO} if they are no frames"))
    return dict(sorted(known.items())), refused


def walk(folder: Path) -> tuple[list[Path], list[Refusal]]:
    """The regular files below `folder`, and what else is there but folders that can be listed.

    Links are followed after all that lies there itself. One to a folder that holds it ends there, and one to a folder
    that was listed by another way is said to be one: nothing is listed twice.
    """
    files: list[Path] = []
    refused: list[Refusal] = []
    waiting, links = [folder], list[Path]()
    listed: dict[str, Path] = {}  # by the real path
    while waiting or links:
        place = waiting.pop() if waiting else links.pop(0)
        real = os.path.realpath(place)
        if real in listed or _holds(real, place.parent if place != folder else None):
            refused.append(_listed_already(place, folder, listed.get(real)))
            continue
        listed[real] = place
        try:
            entries = sorted(os.scandir(place), key=lambda entry: entry.name, reverse=True)
        except OSError as error:
            cause = f"the folder cannot be read ({error.strerror})"
            refused.append(_refuse(place, folder, cause, "see to its permissions and its disk"))
            continue
        for entry in reversed(entries):
            path = Path(entry.path)
            found = _look_at(path, folder)
            if isinstance(found, Refusal):
                refused.append(found)
            elif stat.S_ISREG(found):
                files.append(path)
            else:
                (links if entry.is_symlink() else waiting).append(path)
                if _FITS.fullmatch(path.name):
                    cause = "it is a folder, not a frame; what is in it is looked at"
                    refused.append(_refuse(path, folder, cause, NOTHING_TO_DO))
    return files, refused


def read_candidate(candidate: Candidate) -> Frame:
    """The frame in a file; raises `FrameError` also where it is gone, or is not what a `SHA256SUMS` says."""
    try:
        frame = read_frame(candidate.path)
    except FileNotFoundError as error:
        raise FrameError(candidate.path, "it is gone", "put it back") from error
    if candidate.sha256 and candidate.sha256 != (sha256_file(candidate.path),):
        raise FrameError(candidate.path, f"its SHA-256 is not the one that {SUMS} lists", AGAIN)
    return frame


def repeated(path: Path, name: str, used: Path, used_name: str) -> Refusal:
    """Why the frame at `path` is left out where that at `used` is used."""
    with contextlib.suppress(OSError):  # one of them is gone by now
        if path.samefile(used):
            cause = f"it is the same file as {used_name}, reached by another way"
            return Refusal(file=name, cause=cause, remedy=NOTHING_TO_DO)
    return Refusal(file=name, cause=f"it is the same frame as {used_name}", remedy="keep one of the two")


def _holds(real: str, place: Path | None) -> bool:
    """Whether `place` lies within the folder at the real path `real`: a link there to that would go round for ever."""
    return place is not None and Path(os.path.realpath(place)).is_relative_to(real)


def _look_at(path: Path, folder: Path) -> int | Refusal:
    """The mode of what is at `path`, at the end of any links; a refusal where it is neither file nor folder."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return _refuse(path, folder, *(broken_link(path) if path.is_symlink() else ("it is gone", "put it back")))
    except OSError as error:
        if error.errno == errno.ELOOP:
            return _refuse(path, folder, "it is a link that leads back to itself", "mend the link, or remove it")
        return _refuse(path, folder, f"it cannot be reached ({error.strerror})", "see to its permissions and its disk")
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return mode
    return _refuse(path, folder, f"it is no regular file, but {kind_of(mode)}", "put the file itself there")


def _listed_already(place: Path, folder: Path, known: Path | None) -> Refusal:
    if known is None or known == folder:
        cause = "it is a link to a folder that holds it, and not followed"
    else:
        cause = f"it is the same folder as {shown(known.relative_to(folder))}, where its files are listed"
    return _refuse(place, folder, cause, NOTHING_TO_DO)


def _refuse(path: Path, folder: Path, cause: str, remedy: str) -> Refusal:
    return Refusal(file=shown(path.relative_to(folder)), cause=cause, remedy=remedy)


def _no_frame(name: str, own_name: str) -> Refusal:
    raw = parse_raw_name(own_name)
    if raw is not None:
        found = is_raw(*raw)
        return Refusal(file=name, cause=found.cause, remedy=found.remedy)
    cause = f"its name is not a frame's, which reads {FRAME_PATTERN}, or so with .bz2, .gz or .fz"
    remedy = f"{NOTHING_TO_DO} if it is no frame; else give it its name back"
    return Refusal(file=name, cause=cause, remedy=remedy)


def _read_all_sums(folder: Path, files: Iterable[Path]) -> tuple[dict[str, set[str]], list[Refusal]]:
    """The SHA-256 of files by their real paths, by every `SHA256SUMS` among `files`; and what in these is no line.

    Raises `FramesError` where one of them has no line that sha256sum would check, or cannot be read.
    """
    sums: dict[str, set[str]] = defaultdict(set)
    refused = []
    for path in (path for path in files if path.name == SUMS):
        try:
            pairs, bad = read_sums(path)
        except OSError as error:
            raise FramesError(f"{path} cannot be read ({error.strerror}); mend or remove it") from error
        for name, digest in pairs:
            sums[os.path.realpath(path.parent / name)].add(digest)
        lines = f"line{'s' if len(bad) > 1 else ''} {', '.join(map(str, bad[:10]))}"
        cause = f"{lines}: not a SHA-256 and a file's name"
        if bad and not pairs:
            raise FramesError(f"{path}, {cause}; mend the line or remove the file")
        if bad:
            refused.append(_refuse(path, folder, f"{cause}: not checked", "mend the line, or take it out"))
    return sums, refused
