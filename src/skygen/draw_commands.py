"""The commands that draw: tiles of a seed, a rectangle of its sky, the walk between two seeds."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skygen.bundle.tile import (
    MAX_INDEX,
    MOST_SIDE_PX,
    Factors,
    Noise,
    Rectangle,
    Seeing,
    Tile,
    row,
    walk,
)
from skygen.formats.encode import MEDIA_TYPES, Format
from skygen.options import INDEX, SEED, Output, WordOrNumber, option, says_errors, with_options
from skygen.output import Asked, draw_sky_to, draw_to
from skygen.sky.conditions import MOST_DENSITY

if TYPE_CHECKING:  # torch takes a second to import: a wrong command ends without it
    from skygen.bundle.engines import EngineName

_TO_A_FILE = [
    option("--bundle", click.Path(path_type=Path), "Folder of the generator and its card."),
    click.option(
        "--output",
        "-o",
        type=Output(path_type=Path),
        help="File to write, whole or not at all; a pipe or device; - is stdout.",
        required=True,
    ),
]
_OF_EVERY_DRAWING = [
    click.option("--format", "name", type=click.Choice(list(MEDIA_TYPES)), help="[default: the suffix of --output]"),
    option(
        "--noise",
        WordOrNumber("survey", "none", number="LEVEL"),
        "Of scenes: the survey's noise, none, or a level in nmgy for r, the other bands in proportion.",
        "survey",
    ),
    option(
        "--seeing",
        WordOrNumber("survey", number="ARCSEC"),
        "Of scenes: the survey's point-spread function, or one of this full width at half maximum.",
        "survey",
    ),
]
_ENGINE = [
    option(
        "--engine",
        click.Choice(["auto", "eager", "onnx"]),
        "What computes a painter: last bits are its own.",
        "auto",
    ),
]
_OF_A_PROCESS = [
    option("--density-stars", click.FLOAT, f"Of a process: times the field's own, 0 to {MOST_DENSITY:g}.", 1.0),
    option("--density-galaxies", click.FLOAT, f"Of a process: times the field's own, 0 to {MOST_DENSITY:g}.", 1.0),
    click.option("--truth", is_flag=True, help="Of a process: FITS with a table TRUTH of the objects in each image."),
    click.option(
        "--catalogue",
        type=Output(path_type=Path),
        help="Of a process: a file for all objects, by its suffix FITS, ECSV or CSV.",
    ),
    option("--min-snr", click.FloatRange(0), "Least signal-to-noise ratio of an object in either, in some band.", 0),
]


@click.command()
@option("--n", click.IntRange(1), "Number of tiles.", 1)
@option("--seed", SEED, "Same seed, same tiles.", 0)
@option("--first", INDEX, "Index of the first tile: tile i of a seed is the same whichever are asked for.", 0)
@with_options(_TO_A_FILE, _OF_EVERY_DRAWING, _OF_A_PROCESS, _ENGINE)
@says_errors
def generate(
    bundle: Path,
    n: int,
    seed: int,
    first: int,
    noise: Noise,
    seeing: Seeing,
    density_stars: float,
    density_galaxies: float,
    engine: "EngineName",
    **files: Any,
) -> None:
    """Write tiles of a seed to a file: flux in nanomaggies as npy, fits or json, or a png to look at.

    npy and fits are written as the tiles are drawn, so that they may be larger than the memory.
    """
    if first + n - 1 > MAX_INDEX:
        raise ValueError(f"--first {first} and --n {n} end at tile {first + n - 1}; the last of a seed is {MAX_INDEX}")
    density = Factors(density_stars, density_galaxies)

    def tiles(some: range) -> list[Tile]:
        return row(seed, len(some), first + some.start, noise, seeing, density)

    draw_to(Asked(**files), bundle, engine, n, tiles)


@click.command()
@option("--seed", SEED, "Same seed, same sky.", 0)
@option("--x", click.INT, "Column of the sky at the first pixel.", 0)
@option("--y", click.INT, "Row of the sky at the first pixel.", 0)
@option("--width", click.IntRange(1, MOST_SIDE_PX), "Columns.", 1024)
@option("--height", click.IntRange(1, MOST_SIDE_PX), "Rows.", 1024)
@with_options(_TO_A_FILE, _OF_EVERY_DRAWING, _OF_A_PROCESS)
@says_errors
def sky(
    bundle: Path,
    seed: int,
    x: int,
    y: int,
    width: int,
    height: int,
    noise: Noise,
    seeing: Seeing,
    density_stars: float,
    density_galaxies: float,
    **files: Any,
) -> None:
    """Write a rectangle of the endless sky of a seed to a file: flux in nanomaggies as fits or npy, or a png.

    Of a bundle whose generator is a process. Rectangles that overlap agree there bit for bit.
    """
    density = Factors(density_stars, density_galaxies)
    draw_sky_to(Asked(**files), bundle, Rectangle(seed, x, y, width, height, noise, seeing, density))


@click.command("walk")
@option("--from", SEED, "Seed of the first tile; its noise and conditions last all the way.")
@option("--to", SEED, "Seed of the last tile.")
@option("--steps", click.IntRange(2), "Number of tiles, both ends included.", 9)
@option("--index", INDEX, "Which tile of both seeds.", 0)
@with_options(_TO_A_FILE, _OF_EVERY_DRAWING, _ENGINE)
@says_errors
def walk_between(
    bundle: Path,
    to: int,
    steps: int,
    index: int,
    name: Format | None,
    output: Path,
    noise: Noise,
    seeing: Seeing,
    engine: "EngineName",
    **seeds: int,
) -> None:
    """Write the walk between the tiles of two seeds to a file, in equal steps; a process has none."""
    start = Tile(seeds["from"], index, noise, seeing)

    def tiles(some: range) -> list[Tile]:
        return walk(start, to, steps, slice(some.start, some.stop))

    draw_to(Asked(output, name), bundle, engine, steps, tiles)
