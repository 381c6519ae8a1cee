"""Tiles drawn to where a command says: a file, which appears whole, or a pipe or device, which is written into."""

import errno
import math
import os
import re
import shutil
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

import numpy as np
from tqdm import tqdm

from skygen.files import write_atomically
from skygen.formats.encode import IN_PARTS, MEDIA_TYPES, Format, encode, head, part
from skygen.tile import Tile

if TYPE_CHECKING:  # torch takes a second to import: a wrong command ends without it
    from skygen.engines import EngineName

A_STEP: Final = 64  # tiles that are drawn and written at once: several passes for every core
MOST_WHOLE_BYTES: Final = 2**28  # of flux, of what is encoded as one
STDOUT: Final = Path("-")
_OPEN: Final = re.compile(r"/dev/(?:fd/(\d+)|std(out|err))|/proc/(?:self|thread-self)/fd/(\d+)")
_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NUMBERS: Final = {"out": 1, "err": 2}


def draw_to(
    output: Path,
    name: Format | None,
    folder: Path,
    engine: "EngineName",
    n: int,
    tiles: Callable[[range], Sequence[Tile]],
) -> None:
    """Draw the `n` tiles of which `tiles` gives any part, by the bundle in `folder`, and write them to `output`.

    `name` is the format; None is what the suffix says. Progress is shown on a terminal where there is time to watch
    it. Raises `ValueError` for a suffix that names no format, and where more is asked for than fits: before a tile is
    drawn.
    """
    from skygen.bundle import Bundle
    from skygen.provenance import choose_device

    name = name or _format_of(output)
    bundle = Bundle.load(folder, choose_device(), engine)
    card = bundle.card
    shape = (n, len(card.bands), card.size, card.size)
    size_bytes = 4 * math.prod(shape)
    if name not in IN_PARTS and size_bytes > MOST_WHOLE_BYTES:
        raise ValueError(
            f"{n} tiles are {size_bytes / 1e9:.3g} GB of flux, and {name} holds at most {MOST_WHOLE_BYTES / 1e9:.2g} "
            f"({MOST_WHOLE_BYTES * n // size_bytes} tiles of this set); ask for fewer, or for {' or '.join(IN_PARTS)}"
        )
    bundle.observed_under(tiles(range(1)))  # raises for what it cannot draw
    with writing(output, size_bytes if name in IN_PARTS else 0) as stream, _progress(n) as progress:
        if name in IN_PARTS:
            stream.write(head(name, shape))
        whole = []
        for start in range(0, n, A_STEP):
            some = tiles(range(start, min(start + A_STEP, n)))
            flux = bundle.draw_all(some)
            if name in IN_PARTS:
                stream.write(part(flux, name, bundle.origin(some), start))
            else:
                whole.append(flux)
            progress.update(len(some))
        if whole:
            stream.write(encode(np.concatenate(whole), name, bundle.origin(tiles(range(n)))))


def _progress(n: int) -> "tqdm[None]":
    return tqdm(total=n, unit="tile", leave=False, disable=None if n > A_STEP else True)


def _format_of(output: Path) -> Format:
    for name in MEDIA_TYPES:
        if output.suffix == f".{name}":
            return name
    raise ValueError(
        f"{output}: its suffix names no format; end it in one of {', '.join(MEDIA_TYPES)}, or give --format"
    )


@contextmanager
def writing(path: Path, size_bytes: int) -> Iterator[BinaryIO]:
    """A stream to `path` for at least `size_bytes`.

    A file appears whole at the end, with the mode that it had, or as the umask has it; of a link it is the target,
    which may be missing. What is no file is written into, and `-` is stdout. Raises `IsADirectoryError` for a folder,
    and `OSError` where there is less room than `size_bytes`, before anything is written.
    """
    if path == STDOUT:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    if (number := _open_number(path)) is not None:
        with os.fdopen(os.dup(number), "wb") as stream:
            yield stream
        return
    target = path.resolve()
    if target.is_dir():
        raise IsADirectoryError(f"{path} is a folder; name a file in it")
    if target.exists() and not target.is_file():
        with target.open("wb") as stream:
            yield stream
        return
    mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else None
    if target.exists() and not os.access(target, os.W_OK):
        raise PermissionError(f"{path} may not be written; choose another file, or change its mode")
    _check_room(target, size_bytes)
    try:
        with write_atomically(target) as temporary, temporary.open("wb") as stream:
            yield stream
    except OSError as error:
        if error.errno in _FULL:
            raise OSError(error.errno, f"{error.strerror}; nothing is left of it", str(path)) from error
        raise
    if mode is not None:
        target.chmod(mode)


def _open_number(path: Path) -> int | None:
    """The number of an open file that `path` is another name of: opening that name would begin the file anew."""
    found = _OPEN.fullmatch(os.path.abspath(path))  # noqa: PTH100  # resolved it would be the file's own name
    if found is None:
        return None
    number, name, of_process = found.groups()
    return _NUMBERS[name] if name else int(number or of_process)


def _check_room(target: Path, size_bytes: int) -> None:
    folder = next(parent for parent in target.parents if parent.exists())
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < size_bytes:
        raise OSError(
            f"{target} needs {size_bytes / 1e9:.3g} GB, and {folder} has room for {free_bytes / 1e9:.3g} GB; ask for "
            "fewer tiles, or write elsewhere"
        )
