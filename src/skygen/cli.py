"""The command `skygen`: tiles of a bundle without a server, its card, and checks of frames and of params.yaml."""

import contextlib
import functools
import itertools
import json
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

import click
from tqdm import tqdm

from skygen.bundle.tile import MAX_INDEX, MAX_SEED, Noise, Seeing, Tile, row, walk
from skygen.formats.encode import MEDIA_TYPES, Format
from skygen.output import STDOUT, draw_to
from skygen.params import load

if TYPE_CHECKING:  # torch takes a second to import: commands that draw nothing start without it
    from skygen.bundle.engines import EngineName

P = ParamSpec("P")
SEED, INDEX = click.IntRange(0, MAX_SEED), click.IntRange(0, MAX_INDEX)


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


class _Output(click.Path):
    """A path, or `-` for stdout; `./-` is a file."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See `click.Path`."""
        return STDOUT if value == "-" else super().convert(value, param, ctx)


class _Several(click.ParamType[list[Any]]):
    """Some of a kind, with commas between them."""

    def __init__(self, kind: click.ParamType[Any]) -> None:
        self.name = f"{kind.name.removesuffix(' range')},…"
        self._kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[Any]:
        """Each of them; ends the command where one is none of the kind."""
        return [self._kind.convert(part.strip(), param, ctx) for part in str(value).split(",")]


def _says_errors(command: Callable[P, None]) -> Callable[P, None]:
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


def _option(name: str, kind: click.ParamType[Any], text: str, default: str | int | None = None) -> Callable[..., Any]:
    """An option with a default that its help shows, or one that must be given."""
    return click.option(name, type=kind, help=text, default=default, show_default=True, required=default is None)


_OF_EVERY_DRAWING = [
    _option("--bundle", click.Path(path_type=Path), "Folder of the generator and its card."),
    _option("--output", _Output(path_type=Path), "File to write, whole or not at all; a pipe or device; - is stdout."),
    click.option("--format", "name", type=click.Choice(list(MEDIA_TYPES)), help="[default: the suffix of --output]"),
    _option(
        "--noise",
        _WordOrNumber("survey", "none", number="LEVEL"),
        "Of scenes: the survey's noise, none, or a level in nmgy for r, the other bands in proportion.",
        "survey",
    ),
    _option(
        "--seeing",
        _WordOrNumber("survey", number="ARCSEC"),
        "Of scenes: the survey's point-spread function, or one of this full width at half maximum.",
        "survey",
    ),
    _option(
        "--engine", click.Choice(["auto", "eager", "onnx"]), "What computes: last bits are an engine's own.", "auto"
    ),
]


def _draws(command: Callable[P, None]) -> Callable[P, None]:
    """The command with the options of everything that draws tiles."""
    return functools.reduce(lambda drawn, option: option(drawn), reversed(_OF_EVERY_DRAWING), command)


@contextlib.contextmanager
def _ends_with_its_reader() -> Iterator[None]:
    """Ends the process as SIGPIPE ends others, without a word, where nobody reads on: as `skygen … | head -1` does."""
    try:
        yield
    except BrokenPipeError:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.raise_signal(signal.SIGPIPE)


