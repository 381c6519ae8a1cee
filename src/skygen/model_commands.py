"""The commands about champions: what the registry holds, who is promoted, refused and rolled back, and releases."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skygen.names import known
from skygen.options import says_errors

if TYPE_CHECKING:  # MLflow takes seconds to import: a wrong command ends without it
    from skygen.tracking import Registered, Version

_DIGITS = 12  # of a hash, as the metrics show it
_WHY: Callable[..., Any] = click.option("--why", required=True, metavar="TEXT", help="The reason, for the audit.")
_SET: Callable[..., Any] = click.argument("tiles", metavar="SET")
_VERSION: Callable[..., Any] = click.argument("version", metavar="VERSION")


@click.command()
@click.option("--set", "sets", multiple=True, metavar="SET", help="A tile set, may be given again.  [default: all]")
@click.option("--audit", is_flag=True, help="Print the audit of each set instead: who did what, when and why.")
@click.option("--json", "as_json", is_flag=True, help="Print both as JSON, hashes in full.")
@says_errors
def models(sets: Sequence[str], audit: bool, as_json: bool) -> None:
    """Say what the registry holds: every version, which one stands, and what became of the others, by whom and why."""
    from skygen import tracking

    held = [tracking.registered(tiles) for tiles in _known_sets(sets)]
    if as_json:
        content = {one.tiles: _content(one) for one in held}
        click.echo(json.dumps(content, indent=2, ensure_ascii=False))
        return
    for one in held:
        click.echo(one.tiles)
        for line in map(str, one.audit.entries.values()) if audit else _lines(one):
            click.echo(f"  {line}")


@click.command()
@_SET
@_VERSION
@_WHY
@click.option("--anyway", is_flag=True, help="Promote in spite of the verdict, or where nothing can be compared here.")
@says_errors
def promote(tiles: str, version: str, why: str, anyway: bool) -> None:
    """Make VERSION the champion of SET where it is better than the one that stands.

    Both are drawn and measured on the validation tiles in data/tiles by the champion rule (docs/evaluation.md). Where
    it is not better that is said and recorded, and the exit status is 1.
    """
    from skygen.selection.promotion import promote_version

    _known_sets([tiles])
    outcome = promote_version(tiles, version, why, anyway=anyway)
    if not outcome.promoted:
        raise ValueError(outcome.said)
    click.echo(outcome.said)


@click.command()
@_SET
@_VERSION
@_WHY
@says_errors
def refuse(tiles: str, version: str, why: str) -> None:
    """See to it that the stage package never promotes the bundle of VERSION by itself; `skygen promote` may."""
    from skygen.selection.promotion import refuse_version

    _known_sets([tiles])
    click.echo(refuse_version(tiles, version, why))


@click.command()
@_SET
@_WHY
@says_errors
def rollback(tiles: str, why: str) -> None:
    """Make the champion of SET the one that stood before; again goes one further back. What stands is refused.

    Where the files of the earlier champion cannot be fetched whole, nothing changes.
    """
    from skygen.selection.promotion import roll_back

    _known_sets([tiles])
    click.echo(roll_back(tiles, why))


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--bento",
    type=click.Path(path_type=Path),
    default=Path("dist/skygen.bento"),
    show_default=True,
    help="The packaged bundles.",
)
@says_errors
def release(folder: Path, bento: Path) -> None:
    """Write to FOLDER the Bento's bundles with the registry's champions, as SKYGEN_BUNDLES takes them.

    FOLDER appears whole or not at all, and the same bundles give the same bytes. Where no registry can be asked the
    champions are the Bento's own, which is said on stderr.
    """
    from skygen.release import write_release

    written = write_release(folder, bento)
    for note in written.notes:
        click.echo(note, err=True)
    contents = written.contents
    for tiles, recipe in contents.champions.items():
        version = contents.versions.get(tiles)
        said = f", version {version} of the registry" if version else ""
        click.echo(f"{tiles}: {recipe} {contents.sha256[f'{tiles}/{recipe}'][:_DIGITS]}{said}")


def _known_sets(named: Sequence[str]) -> list[str]:
    """The tile sets `named`, or all of the registry; raises `ValueError`, which lists them, for another."""
    from skygen import tracking

    there_are = tracking.registered_sets()
    if not there_are:
        raise ValueError("the registry holds no models yet; the stage package registers the first: dvc repro")
    return known("tile set of the registry", named, there_are)


def _content(held: "Registered") -> dict[str, Any]:
    return {
        "champion": held.standing,
        "versions": [_described(held, one) for one in held.versions],
        "audit": [asdict(entry) for entry in held.audit.entries.values()],
    }


def _described(held: "Registered", one: "Version") -> dict[str, Any]:
    """A version, and what was done with it last."""
    latest = held.audit.latest(one.version)
    stands = one.version == held.standing
    before = "promoted" if stands else "compared before there was an audit" if one.verdict else "never compared"
    for entry in held.audit.entries.values() if stands else ():
        if entry.state == "done" and entry.stands == one.version:  # it was promoted, or another was rolled back to it
            latest = entry
    again = latest is not None and latest.version != one.version
    return {
        **{name: value for name, value in asdict(one).items() if name != "over"},
        "stands": stands,
        "became": "champion again" if again else latest.action if latest else before,
        "anyway": latest.anyway if latest else False,
        "barred": held.audit.bar(one.sha256) is not None,
        **{name: getattr(latest, name, None) for name in ("who", "when", "why")},
    }


def _lines(held: "Registered") -> Iterator[str]:
    """The versions of a set for people, the newest last."""
    for one in held.versions:
        its = _described(held, one)
        mark = "*" if its["stands"] else " "
        stands = ", stands" if its["stands"] else ""
        became = f"{its['became']}{' anyway' if its['anyway'] else ''}{stands}"
        yield f"{mark} {one.version:>3}  {one.sha256[:_DIGITS]}  {one.recipe}, seed {one.seed}: {became}"
        if its["who"]:
            yield f"       {its['when'][:16].replace('T', ' ')} UTC, {its['who']}: {its['why']}"
        if one.verdict:
            yield f"       {one.verdict}"
