"""The command line and make, as their own helps say it."""

import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from reference.json_schema import number
from reference.markdown import code, table

ROOT = Path(__file__).parents[3]


def commands() -> str:
    """The command `skygen` and its commands, as their own helps say it."""
    from skygen.cli import main

    top = click.Context(main, info_name="skygen")
    found = [_paragraphs(main.help)]
    for name, command in main.commands.items():
        inner = click.Context(command, info_name=name, parent=top)
        usage = command.get_usage(inner).removeprefix("Usage: ")
        found += [f"## skygen {name}", f"```text\n{usage}\n```", _paragraphs(command.help)]
        if options := [_option(option, inner) for option in command.params]:
            found.append(table(["option", "values", "default", "meaning"], options))
    return "\n\n".join(found)


def _paragraphs(text: str | None) -> str:
    return re.sub(r"([<*])", r"\\\1", inspect.cleandoc(text or ""))


def _option(option: click.Parameter, context: click.Context) -> list[str]:
    its = option.to_info_dict()
    default = option.get_default(context, call=False)
    shown = code(default) if isinstance(default, str | int | Path) else "none"
    values = ", ".join(map(code, its["type"]["choices"])) if its["type"].get("choices") else _range(its["type"])
    return [
        code(option.opts[0] if isinstance(option, click.Option) else option.human_readable_name.upper()),
        values,
        "must be given" if option.required else shown,
        getattr(option, "help", None) or "",
    ]


def _range(its: Mapping[str, Any]) -> str:
    bounds = [f"from {number(its['min'])}"] if its.get("min") is not None else []
    bounds += [f"to {number(its['max'])}" + " - 1" * (its["max"] > 2**62)] if its.get("max") is not None else []
    return " ".join([its["name"].removesuffix(" range").replace("|", " or "), *bounds])


def make_targets() -> str:
    """Every target of the Makefile with its comment."""
    found = re.findall(r"^([a-z-]+):.*?## (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    return table(["command", "what it does"], [[code(f"make {name}"), what] for name, what in found])
