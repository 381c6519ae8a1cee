"""The command `skygen`: generate tiles from a bundle, show its card, check params.yaml."""

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec

import click

from skygen.bundle import Bundle, Noise, Seeing
from skygen.files import write_atomically
from skygen.formats.encode import MEDIA_TYPES, Format, encode
from skygen.formats.origin import Origin
from skygen.gan.recipes import read_recipes
from skygen.params import load
from skygen.provenance import choose_device

P = ParamSpec("P")


class _WordOrNumber(click.ParamType[str | float]):
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
@click.option(
    "--noise",
    type=_WordOrNumber("survey", "none", number="LEVEL"),
    default="survey",
    show_default=True,
    help="Of scenes: the survey's noise, none, or a level in nmgy for r, the other bands in proportion.",
)
@click.option(
    "--seeing",
    type=_WordOrNumber("survey", number="ARCSEC"),
    default="survey",
    show_default=True,
    help="Of scenes: the survey's point-spread function, or one of this full width at half maximum.",
)
@_says_errors
def generate(
    bundle: Path, count: int, seed: int, name: Format | None, output: Path, noise: Noise, seeing: Seeing
) -> None:
    """Write tiles of a seed to a file: flux in nanomaggies as npy, fits or json, or a png to look at."""
    name = name or _format_of(output)
    loaded = Bundle.load(bundle, choose_device())
    tiles = loaded.generate(seed, count, noise=noise, seeing=seeing)
    content = encode(tiles, name, _origin(loaded, seed, count, noise, seeing))
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


@main.command()
@_says_errors
def deliver() -> None:
    """Bring to MLflow what trainings and evaluations reported while it could not be reached."""
    from skygen import tracking

    click.echo(f"{tracking.deliver(tracking.JOURNALS)} journals delivered")


def _origin(bundle: Bundle, seed: int, count: int, noise: Noise, seeing: Seeing) -> Origin:
    card, sky = bundle.card, bundle.conditions(seed, count, noise=noise, seeing=seeing)
    return Origin(
        tiles=card.tiles,
        recipe=card.recipe,
        model_sha256=bundle.sha256,
        seed=seed,
        noise=noise,
        seeing=seeing,
        bands=card.bands,
        pixel_scale_arcsec=card.pixel_scale_arcsec,
        sky_noise_nmgy=None if sky is None else sky.sky_noise_nmgy.numpy(),
    )


def _format_of(output: Path) -> Format:
    for name in MEDIA_TYPES:
        if output.suffix == f".{name}":
            return name
    raise ValueError(
        f"{output}: its suffix names no format; end it in one of {', '.join(MEDIA_TYPES)}, or give --format"
    )
