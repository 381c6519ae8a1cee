"""The command `skygen deploy`."""

from pathlib import Path

import click

from skygen.options import Several, option, says_errors, with_options

_PATH, _SECONDS = click.Path(path_type=Path), click.FloatRange(min=1)
_WHAT = [
    click.argument("release", required=False, type=_PATH),
    option("--bento", _PATH, "What serves the release.", "dist/skygen.bento"),
    click.option(
        "--again",
        is_flag=True,
        help="Also where it serves already; without RELEASE what served last: with the settings of now.",
    ),
    click.option("--back", is_flag=True, help="Go back to the release before."),
    click.option("--status", is_flag=True, help="Say what serves, and do nothing."),
]
_WHERE = [
    option("--folder", _PATH, "Where releases, logs and the state are kept.", ".deploy"),
    option("--ports", Several(click.IntRange(1, 65535)), "Of blue and of green, on 127.0.0.1.", "3001,3002"),
    option("--nginx", click.STRING, "How nginx is called, with its -c, -p or sudo.", "nginx"),
    option("--url", click.STRING, "Where nginx answers.", "http://127.0.0.1:8080"),
]
_HOW = [
    option("--ready", _SECONDS, "Seconds in which the new service must be ready.", 300),
    click.option("--canary", type=click.FloatRange(0.01, 50), help="Percent of the clients, that hear it first."),
    option("--watch", click.FloatRange(min=10), "Seconds for which a canary is watched.", 300),
]


@click.command()
@with_options(_WHAT, _WHERE, _HOW)
@says_errors
def deploy(
    release: Path | None,
    bento: Path,
    again: bool,
    back: bool,
    status: bool,
    folder: Path,
    ports: list[int],
    nginx: str,
    url: str,
    ready: float,
    canary: float | None,
    watch: float,
) -> None:
    """Serve RELEASE, a folder of bundles as SKYGEN_BUNDLES takes it, in place of what serves: no call fails.

    Starts a second service beside the first, tries it, has nginx ask it, and ends the first once its calls are
    answered. Where anything fails all stays as it was. nginx must run with the configuration in serving/proxy. Services
    have the environment of this command. With --canary the new one's metrics are watched: a release that fails, or
    draws worse than the alerts allow, is taken back, and the exit status is 1.
    """
    from skygen.deploy.deployment import Canary, Deployment, describe
    from skygen.deploy.place import Place
    from skygen.deploy.proxy import Nginx

    if [release is not None or again, back, status].count(True) != 1:
        raise click.UsageError(
            "give a RELEASE, --again, --back or --status, one of them; --again may go with a RELEASE"
        )
    if canary and release is None:
        raise click.UsageError("--canary is for a RELEASE")
    if len(set(ports)) != 2:
        raise click.UsageError("--ports are two different ones, with a comma between them")
    place = Place(folder.absolute())
    if status:
        click.echo(describe(place))
        return
    deployment = Deployment(place, ports, Nginx.find(nginx, url), ready, click.echo)
    if back:
        deployment.back()
    elif release is None:
        deployment.again()
    else:
        deployment.deploy(release, bento, again, Canary(canary, watch) if canary else None)
