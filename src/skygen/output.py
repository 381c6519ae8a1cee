"""Tiles drawn to where a command says: a file, which appears whole, or a pipe or device, which is written into."""

import errno
import math
import os
import re
import shutil
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, TypeVar

import numpy as np
from tqdm import tqdm

from skygen.bundle.tile import Rectangle, Tile
from skygen.files import write_atomically
from skygen.formats.catalogue import CATALOGUE_TYPES, CatalogueFormat, catalogue
from skygen.formats.encode import IN_PARTS, MEDIA_TYPES, Format, encode, head, part
from skygen.formats.npy import to_npy
from skygen.formats.origin import Truth

if TYPE_CHECKING:  # torch takes a second to import: a wrong command ends without it
    from skygen.bundle.bundle import Bundle
    from skygen.bundle.engines import EngineName

Name = TypeVar("Name", bound=str)
OF_SKY: Final[tuple[Format, ...]] = ("fits", "npy", "png")
A_STEP: Final = 64  # tiles that are drawn and written at once: several passes for every core
MOST_WHOLE_BYTES: Final = 2**27  # of flux, of what is encoded as one
STDOUT: Final = Path("/dev/stdout")
STDOUT_NUMBER: Final = 1
_OPEN: Final = re.compile(
    r"/dev/(?:fd/(?P<fd>\d+)|std(?P<name>out|err))|/proc/(?P<process>self|thread-self|\d+)/fd/(?P<number>\d+)"
)
_NUMBERS: Final = {"out": STDOUT_NUMBER, "err": 2}
_MOST_LINKS: Final = 40  # one after the other, as the kernel has it


@dataclass(frozen=True)
class Asked:
    """What a command is to write: an image file, its format if the suffix is not to say it, and what lies in it.

    `truth` puts tables TRUTH into a FITS file; `catalogue` is a file for all objects together; `min_snr` is the least
    signal-to-noise ratio of an object in both.
    """

    output: Path
    name: Format | None = None
    truth: bool = False
    catalogue: Path | None = None
    min_snr: float = 0.0

    def formats(self, allowed: Sequence[Format] = tuple(MEDIA_TYPES)) -> tuple[Format, CatalogueFormat | None]:
        """The formats of both files; raises `ValueError` where there is none, or they are the same file."""
        name = self.name or _format_of(self.output, allowed)
        if name not in allowed:
            raise ValueError(f"{name} is no format of a sky; there is {', '.join(allowed)}")
        if self.truth and name != "fits":
            raise ValueError(f"a table TRUTH is for FITS, and {self.output} is {name}; give --catalogue a file instead")
        if self.catalogue is None:
            return name, None
        if self.catalogue == self.output:
            raise ValueError(f"{self.output}: both the pixels and the catalogue; name two files")
        return name, _format_of(self.catalogue, tuple(CATALOGUE_TYPES))


def draw_to(asked: Asked, folder: Path, engine: "EngineName", n: int, tiles: Callable[[range], Sequence[Tile]]) -> None:
    """Draw the `n` tiles of which `tiles` gives any part, by the bundle in `folder`, and write what is `asked`.

    Progress is shown on a terminal where there is time to watch it. Raises `ValueError` for a suffix that names no
    format, and where more is asked for than fits: before a tile is drawn.
    """
    name, of_catalogue = asked.formats()
    bundle = _load(folder, engine)
    card = bundle.card
    shape = (n, len(card.bands), card.size, card.size)
    size_bytes = 4 * math.prod(shape)
    if name not in IN_PARTS and size_bytes > MOST_WHOLE_BYTES:
        raise ValueError(
            f"{n} tiles are {_size(size_bytes)} of flux, and {name} holds at most {_size(MOST_WHOLE_BYTES)} "
            f"({MOST_WHOLE_BYTES * n // size_bytes} tiles of this set); ask for fewer, or for {' or '.join(IN_PARTS)}"
        )
    bundle.conditions_of(tiles(range(1)))  # raises for what it cannot draw
    with_truth = asked.truth or of_catalogue is not None
    if with_truth:
        bundle.truth(tiles(range(1)))
    known: list[Truth] = []
    with _both(asked, size_bytes if name in IN_PARTS else 0) as (stream, table), _progress(n) as progress:
        if name in IN_PARTS:
            stream.write(head(name, shape))
        whole = []
        for start in range(0, n, A_STEP):
            some = tiles(range(start, min(start + A_STEP, n)))
            flux, truths = bundle.draw_all(some), bundle.truth_all(some, asked.min_snr) if with_truth else None
            if name in IN_PARTS:
                stream.write(part(flux, name, bundle.origin(some), start, truths if asked.truth else None))
            else:
                whole.append(flux)
            known += truths or []
            progress.update(len(some))
        if whole:
            stream.write(encode(np.concatenate(whole), name, bundle.origin(tiles(range(n)))))
        if table is not None and of_catalogue is not None:
            table.write(catalogue(known, bundle.origin(tiles(range(n))), of_catalogue))


