"""Services of a place as processes of their own, which outlive the command: started, found again, and ended."""

import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import psutil  # type: ignore[import-untyped]

from skygen.deploy.place import HOST, Place, Release, Serving
from skygen.files import make_folder

GRACE_SECONDS: Final = 75  # for calls in flight; the service answers within SKYGEN_TIMEOUT_SECONDS, 60 s
_KEYS: Final = ("SKYGEN_API_KEYS", "SKYGEN_API_KEYS_FILE")
_SAME_SECONDS: Final = 2.0  # two looks at when a process began differ by less


@dataclass(frozen=True)
class Started:
    """A service that this command started: what it is, its process, where its log begins, and a key of its own."""

    serving: Serving
    process: "subprocess.Popen[bytes]"
    log: Path
    log_from: int
    key: str | None

    def ended(self) -> str:
        """The last lines of its log."""
        text = self.log.read_bytes()[self.log_from :].decode(errors="replace")
        return "\n".join(text.splitlines()[-12:])


def start(place: Place, release: Release, colour: str, port: int) -> Started:
    """Have the release served at `port` by a process that does not end with this one.

    Where clients need keys it has one more, which nobody else knows. Its settings are those of our environment.
    """
    home, log = place.home(colour), place.log(colour)
    shutil.rmtree(home, ignore_errors=True)
    make_folder(home)
    make_folder(log.parent)
    variables = {"BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "True"}
    variables["SKYGEN_BUNDLES"] = str(place.releases(release))
    key = secrets.token_urlsafe(32) if any(os.environ.get(name) for name in _KEYS) else None
    if key:
        variables[_KEYS[0]] = ",".join(filter(None, [os.environ.get(_KEYS[0]), key]))
    with log.open("ab") as stream:
        begins = stream.seek(0, os.SEEK_END)
        process = subprocess.Popen(
            _command(place.bentos / release.bento, port),
            env=os.environ | variables,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
    serving = Serving(
        **release.model_dump(),
        colour=colour,
        port=port,
        pid=process.pid,
        started=psutil.Process(process.pid).create_time(),
        since=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    return Started(serving, process, log, begins, key)


def _command(bento: Path, port: int) -> list[str]:
    where = ["--host", HOST, "--port", str(port), "--timeout-graceful-shutdown", str(GRACE_SECONDS)]
    return [sys.executable, "-m", "bentoml", "serve", str(bento), *where]


def leaders(place: Place) -> dict[int, psutil.Process]:
    """The commands that serve a Bento of this place, by their ports: known by what they were started as."""
    found = {}
    for process in _ours(place):
        words = _words(process)
        if "serve" in words and "--port" in words:
            found[int(words[words.index("--port") + 1])] = process
    return found


def lives(place: Place, serving: Serving | None) -> bool:
    """Whether the process that serves is the one that was started: its number may be another's by now."""
    leader = leaders(place).get(serving.port) if serving else None
    return (
        serving is not None
        and leader is not None
        and leader.pid == serving.pid
        and abs(leader.create_time() - serving.started) < _SAME_SECONDS
    )


def end_all_but(place: Place, kept: Sequence[int]) -> None:
    """End the services of this place but those at the ports `kept`, and workers that a killed one left."""
    for port, leader in leaders(place).items():
        if port not in kept:
            end(leader)
    spared = {leader.pid for leader in leaders(place).values()}
    for process in _ours(place):
        if not spared & {process.pid, *(parent.pid for parent in process.parents())}:
            end(process)


def end(leader: psutil.Process) -> None:
    """Have a service finish its calls and end; it is killed, with its workers, where it does not in time."""
    try:
        family = [leader, *leader.children(recursive=True)]
        leader.terminate()
    except psutil.NoSuchProcess:
        return
    _, left = psutil.wait_procs(family, GRACE_SECONDS + 10)
    for process in left:
        process.kill()
    psutil.wait_procs(left, 10)


def listens(port: int) -> bool:
    """Whether somebody listens at a port of this machine."""
    import socket

    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex((HOST, port)) == 0


def _ours(place: Place) -> list[psutil.Process]:
    inside = f"{place.bentos}{os.sep}"
    return [found for found in psutil.process_iter() if any(word.startswith(inside) for word in _words(found))]


def _words(process: psutil.Process) -> list[str]:
    try:
        words: list[str] = process.cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return []
    return words


def deadline(seconds: float) -> "Deadline":
    """A clock that runs from now on."""
    return Deadline(time.monotonic() + seconds)


@dataclass(frozen=True)
class Deadline:
    """A moment by which something must have come about."""

    moment: float

    def waits(self, pause: float = 0.2) -> bool:
        """Whether there is time left, after a pause."""
        if time.monotonic() >= self.moment:
            return False
        time.sleep(pause)
        return True
