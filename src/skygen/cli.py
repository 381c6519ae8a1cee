"""The command `skygen`: generate tiles from a bundle, show its card, check params.yaml."""

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec

import click

from skygen.bundle import Bundle
from skygen.files import write_atomically
from skygen.formats.encode import MEDIA_TYPES, Format, encode
from skygen.formats.origin import Origin
from skygen.gan.recipes import read_recipes
from skygen.params import load
from skygen.provenance import choose_device

P = ParamSpec("P")


def _says_errors(command: Callable[P, None]) -> Callable[P, None]:
    """The command with our own errors as one line on stderr and exit status 1, in place of a traceback."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except (ValueError, OSError) as error:
            raise click.ClickException(str(error)) from error

    return wrapped


@click.group()
@click.version_option(package_name="skygen")
def main() -> None:
    """Synthetic sky tiles of the Sloan Digital Sky Survey."""


@main.command()
@click.option("--bundle", type=click.Path(path_type=Path), required=True, help="Folder of the generator and its card.")
@click.option("--n", "count", type=click.IntRange(1), default=1, show_default=True, help="Number of tiles.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="Same seed, same tiles.")
@click.option("--format", "name", type=click.Choice(list(MEDIA_TYPES)), help="[default: the suffix of --output]")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), required=True, help="File to write.")
@_says_errors
def generate(bundle: Path, count: int, seed: int, name: Format | None, output: Path) -> None:
    """Write tiles of a seed to a file: flux in nanomaggies as npy, fits or json, or a png to look at."""
    name = name or _format_of(output)
    loaded = Bundle.load(bundle, choose_device())
    card = loaded.card
    origin = Origin(card.tiles, card.recipe, loaded.sha256, seed, "survey", card.bands, card.pixel_scale_arcsec)
    content = encode(loaded.generate(seed, count), name, origin)
    with write_atomically(output) as temporary:
        temporary.write_bytes(content)


@main.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@_says_errors
def card(bundle: Path) -> None:
    """Print what a bundle is: set, recipe, data, training, validation metrics and hash."""
    loaded = Bundle.load(bundle)
    click.echo(json.dumps(loaded.card.model_dump() | {"sha256": loaded.sha256}, indent=2))


@main.command()
@click.argument("path", type=click.Path(path_type=Path), default=Path("params.yaml"))
@_says_errors
def params(path: Path) -> None:
    """Check params.yaml and print the sizes of the scale it chooses."""
    checked = load(path)
    read_recipes(checked.recipes)
    click.echo(checked.chosen.model_dump_json(indent=2))


def _format_of(output: Path) -> Format:
    for name in MEDIA_TYPES:
        if output.suffix == f".{name}":
            return name
    raise ValueError(
        f"{output}: its suffix names no format; end it in one of {', '.join(MEDIA_TYPES)}, or give --format"
    )
