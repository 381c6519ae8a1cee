"""DVC stage frames: simulated, downloaded or local frames → data/frames. Usage: python pipelines/frames.py [--check]

DVC reads all that lies below `frames.folder` before this stage runs. `--check` makes nothing, but says beforehand, from
names alone, on what DVC would end there with an error of its own or wait for ever; `make repro` asks for it.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from skygen.params import ParamsError, load
from skygen.sky.archive.download import SurveyError
from skygen.sky.collect import collect_frames
from skygen.sky.field import shown
from skygen.sky.listing import look_at
from skygen.sky.manifest import FramesError, Refusal
from skygen.workers import WorkersError

PARAMS = Path("params.yaml")
OUTPUTS = ("data/features", "data/frames", "data/tiles", "dist", "models", "reports")  # what the pipeline writes
_PASSED_BY = {".dvc", ".git", ".hg"}  # folders that DVC does not enter
_SHOWN = 20


def main() -> None:
    """Fill data/frames; leave it as it was, with a message, where that cannot be done."""
    try:
        manifest = collect_frames(load(PARAMS), Path("data/frames"))
    except (ParamsError, FramesError, SurveyError, WorkersError, OSError) as error:
        sys.exit(f"frames: {error}")
    except KeyboardInterrupt:
        sys.exit(130)  # what is finished is kept
    for refusal in manifest.refused:
        print(f"left out {refusal}", file=sys.stderr)
    fields = {row.field_id for row in manifest.frames}
    print(f"{len(manifest.frames)} frames of {len(fields)} fields; {len(manifest.refused)} files left out")


def check() -> None:
    """End with what is wrong with `frames.folder` for DVC; warn of changes that DVC would not see there."""
    try:
        frames = load(PARAMS).frames
    except (ParamsError, OSError) as error:
        sys.exit(f"frames: {error}")
    folder = Path(frames.folder)
    wrong = _place(folder)
    if wrong:
        sys.exit(f"frames: {PARAMS}: frames.folder = {frames.folder!r}: {wrong}")
    links, refused = list[str](), list[Refusal]()
    for found in _what_dvc_meets(folder):
        refused.append(found) if isinstance(found, Refusal) else links.append(shown(found))
    if refused:
        more = [f"and {len(refused) - _SHOWN} more"] if len(refused) > _SHOWN else []
        lines = "\n  ".join([*map(str, refused[:_SHOWN]), *more])
        sys.exit(f"frames: DVC cannot take what lies below {folder}, which is frames.folder:\n  {lines}")
    if links and frames.source == "local":
        _warn_of(links)


def _warn_of(links: list[str]) -> None:
    more = f" and {len(links) - _SHOWN} more" if len(links) > _SHOWN else ""
    print(
        f"frames: DVC sees no change behind links to folders ({', '.join(links[:_SHOWN])}{more}): after one, say "
        ".venv/bin/dvc repro --force frames, and then make repro",
        file=sys.stderr,
    )


def _place(folder: Path) -> str | None:
    """What is wrong with where `folder` is, and what to do."""
    if not folder.is_dir():
        what = "it is not a folder" if os.path.lexists(folder) else "there is no such folder"
        return f"{what}, which DVC asks for whatever the source; make it, or write where the frames are"
    for output in OUTPUTS:
        own, written = folder.resolve(), Path(output).resolve()
        if own.is_relative_to(written) or written.is_relative_to(own):
            return (
                f"the pipeline writes {output}, so that it can neither be in it nor hold it; put the frames elsewhere"
            )
    return None


def _what_dvc_meets(folder: Path) -> Iterator[Refusal | Path]:
    """What DVC cannot hash below `folder`, and the links to folders, which it passes by."""
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(set(folders) - _PASSED_BY)
        yield from (path for name in folders if (path := Path(place, name)).is_symlink())
        for name in sorted(files):
            refusal = _unfit(Path(place, name), folder)
            if refusal:
                yield refusal


def _unfit(path: Path, folder: Path) -> Refusal | None:
    found = look_at(path, folder)
    if isinstance(found, Refusal):
        return found
    name = path.relative_to(folder)
    try:
        os.fspath(name).encode()
    except UnicodeEncodeError:
        return _refusal(name, "its name, or its folder's, is not UTF-8", "rename it")
    if path.name == ".dvcignore":
        return _refusal(name, "DVC allows none in a folder that it hashes", "remove it")
    if not os.access(path, os.R_OK):
        return _refusal(name, "it cannot be read", "see to its permissions")
    return None


def _refusal(name: Path, cause: str, remedy: str) -> Refusal:
    return Refusal(file=shown(name), cause=cause, remedy=remedy)


if __name__ == "__main__":
    check() if sys.argv[1:] == ["--check"] else main()
