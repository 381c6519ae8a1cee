"""What a folder of downloads holds whole, by hash, in the format of sha256sum."""

import os
import re
from collections.abc import Callable
from pathlib import Path

from skygen.files import sha256_file, write_atomically

SUMS = "SHA256SUMS"
_LINE = re.compile(
    rb"[ \t]*(?P<escaped>\\)?"
    rb"(?:(?P<digest>[0-9a-fA-F]{64})[ \t](?P<mark>[ *](?=.))?(?P<name>.+)"
    rb"|SHA256 ?\((?P<bsd_name>.*)\)[ \t]*=[ \t]*(?P<bsd_digest>[0-9a-fA-F]{64}))",
    re.DOTALL,
)
_ESCAPES = {b"n": b"\n", b"r": b"\r", b"\\": b"\\"}


def read_sums(path: Path) -> tuple[list[tuple[str, str]], dict[int, bytes]]:
    """Name and SHA-256 of each line that `sha256sum --check` would check, and by its number each that it warns of.

    It takes its own form and that of BSD, names with escapes, capitals, comments, empty lines and DOS line ends.
    """
    pairs, bad = [], dict[int, bytes]()
    marked: bool | None = None  # whether two characters part digest and name; sha256sum has the first line decide
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        text = line.removesuffix(b"\r")
        if not text or line.startswith(b"#"):
            continue
        found = _LINE.fullmatch(text)
        name = _name(found, marked) if found else None
        if found is None or name is None:
            bad[number] = text
            continue
        if found["digest"] and marked is None:
            marked = found["mark"] is not None
        pairs.append((os.fsdecode(name), (found["digest"] or found["bsd_digest"]).decode().lower()))
    return pairs, bad


def _name(found: re.Match[bytes], marked: bool | None) -> bytes | None:
    """The name that a line gives, without its escapes; None where sha256sum would not take it."""
    if found["digest"] is None:
        name = found["bsd_name"]
    elif marked is False:
        name = (found["mark"] or b"") + found["name"]
    elif marked and found["mark"] is None:
        return None
    else:
        name = found["name"]
    if found["escaped"]:
        if re.fullmatch(rb"(?:[^\\]|\\[nr\\])*", name, re.DOTALL) is None:
            return None
        name = re.sub(rb"\\(.)", lambda escape: _ESCAPES[escape[1]], name)
    return None if b"\0" in name else name


class Sums:
    """The hashes of the finished files below a folder, by their relative paths."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._unwritten = 0
        # A line that is none does no harm: the file that it stood for is checked and hashed again.
        self._by_name = dict(read_sums(folder / SUMS)[0]) if (folder / SUMS).exists() else {}

    def digest_of(self, path: Path, check: Callable[[Path], None]) -> str | None:
        """The hash of a file that is there as it was recorded, or unrecorded and sound by `check`; None without."""
        if not path.exists():
            return None
        digest, recorded = sha256_file(path), self._by_name.get(self._name(path))
        if recorded is not None:
            return digest if digest == recorded else None
        try:
            check(path)
        except ValueError:
            return None
        return digest

    def add(self, path: Path, digest: str) -> None:
        """Record a finished file; the records are written after so many that writing stays in proportion to them."""
        self._unwritten += self._by_name.get(self._name(path)) != digest
        self._by_name[self._name(path)] = digest
        if self._unwritten > max(32, len(self._by_name) // 8):
            self.write()

    def write(self) -> None:
        """Write the records, whole or not at all, where there are new ones."""
        if self._unwritten:
            there = {name: digest for name, digest in self._by_name.items() if (self._folder / name).exists()}
            lines = [f"{digest}  {name}\n" for name, digest in sorted(there.items())]
            with write_atomically(self._folder / SUMS) as temporary:
                temporary.write_text("".join(lines), encoding="utf-8")
            self._unwritten = 0

    def _name(self, path: Path) -> str:
        return path.relative_to(self._folder).as_posix()
