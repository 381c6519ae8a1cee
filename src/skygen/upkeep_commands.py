"""The commands of `skygen` that look after a clone and its store: verify, prune, backup and restore."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from skygen.options import option, says_errors, with_options
from skygen.params import load

if TYPE_CHECKING:
    from skygen.upkeep.backup import Parts

_FOLDER = click.Path(path_type=Path)
_PARTS = (
    click.option("--store", metavar="URI", help="MLflow's database.  [default: MLFLOW_TRACKING_URI, or mlflow.db]"),
    click.option(
        "--artifacts", type=_FOLDER, help="The folder of MLflow's artifacts.  [default: mlartifacts beside mlflow.db]"
    ),
    click.option("--without-artifacts", is_flag=True, help="The database alone: artifacts lie elsewhere."),
    click.option("--cache", is_flag=True, help="DVC's cache too."),
    click.option("--remote", metavar="NAME", help="A remote of DVC's too, which must be a folder."),
)


@click.command()
@click.option("--outputs", is_flag=True, help="What the stages wrote: data, models, reports, the Bento.")
@click.option("--cache", is_flag=True, help="DVC's cache.")
@click.option("--models", is_flag=True, help="Bundles: of the trainings, of the Bento, and the registry's copies.")
@click.option("--remote", metavar="NAME", help="A remote of DVC's: whether it holds all outputs.")
@says_errors
def verify(outputs: bool, cache: bool, models: bool, remote: str | None) -> None:
    """Hash again what dvc.lock and the registry name, and say what is missing or damaged (exit status 1).

    Looks at outputs, cache and models, or at what is named alone. A line says of each file what it is, what it should
    be, and how it comes back. A remote that is a folder is hashed too; of another it is said what it lacks.
    """
    from skygen.upkeep.models import verify_models
    from skygen.upkeep.remote import verify_remote
    from skygen.upkeep.verify import Clone, Report, verify_cache, verify_outputs

    report, clone, every = Report(), Clone(), not (outputs or cache or models or remote)
    try:
        if every or outputs:
            verify_outputs(clone, report)
        if every or cache:
            verify_cache(clone, report)
        if remote is not None:
            verify_remote(clone, remote, report)
        if every or models:
            verify_models(report)
    finally:  # where a remote or the registry cannot be reached, what was found before is said too
        for finding in report.findings:
            click.echo(str(finding))
    if report.findings:
        raise ValueError(f"{len(report.findings)} findings; {report.checked} files and bundles were hashed")
    click.echo(f"{report.checked} files and bundles are as they should be")


@click.command()
@click.option("--yes/--dry-run", "remove", help="Remove it, or only say what would go.  [default: --dry-run]")
@option("--older-than", click.FloatRange(min=0), "Days for which trainings and folds must not have been used.", 30)
@says_errors
def prune(remove: bool, older_than: float) -> None:
    """Say what may go, and how much of the disk it takes; remove it with --yes.

    Checkpoints that nobody went on with, folders of experiments and folds that nothing refers to, unpacked Bentos of
    services that have ended, and what DVC's cache holds that neither workspace, commit nor fold names. What a process
    holds stays, and MLflow's store with all its models. `skygen deploy` removes old releases itself.
    """
    from skygen.upkeep.prune import find_waste

    total = 0
    for waste in find_waste(load(Path("params.yaml")), older_than):
        size, said = waste.bytes, str(waste)
        if remove:
            try:
                waste.discard()
            except BlockingIOError as error:
                click.echo(f"stays: {error}")
                continue
        click.echo(f"{'removed' if remove else 'would go'}: {said}")
        total += size
    click.echo(f"{total / 1e6:.1f} MB in all{'' if remove else '; --yes removes it'}")


@click.command()
@click.argument("folder", type=_FOLDER)
@with_options(_PARTS)
@says_errors
def backup(
    folder: Path, store: str | None, artifacts: Path | None, without_artifacts: bool, cache: bool, remote: str | None
) -> None:
    """Copy MLflow's database and artifacts to FOLDER, which must be new, with the hash of every file.

    Nothing need stop meanwhile: the database is taken as it was at one moment, and the artifacts after it. FOLDER is
    there as a whole or not at all. PostgreSQL needs pg_dump, which must be no older than the server.
    """
    from skygen.upkeep.backup import back_up

    click.echo(str(back_up(_parts(store, artifacts, without_artifacts, cache, remote), folder)))


@click.command()
@click.argument("folder", type=_FOLDER)
@with_options(_PARTS)
@click.option("--over", is_flag=True, help="Replace the database and the artifacts that are there.")
@says_errors
def restore(
    folder: Path,
    store: str | None,
    artifacts: Path | None,
    without_artifacts: bool,
    cache: bool,
    remote: str | None,
    over: bool,
) -> None:
    """Bring back the backup in FOLDER, once each of its files was found whole.

    Refuses where a database or artifacts are there already, unless --over is given; DVC's objects are added to those
    that are there. Stop what uses the store before.
    """
    from skygen.upkeep import backup as backups

    restored = backups.restore(folder, _parts(store, artifacts, without_artifacts, cache, remote), over)
    click.echo(f"restored {restored}")


def _parts(
    store: str | None, artifacts: Path | None, without_artifacts: bool, cache: bool, remote: str | None
) -> "Parts":
    """What the options name; raises `ValueError` where they name no folder of artifacts."""
    from skygen.tracking import artifacts_beside, chosen_store
    from skygen.upkeep.backup import Parts
    from skygen.upkeep.dvc import Objects
    from skygen.upkeep.remote import folder_of

    if cache and remote:
        raise click.UsageError("--cache and --remote exclude each other: one has what the other has")
    if artifacts and without_artifacts:
        raise click.UsageError("--artifacts and --without-artifacts exclude each other")
    uri = store or chosen_store()
    place = artifacts or artifacts_beside(uri)
    if place is None and not without_artifacts:
        raise ValueError(
            f"{uri} does not say where its artifacts lie: give --artifacts, the server's --artifacts-destination, or "
            "--without-artifacts where that is a bucket, which keeps its own versions"
        )
    objects = Objects.cache() if cache else Objects(folder_of(remote)) if remote else None
    return Parts(uri, None if without_artifacts else place, objects)
