"""What a folder of frames holds: the files of each field, what they should hash to, and what is of no use.

Links are followed, to files and to folders; every file below the folder is a candidate or has a refusal.
"""

import contextlib
import errno
import os
import re
import stat
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from skygen.files import sha256_file
from skygen.sky.archive.sums import SUMS, read_sums
from skygen.sky.field import FRAME_PATTERN, FieldId, parse_frame_name, parse_raw_name, shown
from skygen.sky.frame import Frame, FrameError, broken_link, is_raw, kind_of, read_frame
from skygen.sky.frame_file import AGAIN
from skygen.sky.manifest import NOTHING_TO_DO, FramesError, Refusal

_FITS = re.compile(r"(frame-|fpC-).*|.*\.fits?(\.[a-z0-9]+)?", re.IGNORECASE | re.DOTALL)
_FRAME_NAMES = re.compile(r"(?:[^\s*(]*/)?frame-[^\s/)]+")  # in a damaged line
_MEND_SUMS = f"mend the {SUMS}, or remove it"
_BRING_BACK = f"put it there, or take its line out of the {SUMS}"
_OTHERS_SHOWN = 100  # files that have nothing of a frame in their names; any more are counted


@dataclass(frozen=True)
class Candidate:
    """A file that by its name is a field's frame in one band."""

    path: Path
    shown: str  # its name in the quarantine table: that below the folder
    band: str
    sha256: tuple[str, ...]  # that it should have, by each line that names it
    unchecked: tuple[str, str] | None = None  # why no `SHA256SUMS` says so though one should, and what to do


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
    sums = _Sums(folder)
    for path in sorted(path for path in files if path.name == SUMS):
        sums.read(path, bands)
    for refusal in refused:  # a SHA256SUMS that is a broken link, say
        if Path(refusal.file).name == SUMS:
            sums.distrust(folder / refusal.file, refusal.cause)
    refused += sums.refused
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
            known[field_id].append(Candidate(path, name, band, *sums.of(path)))
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
            found = look_at(path, folder)
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
    """The frame in a file; raises `FrameError` also where it is gone, or where a `SHA256SUMS` says no, or might."""
    if candidate.unchecked:
        raise FrameError(candidate.path, *candidate.unchecked)
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


def look_at(path: Path, folder: Path) -> int | Refusal:
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


class _Sums:
    """What every `SHA256SUMS` below a folder says, and what is wrong with them.

    A frame is not used unchecked where a line was to check it: where the line that has its name is damaged, or where
    the whole file says nothing and no other that does lists the frame. A file counts for its folder and all below.
    """

    def __init__(self, folder: Path) -> None:
        self.refused: list[Refusal] = []
        self._folder = folder
        self._digests: dict[str, set[str]] = defaultdict(set)  # by the real path, as the next
        self._damaged: dict[str, tuple[str, str]] = {}
        self._distrusted: dict[Path, tuple[str, str]] = {}  # by the folder

    def read(self, path: Path, bands: Sequence[str]) -> None:
        """Take in one file, with a refusal for each frame in `bands` that it lists and that is not there."""
        try:
            pairs, bad = read_sums(path)
        except OSError as error:
            self.distrust(path, f"it cannot be read ({error.strerror})")
            self.refused.append(_refuse(path, self._folder, f"it cannot be read ({error.strerror})", _MEND_SUMS))
            return
        for name, digest in pairs:
            self._digests[os.path.realpath(path.parent / name)].add(digest)
            if _is_missing(path.parent / name, bands):
                cause = f"it is listed in {self._shown(path)}, not there"
                self.refused.append(Refusal(file=self._shown(path.parent / name), cause=cause, remedy=_BRING_BACK))
        if not bad:
            if not pairs:
                self.refused.append(_refuse(path, self._folder, "it lists nothing, and nothing is checked", _MEND_SUMS))
            return
        lines = f"line{'s' if len(bad) > 1 else ''} {', '.join(map(str, list(bad)[:10]))}"
        cause = f"{lines}: not a SHA-256 and a file's name"
        self.refused.append(_refuse(path, self._folder, cause, _MEND_SUMS))
        if not pairs:
            self.distrust(path, cause)
        for number, line in bad.items():
            for name in _FRAME_NAMES.findall(os.fsdecode(line)):
                why = f"it is named in {self._shown(path)}, line {number}, which is not a SHA-256 and a file's name"
                self._damaged[os.path.realpath(path.parent / name)] = why, _MEND_SUMS

    def distrust(self, path: Path, cause: str) -> None:
        """Have no frame used that the `SHA256SUMS` at `path` might list."""
        self._distrusted[path.parent] = f"it cannot be checked by {self._shown(path)}: {cause}", _MEND_SUMS

    def of(self, path: Path) -> tuple[tuple[str, ...], tuple[str, str] | None]:
        """The SHA-256 that a frame should have, by each line that lists it, and why it must not be used unchecked."""
        real = os.path.realpath(path)
        if real in self._digests:
            return tuple(sorted(self._digests[real])), None
        distrusted = (self._distrusted[folder] for folder in path.parents if folder in self._distrusted)
        return (), self._damaged.get(real) or next(distrusted, None)

    def _shown(self, path: Path) -> str:
        return shown(Path(os.path.relpath(path, self._folder)))


def _is_missing(path: Path, bands: Sequence[str]) -> bool:
    """Whether there is no such file, which by its name is a frame in one of `bands`."""
    try:
        if parse_frame_name(path.name)[0] in bands:
            path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):  # one that may be there, in a folder that cannot be read and is refused; or no frame
        return False
    return False
