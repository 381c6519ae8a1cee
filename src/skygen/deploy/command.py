"""The command `skygen deploy`."""

from pathlib import Path

import click

from skygen.options import Several, says_errors

_PORT = click.IntRange(1, 65535)


@click.command()
@click.argument("release", required=False, type=click.Path(path_type=Path))
@click.option("--bento", type=click.Path(path_type=Path), default=Path("dist/skygen.bento"), show_default=True,
              help="What serves the release.")  # fmt: skip
@click.option("--folder", type=click.Path(path_type=Path), default=Path(".deploy"), show_default=True,
              help="Where releases, logs and the state are kept.")  # fmt: skip
@click.option("--ports", type=Several(_PORT), default="3001,3002", show_default=True,
              help="Of blue and of green, on 127.0.0.1.")  # fmt: skip
@click.option("--nginx", default="nginx", show_default=True, metavar="COMMAND",
              help="How nginx is called, with its -c, -p or sudo.")  # fmt: skip
@click.option("--url", default="http://127.0.0.1:8080", show_default=True, help="Where nginx answers.")
@click.option("--ready", type=click.FloatRange(1), default=300, show_default=True, metavar="SECONDS",
              help="In which the new service must be ready.")  # fmt: skip
@click.option("--canary", type=click.FloatRange(0.01, 50), metavar="PERCENT",
              help="Of the clients, that hear the release first.")  # fmt: skip
@click.option("--watch", type=click.FloatRange(10), default=300, show_default=True, metavar="SECONDS",
              help="For which the canary is watched.")  # fmt: skip
@click.option("--back", is_flag=True, help="Go back to the release before.")
@click.option("--status", is_flag=True, help="Say what serves, and do nothing.")
@says_errors
def deploy(
    release: Path | None,
    bento: Path,
    folder: Path,
    ports: list[int],
    nginx: str,
    url: str,
    ready: float,
    canary: float | None,
    watch: float,
    back: bool,
    status: bool,
) -> None:
    """Serve RELEASE, a folder of bundles as SKYGEN_BUNDLES takes it, in place of what serves: no call fails.

    Starts a second service beside the first, tries it, has nginx ask it, and ends the first once its calls are
    answered. Where anything fails all stays as it was. nginx must run with the configuration in serving/proxy.
    Services have the environment of this command (SKYGEN_DEVICE, SKYGEN_API_KEYS_FILE, ...).

    With --canary its metrics are watched: a release that fails, or draws worse than the alerts allow, is taken back.
    """
    from skygen.deploy.deployment import Canary, Deployment, describe
    from skygen.deploy.place import Place
    from skygen.deploy.proxy import Nginx

    if [release is not None, back, status].count(True) != 1:
        raise click.UsageError("give a RELEASE, --back or --status, one of them")
    if canary and release is None:
        raise click.UsageError("--canary is for a RELEASE")
    if len(set(ports)) != 2:
        raise click.UsageError("--ports are two, with a comma between them")
    place = Place(folder.absolute())
    if status:
        click.echo(describe(place))
        return
    deployment = Deployment(place, ports, Nginx.find(nginx, url), ready, click.echo)
    if release is not None:
        deployment.deploy(release, bento, Canary(canary, watch) if canary else None)
    else:
        deployment.back()
