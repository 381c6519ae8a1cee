"""A release takes the place of another behind nginx: blue and green, without a failed call.

The order is what makes a kill at any moment harmless: a new service starts beside the old one; nginx is led to it;
state.json says so; then the old one ends. Whoever comes next finds by state.json what serves, leads nginx back to it,
and ends all others.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from skygen.children import sigterm_as_exit
from skygen.deploy import services
from skygen.deploy.asking import asking, await_ready, check_served
from skygen.deploy.place import DIGITS, HOST, KEPT, Place, Release, Serving, State, check_bundles, read_catalogue
from skygen.deploy.proxy import Nginx
from skygen.deploy.services import Started
from skygen.deploy.watch import ALERTS, Limits, watch
from skygen.files import make_folder
from skygen.locks import alone

COLOURS = ("blue", "green")
Say = Callable[[str], None]


@dataclass(frozen=True)
class Canary:
    """A share of the clients, in percent, that hears the new release for some seconds before all do."""

    percent: float
    seconds: float


@dataclass(frozen=True)
class Deployment:
    """What a deployment is made with; a new service must be ready within `ready_seconds`."""

    place: Place
    ports: Sequence[int]
    nginx: Nginx
    ready_seconds: float
    say: Say

    def deploy(self, folder: Path, bento: Path, again: bool = False, canary: Canary | None = None) -> None:
        """Have the release in `folder` served by `bento` in place of what serves; of the same only `again`.

        Raises `ValueError` or `OSError` where it cannot be: all is then as before. `BlockingIOError` where another
        deployment runs.
        """
        with self._alone():
            state = self._tidy()
            release = self.place.keep(folder, bento)
            old = state.serving
            if old is None or release != old.bare():
                self._replace(old, release, [*state.before, *([old.bare()] if old else [])], canary)
            elif again or not services.lives(self.place, old):
                self._replace(old, release, state.before, canary)
            else:
                self.say(f"{old.name} serves this release already")

    def back(self) -> None:
        """Have the release before served again; raises as `deploy`, and `ValueError` where there was none."""
        with self._alone():
            state = self._tidy()
            if not state.before:
                raise ValueError("no release was served before this one")
            self._replace(state.serving, self._kept(state.before[-1]), state.before[:-1], None)

    def again(self) -> None:
        """Have what served last started anew; raises as `deploy`, and `ValueError` where nothing was deployed."""
        with self._alone():
            state = self._tidy()
            if state.serving is None:
                raise ValueError("nothing was deployed yet: give a RELEASE; skygen release writes one")
            self._replace(state.serving, self._kept(state.serving.bare()), state.before, None)

    def _kept(self, release: Release) -> Release:
        """A release that was deployed once; raises `ValueError` where it, or its Bento, is gone or damaged."""
        if not self.place.releases(release).is_dir() or not (self.place.bentos / release.bento).is_dir():
            raise ValueError(f"the release {release.release[:DIGITS]} is no longer in {self.place.folder}")
        check_bundles(self.place.releases(release))
        return release

    @contextmanager
    def _alone(self) -> Iterator[None]:
        make_folder(self.place.folder)
        with alone(self.place.lock, "skygen deploy"), sigterm_as_exit():
            yield

    def _tidy(self) -> State:
        """The state, after ending what a killed deployment left: but for what nginx leads to, for want of another."""
        state = self.place.state()
        if state.serving and services.lives(self.place, state.serving):
            if not self.nginx.leads_to(state.serving):
                self.say(f"an earlier deployment was not finished: all clients go to {state.serving.name} again")
                self.nginx.lead([(state.serving, 100)])()
            services.end_all_but(self.place, [state.serving.port])
            self.place.show([state.serving])
        else:
            services.end_all_but(self.place, self.nginx.ports())
        return state

    def _replace(self, old: Serving | None, release: Release, before: Sequence[Release], canary: Canary | None) -> None:
        if old is not None and not services.lives(self.place, old):
            old = None
        if canary and old is None:
            raise ValueError("nothing serves that a canary could be compared with: deploy without --canary")
        port = self._free_port(old)
        colour, proxied = COLOURS[self.ports.index(port)], self.nginx.text()
        self.say(f"starting {colour} at {HOST}:{port} with release {release.release[:DIGITS]}")
        began = time.monotonic()
        started = services.start(self.place, release, colour, port)
        try:
            with asking(started) as client:
                self._try(started, client)
                if canary and old:
                    self._show_some(started, client, old, canary)
            await_end = self.nginx.lead([(started.serving, 100)])
            state = State(serving=started.serving, before=list(before)[-KEPT:])
            self.place.show([started.serving])
            self.place.write(state)
        except BaseException:
            if self.place.state().serving != started.serving:  # a signal may come right after
                self._restore(proxied, old)
            raise
        self.say(f"{started.serving.name} serves, after {time.monotonic() - began:.1f} s")
        await_end()
        services.end_all_but(self.place, [port])
        self.place.prune(state)

    def _try(self, started: Started, client: httpx.Client) -> None:
        await_ready(started, client, self.ready_seconds)
        try:
            check_served(client, read_catalogue(self.place.releases(started.serving)))
        except httpx.HTTPError as error:
            raise ValueError(f"the new service does not answer: {error}; see {started.log}") from error

    def _show_some(self, started: Started, client: httpx.Client, old: Serving, canary: Canary) -> None:
        limits = Limits.of(self.place.bentos / started.serving.bento / ALERTS)
        self.place.show([old, started.serving])
        self.nginx.lead([(old, 100 - canary.percent), (started.serving, canary.percent)], alone=False)
        self.say(f"{canary.percent:g} % of the clients go to {started.serving.name} for {canary.seconds:g} s")
        catalogue = read_catalogue(self.place.releases(started.serving))
        try:
            watch(started, client, catalogue, limits, canary.seconds, self.say)
        except ValueError as error:
            raise ValueError(f"{started.serving.name} was taken back: {error}") from error

    def _restore(self, proxied: str, old: Serving | None) -> None:
        """Have nginx as it was, and end the new service once none of its calls is there; else it must go on."""
        try:
            self.nginx.restore(proxied)()
            self.place.show([old] if old else [])
        except (OSError, ValueError) as error:
            self.say(f"the new service goes on, since clients may come to it: {error}; then give a RELEASE again")
        else:
            services.end_all_but(self.place, [old.port] if old else self.nginx.ports())

    def _free_port(self, old: Serving | None) -> int:
        free = [port for port in self.ports if old is None or port != old.port]
        for port in free:
            if not services.listens(port):
                return port
        raise ValueError(
            f"another program listens at {HOST}:{' and '.join(map(str, free))}: end it, or name other --ports"
        )


def describe(place: Place) -> str:
    """What serves, and what did before, in lines."""
    state = place.state()
    serving, ports = state.serving, services.leaders(place)
    if serving is None:
        lines = ["nothing was deployed"]
    else:
        how = f"process {serving.pid}" if services.lives(place, serving) else "whose process has ended: deploy again"
        lines = [f"{serving.name} serves at {HOST}:{serving.port} since {serving.since}, {how}"]
        lines += [f"  {name}: {sha256}" for name, sha256 in _champions(place, serving).items()]
    left = [port for port in ports if serving is None or port != serving.port]
    lines += [f"a service at {HOST}:{port} was left by a deployment that did not end" for port in left]
    lines += [f"before: {release.release[:DIGITS]}" for release in reversed(state.before)]
    return "\n".join(lines)


def _champions(place: Place, release: Release) -> dict[str, str]:
    catalogue = read_catalogue(place.releases(release))
    return {f"{tiles}/{recipe}": catalogue.sha256[f"{tiles}/{recipe}"] for tiles, recipe in catalogue.champions.items()}
