"""What the options and arguments of the command `skygen` are made of."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec

import click

from skygen.bundle.tile import MAX_INDEX, MAX_SEED
from skygen.output import STDOUT

P = ParamSpec("P")
SEED, INDEX = click.IntRange(0, MAX_SEED), click.IntRange(0, MAX_INDEX)


class WordOrNumber(click.ParamType[str | float]):
    """One of some words, or a number; whether it is in range is for its user to say."""

    def __init__(self, *words: str, number: str) -> None:
        self.name = "|".join([*words, number])
        self._words = words

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str | float:
        """The word, or the number; ends the command where `value` is neither."""
        if value in self._words:
            return value
        try:
            return float(value)
        except ValueError:
            self.fail(f"{value!r} is neither {' nor '.join(self._words)} nor a number", param, ctx)


class Output(click.Path):
    """A path, or `-` for stdout; `./-` is a file."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See `click.Path`."""
        return STDOUT if value == "-" else super().convert(value, param, ctx)


class Several(click.ParamType[list[Any]]):
    """Some of a kind, with commas between them."""

    def __init__(self, kind: click.ParamType[Any]) -> None:
        self.name = f"{kind.name.removesuffix(' range')},…"
        self._kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[Any]:
        """Each of them; ends the command where one is none of the kind."""
        return [self._kind.convert(part.strip(), param, ctx) for part in str(value).split(",")]


def says_errors(command: Callable[P, None]) -> Callable[P, None]:
    """The command with our own errors as one line on stderr and exit status 1, in place of a traceback."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except BrokenPipeError:
            raise
        except (ValueError, OSError) as error:
            raise click.ClickException(str(error)) from error

    return wrapped


def option(name: str, kind: click.ParamType[Any], text: str, default: str | float | None = None) -> Callable[..., Any]:
    """An option with a default that its help shows, or one that must be given."""
    return click.option(name, type=kind, help=text, default=default, show_default=True, required=default is None)


def with_options(*options: Sequence[Callable[..., Any]]) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """A decorator that gives a command `options`, in their order."""

    def decorate(command: Callable[P, None]) -> Callable[P, None]:
        every = [option for some in options for option in some]
        return functools.reduce(lambda drawn, option: option(drawn), reversed(every), command)

    return decorate
