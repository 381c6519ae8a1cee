"""Tables of Markdown."""

import re
from collections.abc import Sequence


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *([_cell(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _cell(text: str) -> str:
    """Text on one line of a table, with nothing in it that Markdown reads as HTML or emphasis outside of code."""
    parts = re.split(r"(`[^`]*`)", " ".join(text.split()))
    plain = [part if part.startswith("`") else re.sub(r"([<*\[])", r"\\\1", part) for part in parts]
    return "".join(plain).replace("|", r"\|")


def code(value: object) -> str:
    """A value as code, or nothing where there is none."""
    return "" if value in (None, "") else f"`{value}`"
