"""The command `skygen`: tiles of a bundle without a server, its card, and checks of frames and of params.yaml."""

import contextlib
import itertools
import json
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from skygen.deploy.command import deploy
from skygen.draw_commands import generate, sky, walk_between
from skygen.model_commands import models, promote, refuse, release, rollback
from skygen.options import SEED, Several, says_errors
from skygen.params import load
from skygen.upkeep_commands import backup, prune, restore, verify


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


_COMMANDS = (
    *(generate, sky, walk_between),
    *(models, promote, refuse, rollback, release, deploy),
    *(verify, prune, backup, restore),
)
for _command in _COMMANDS:
    main.add_command(_command)


@main.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@says_errors
def card(bundle: Path) -> None:
    """Print what a bundle is: set, recipe, data, training, validation metrics and hash."""
    from skygen.bundle.bundle import Bundle

    loaded = Bundle.load(bundle, engine="eager")
    click.echo(json.dumps(loaded.card.model_dump() | {"sha256": loaded.sha256}, indent=2))


@main.command()
@click.argument("frames", nargs=-1, required=True, type=click.Path(path_type=Path))
@says_errors
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
@says_errors
def params(path: Path) -> None:
    """Check params.yaml and print the sizes of the scale it chooses."""
    from skygen.gan.recipes import read_recipes

    checked = load(path)
    read_recipes(checked.recipes)
    click.echo(checked.chosen.model_dump_json(indent=2))


@main.command()
@click.option("--to", metavar="URI", help="The store.  [default: MLFLOW_TRACKING_URI, or mlflow.db in the clone]")
@click.option("--finished", is_flag=True, help="Note that the pipeline has run to its end, for the exporter to tell.")
@says_errors
def publish(to: str | None, finished: bool) -> None:
    """Bring to MLflow what trainings and evaluations reported while it could not be reached; again changes nothing."""
    from skygen import tracking
    from skygen.tracking.overview import note_finished

    click.echo(f"{tracking.publish(tracking.checkpoints(), to)} runs and evaluations published")
    if finished:
        note_finished(to)
        click.echo("noted that the pipeline has run to its end")


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--port", type=click.IntRange(0, 65535), default=9109, show_default=True, help="The port; 0 is any.")
@click.option("--every", type=click.FloatRange(1), default=60, show_default=True, help="Seconds between two readings.")
@says_errors
def exporter(host: str, port: int, every: float) -> None:
    """Tell Prometheus of trainings, champions and the pipeline, as MLflow holds them (MLFLOW_TRACKING_URI).

    Runs until it is stopped. A store that does not answer is told of, and tried again.
    """
    from skygen.tracking.exporter import serve
    from skygen.tracking.store import chosen_store

    serve(chosen_store(), host, port, every, click.echo)


@main.command()
@click.option("--sets", type=Several(click.STRING), help="Tile sets.  [default: all of params.yaml]")
@click.option("--recipes", type=Several(click.STRING), help="Recipes to train.  [default: `compared` of params.yaml]")
@click.option("--seeds", type=Several(SEED), help="Trainings a recipe and fold.  [default: `seeds` of params.yaml]")
@click.option("--fields", type=Several(click.STRING), help="Fields that test, a fold each.  [default: all]")
@click.option("--bundle", type=click.Path(path_type=Path), help="Evaluate this training in each fold; train nothing.")
@click.option("--list", "--dry-run", "only_list", is_flag=True, help="Say what would be run, and run nothing.")
@says_errors
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


@main.command()
@click.argument("names", nargs=-1)
@click.option("--list", "--dry-run", "only_list", is_flag=True, help="Say how far they are, and run nothing.")
@click.option("--figures", is_flag=True, help="Draw the paper's figures into reports/paper/figures instead.")
@says_errors
def paper(names: Sequence[str], only_list: bool, figures: bool) -> None:
    """Run the experiments NAMES, such as optimiser or table1; without any, list all with how many cells are done.

    A cell is a training and its evaluation. What is done is not repeated, a cell that was killed goes on from its
    checkpoint, and one that diverges is a result. Give the command in several terminals, or on several machines that
    share the folder: each takes cells that no other has. Writes reports/paper/NAME.md and NAME.json, our numbers beside
    the paper's. A cell that fails is said, the others go on, and the exit status is 1.
    """
    from skygen.experiments.run import describe, run_experiment
    from skygen.experiments.spec import choose, read_experiments
    from skygen.experiments.summary import REPORTS
    from skygen.experiments.training import Clone

    if figures and (names or only_list):
        raise click.UsageError("--figures stands alone: it draws all of them, and runs no experiment")
    checked = load(Path("params.yaml"))
    if figures:
        from skygen.experiments.figures import draw_figures

        if missing := draw_figures(checked, click.echo):
            raise ValueError(f"figures missing: {missing}")
        return
    chosen, clone, failed = choose(read_experiments(checked), names), Clone(checked), 0
    if only_list or not names:
        for line in describe(chosen, clone):
            click.echo(line)
        return
    for experiment in chosen:
        failed += run_experiment(experiment, clone, click.echo)
        click.echo((REPORTS / f"{experiment.name}.md").read_text(encoding="utf-8"), nl=False)
    if failed:
        raise ValueError(f"{failed} cells failed; give the command again once the cause is mended")