def draw_sky_to(asked: Asked, folder: Path, rectangle: Rectangle) -> None:
    """Draw a rectangle of a seed's sky by the bundle in `folder`, and write what is `asked`. Raises as `draw_to`."""
    name, of_catalogue = asked.formats(OF_SKY)
    bundle = _load(folder, "auto")
    origin = bundle.sky_origin(rectangle)  # raises where there is no sky
    with _both(asked, 4 * len(origin.bands) * rectangle.width * rectangle.height) as (stream, table):
        flux = bundle.sky(rectangle)
        truth = bundle.sky_truth(rectangle, asked.min_snr) if asked.truth or of_catalogue else None
        truths = [truth] if truth is not None and asked.truth else None
        stream.write(to_npy(flux) if name == "npy" else encode(flux[None], name, origin, truths))
        if table is not None and truth is not None and of_catalogue is not None:
            table.write(catalogue([truth], origin, of_catalogue))


def _load(folder: Path, engine: "EngineName") -> "Bundle":
    from skygen.bundle.bundle import Bundle
    from skygen.provenance import choose_device

    return Bundle.load(folder, choose_device(), engine)


@contextmanager
def _both(asked: Asked, size_bytes: int) -> Iterator[tuple[BinaryIO, BinaryIO | None]]:
    """Streams to the image file, for at least `size_bytes`, and to the catalogue, if any; see `writing`."""
    with ExitStack() as stack:
        stream = stack.enter_context(writing(asked.output, size_bytes))
        yield stream, None if asked.catalogue is None else stack.enter_context(writing(asked.catalogue, 0))


def _progress(n: int) -> "tqdm[None]":
    return tqdm(total=n, unit="tile", leave=False, disable=None if n > A_STEP else True)


def _format_of(file: Path, allowed: Sequence[Name]) -> Name:
    for name in allowed:
        if file.suffix == f".{name}":
            return name
    raise ValueError(f"{file}: its suffix names no format; end it in one of {', '.join(allowed)}, or give --format")


@contextmanager
def writing(path: Path, size_bytes: int) -> Iterator[BinaryIO]:
    """A stream to `path` for at least `size_bytes`.

    A file appears whole at the end, with the mode that it had, or as the umask has it; of a link it is the target,
    which may be missing. What is no file, or is open already, is written into. Raises `OSError` with a sentence where
    it cannot be written, or has less room than `size_bytes`, the latter before anything is written; `BrokenPipeError`
    where who reads it has gone.
    """
    try:
        with _opened(path, size_bytes) as stream:
            yield stream
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.errno is None:  # a sentence of ours
            raise
        raise OSError(f"{path} cannot be written: {error.strerror}; see to it, or choose another --output") from error


@contextmanager
def _opened(path: Path, size_bytes: int) -> Iterator[BinaryIO]:
    if (number := _open_number(path)) is not None:
        if number == STDOUT_NUMBER and sys.stdout is None:  # closed; the number may be that of any other file by now
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        with os.fdopen(os.dup(number), "wb") as stream:
            yield stream
        return
    kind = _kind(path)
    if kind and not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
        with path.open("wb") as stream:
            yield stream
        return
    target = Path(os.path.realpath(path))  # the target of a link, as long as it is none of ours to judge
    _check_file(path, target, kind)
    _check_room(path, target, size_bytes)
    with write_atomically(target) as temporary, temporary.open("wb") as stream:
        yield stream


def _open_number(path: Path) -> int | None:
    """The number of an open file of this process that `path` is, or leads to: it may be a pipe, or appended to."""
    for _ in range(_MOST_LINKS):
        found = _OPEN.fullmatch(os.path.abspath(path))  # noqa: PTH100  # resolved it would be the file's own name
        if found is not None and (found["process"] in (None, "self", "thread-self", str(os.getpid()))):
            return _NUMBERS[found["name"]] if found["name"] else int(found["fd"] or found["number"])
        if not path.is_symlink():
            return None
        path = path.parent / path.readlink()
    return None


def _kind(path: Path) -> int | None:
    """The mode of what is at `path`, or where a link leads; None where there is nothing yet."""
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return None


def _check_file(path: Path, target: Path, kind: int | None) -> None:
    if kind and stat.S_ISDIR(kind):
        raise IsADirectoryError(f"{path} is a folder; name a file in it")
    if kind and not os.access(target, os.W_OK):
        raise PermissionError(f"{path} may not be written; choose another --output, or change its mode")
    folder = _folder_of(target)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(
            f"{path}: nothing may be written in {folder}; choose another --output, or change its mode"
        )


def _check_room(path: Path, target: Path, size_bytes: int) -> None:
    folder = _folder_of(target)
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < size_bytes:
        raise OSError(
            f"{path} needs {_size(size_bytes)}, and {folder} has room for {_size(free_bytes)}; ask for fewer tiles, or "
            "write elsewhere"
        )


def _folder_of(target: Path) -> Path:
    """The nearest folder above `target` that there is; what is missing below it is made."""
    folder = next(parent for parent in target.parents if parent.exists())
    if not folder.is_dir():
        raise NotADirectoryError(f"{target}: {folder} is no folder; choose another --output")
    return folder


def _size(size_bytes: int) -> str:
    return str(tqdm.format_sizeof(size_bytes, "B"))
