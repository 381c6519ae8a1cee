"""A page for each package of the library, which autodoc fills from the docstrings."""

import re
from importlib import import_module
from pathlib import Path

from sphinx.application import Sphinx

LIBRARY = Path(__file__).parents[3] / "src/skygen"


def write_api(app: Sphinx) -> None:
    """Write a page of the library for each of its packages, and one for its single modules."""
    import_module("serving.app")
    folder = Path(app.srcdir) / "reference/api"
    folder.mkdir(exist_ok=True)
    packages = sorted(path.parent for path in LIBRARY.rglob("__init__.py"))
    written = set()
    for package in packages:
        modules = sorted(path for path in package.glob("*.py") if path.name != "__init__.py" or path.read_text())
        if modules:
            name = ".".join(package.relative_to(LIBRARY.parent).parts)
            page = folder / f"{name}.md"
            page.write_text("\n\n".join([f"# {name}", *map(_module, modules)]) + "\n", encoding="utf-8")
            written.add(page)
    for left in set(folder.glob("*.md")) - written:
        left.unlink()


def _module(path: Path) -> str:
    parts = path.relative_to(LIBRARY.parent).with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    import_module(name)  # now: autodoc rewrites annotations, and pydantic can then make no more models
    members = "\n   :no-members:" if parts[-1] == "__init__" else ""  # those of its modules
    return f"## {name}\n\n```{{eval-rst}}\n.. automodule:: {name}{members}\n```"


def plain(app: Sphinx, what: str, name: str, its: object, options: object, lines: list[str]) -> None:
    """Make a docstring, which is plain text with `code` in it, into sound reStructuredText."""
    del app, what, name, its, options
    made: list[str] = []
    for paragraph in re.split(r"\n\s*\n", "\n".join(lines).strip("\n")):
        block = paragraph.split("\n")
        if all(line.startswith("    ") for line in block):
            made += ["::", "", *block, ""]
        elif any(re.match(r"\s", line) for line in block):
            made += ["::", "", *("    " + line for line in block), ""]
        else:
            made += [_escaped(line) for line in block] + [""]
    lines[:] = made


def _escaped(line: str) -> str:
    """A line with its `code` kept from what reStructuredText would read in or around it."""
    parts = re.split(r"(`[^`]+`)", line)
    return "".join(_role(part) if part[:1] == "`" and len(part) > 2 else _without_markup(part) for part in parts)


def _role(part: str) -> str:
    return "\\ :code:" + part.replace("\\", r"\\") + "\\ "


def _without_markup(text: str) -> str:
    return re.sub(r"([\\*_|`])", r"\\\1", text)