class _Commands(click.Group):
    """The commands, and their helps, of which no one need read all that they print."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """See `click.Group`."""
        with _ends_with_its_reader():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """See `click.Group`."""
        with _ends_with_its_reader():
            return super().invoke(ctx)


@click.group(cls=_Commands)
@click.version_option(package_name="skygen")
def main() -> None:
    """Synthetic sky tiles of the Sloan Digital Sky Survey.

    Exit status: 0 where all went well, 1 where something is wrong with what was given (a bundle, a frame, a value: the
    reason is on stderr), 2 where the command line itself is.
    """


@main.command()
@_option("--n", click.IntRange(1), "Number of tiles.", 1)
@_option("--seed", SEED, "Same seed, same tiles.", 0)
@_option("--first", INDEX, "Index of the first tile: tile i of a seed is the same whichever are asked for.", 0)
@_draws
@_says_errors
def generate(
    bundle: Path,
    n: int,
    seed: int,
    first: int,
    name: Format | None,
    output: Path,
    noise: Noise,
    seeing: Seeing,
    engine: "EngineName",
) -> None:
    """Write tiles of a seed to a file: flux in nanomaggies as npy, fits or json, or a png to look at.

    npy and fits are written as the tiles are drawn, so that they may be larger than the memory.
    """
    if first + n - 1 > MAX_INDEX:
        raise ValueError(f"--first {first} and --n {n} end at tile {first + n - 1}; the last of a seed is {MAX_INDEX}")
    draw_to(output, name, bundle, engine, n, lambda some: row(seed, len(some), first + some.start, noise, seeing))


@main.command("walk")
@_option("--from", SEED, "Seed of the first tile; its noise and conditions last all the way.")
@_option("--to", SEED, "Seed of the last tile.")
@_option("--steps", click.IntRange(2), "Number of tiles, both ends included.", 9)
@_option("--index", INDEX, "Which tile of both seeds.", 0)
@_draws
@_says_errors
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
    """Write the walk between the tiles of two seeds to a file, in equal steps."""
    start = Tile(seeds["from"], index, noise, seeing)
    draw_to(output, name, bundle, engine, steps, lambda some: walk(start, to, steps, slice(some.start, some.stop)))


@main.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@_says_errors
def card(bundle: Path) -> None:
    """Print what a bundle is: set, recipe, data, training, validation metrics and hash."""
    from skygen.bundle.bundle import Bundle

    loaded = Bundle.load(bundle, engine="eager")
    click.echo(json.dumps(loaded.card.model_dump() | {"sha256": loaded.sha256}, indent=2))


@main.command()
@click.argument("frames", nargs=-1, required=True, type=click.Path(path_type=Path))
@_says_errors
def check(frames: Sequence[Path]) -> None:
    """Judge FRAMES, files or folders with frames, as the stage frames judges them.

    Says what is measured, or why one is refused (exit status 1). The PSF and the sources of a field are measured where
    its frame in r is among them.
    """
    from skygen.sky.check import Accepted, check_frames, find_given

    found, others = find_given(frames)
    accepted = refused = 0
    with tqdm(total=len(found), unit="frame", leave=False, disable=None if len(found) > 1 else True) as progress:
        for verdict in itertools.chain(others, check_frames(found)):
            progress.clear()
            if isinstance(verdict, Accepted):
                accepted += 1
                click.echo(str(verdict))
            else:
                refused += not verdict.harmless
                click.echo(f"{'left out' if verdict.harmless else 'refused'} {verdict}")
            progress.update(verdict not in others)
    if refused:
        raise ValueError(f"{refused} of {accepted + refused} refused")


@main.command()
@click.argument("path", type=click.Path(path_type=Path), default=Path("params.yaml"))
@_says_errors
def params(path: Path) -> None:
    """Check params.yaml and print the sizes of the scale it chooses."""
    from skygen.gan.recipes import read_recipes

    checked = load(path)
    read_recipes(checked.recipes)
    click.echo(checked.chosen.model_dump_json(indent=2))


@main.command()
@click.option("--to", metavar="URI", help="The store.  [default: MLFLOW_TRACKING_URI, or mlflow.db in the clone]")
@_says_errors
def publish(to: str | None) -> None:
    """Bring to MLflow what trainings and evaluations reported while it could not be reached; again changes nothing."""
    from skygen import tracking

    click.echo(f"{tracking.publish(tracking.checkpoints(), to)} runs and evaluations published")


@main.command()
@click.option("--sets", type=_Several(click.STRING), help="Tile sets.  [default: all of params.yaml]")
@click.option("--recipes", type=_Several(click.STRING), help="Recipes to train.  [default: `compared` of params.yaml]")
@click.option("--seeds", type=_Several(SEED), help="Trainings a recipe and fold.  [default: `seeds` of params.yaml]")
@click.option("--fields", type=_Several(click.STRING), help="Fields that test, a fold each.  [default: all]")
@click.option("--bundle", type=click.Path(path_type=Path), help="Evaluate this training in each fold; train nothing.")
@click.option("--list", "--dry-run", "only_list", is_flag=True, help="Say what would be run, and run nothing.")
@_says_errors
def folds(
    sets: Sequence[str] | None,
    recipes: Sequence[str] | None,
    seeds: Sequence[int] | None,
    fields: Sequence[str] | None,
    bundle: Path | None,
    only_list: bool,
) -> None:
    """Train and evaluate as many times as there are fields: each tests once, the next one chooses, the others train.

    Takes the frames in data/frames and the scale of params.yaml. What was finished is not repeated when the command is
    given again, by DVC's rules; what failed is said, the other folds go on, and the exit status is 1. Writes
    reports/folds.md and reports/folds/SET/RECIPE.json: mean, spread and interval of every test metric over the fields.
    """
    from skygen.folds.plan import Plan
    from skygen.folds.run import run_folds

    plan = Plan.of(load(Path("params.yaml")), sets or (), recipes or (), seeds or (), fields or (), bundle)
    if only_list:
        for line in plan.describe():
            click.echo(line)
        return
    failed = run_folds(plan, click.echo)
    if failed:
        raise ValueError(f"{failed} folds failed; give the command again once the cause is mended")
