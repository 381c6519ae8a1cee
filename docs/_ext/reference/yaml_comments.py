"""params.yaml with its comments: a key's value as it is written, and the comment that stands beside or above it."""

import re
from pathlib import Path
from typing import NamedTuple

_LINE = re.compile(r"^(?P<indent> *)(?P<key>[\w-]+):(?: (?P<value>[^#]*?))?(?:\s*#\s(?P<comment>.*))?$")


class Entry(NamedTuple):
    """What a key is given, empty for a section, and what is said of it."""

    value: str
    comment: str


def read(path: Path) -> dict[tuple[str, ...], Entry]:
    """Every key of the file by its path, in the file's order. Block style, an indent of two spaces."""
    found: dict[tuple[str, ...], Entry] = {}
    keys: list[str] = []
    above: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.lstrip().startswith("#"):
            above.append(line.strip("# "))
        elif match := _LINE.match(line):
            keys[len(match["indent"]) // 2 :] = [match["key"]]
            value = re.sub(r"^[&][\w-]+\s*", "", (match["value"] or "").strip())
            found[tuple(keys)] = Entry(value, " ".join(filter(None, [*above, match["comment"]])))
            above = []
        else:
            above = []
    return found
