"""nginx, as a deployment sees it: its file of upstreams, its reload, and who answers behind it."""

import os
import re
import shlex
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import psutil  # type: ignore[import-untyped]

from skygen.deploy.clock import Deadline
from skygen.deploy.place import HOST, Serving
from skygen.deploy.services import GRACE_SECONDS
from skygen.files import write_atomically

HEADER: Final = "X-Skygen-Service"
SERVER_PLACES: Final = ":/usr/local/sbin:/usr/sbin"  # nginx is a server: a user's PATH may lack its folder
_FILE: Final = re.compile(r"^# configuration file (.+):$\n", re.MULTILINE)
_SPLIT: Final = re.compile(r"^\s*split_clients\s+\S+\s+\$skygen\s", re.MULTILINE)
_UNSEEN_SECONDS: Final = 20  # for earlier calls, where nginx's processes cannot be seen
_SEEN: Final = 3  # calls in a row: each worker of nginx has its own moment
_SHIPPED: Final = "take nginx.conf and upstream.conf of serving/proxy, and say by --nginx how it is called"
Share = tuple[Serving, float]  # in percent of the clients


@dataclass(frozen=True)
class Nginx:
    """A running nginx with the shipped configuration: its command, the file of its upstreams, and where it answers."""

    command: Sequence[str]
    upstream: Path
    url: str
    pid: Path

    @classmethod
    def find(cls, command: str, url: str) -> "Nginx":
        """The nginx of `command` that answers at `url`; raises `ValueError` where there is none that could be led."""
        words = shlex.split(command)
        printed = _said(words, "-T")
        parts = _FILE.split(printed)[1:]
        files = dict(zip(parts[::2], parts[1::2], strict=True))
        found = [Path(name) for name, text in files.items() if _SPLIT.search(text)]
        if len(found) != 1 or len(files) == 1:
            raise ValueError(
                f"the configuration of `{command}` includes no upstream.conf that says $skygen; {_SHIPPED}"
            )
        pid = re.search(r"^\s*pid\s+(\S+);", printed, re.MULTILINE)
        nginx = cls(words, found[0].resolve(), url.rstrip("/"), Path(pid[1] if pid else "/run/nginx.pid"))
        try:
            name = nginx.answering()
        except httpx.TransportError as error:
            raise ValueError(
                f"no nginx answers at {url} ({error}), and skygen deploy switches between two services behind one: "
                f"start it by `{command}`, or say where it answers by --url; make serve needs none"
            ) from error
        if name is None:
            raise ValueError(
                f"what answers at {url} sends no {HEADER}: it is not the shipped configuration; {_SHIPPED}"
            )
        return nginx

    def answering(self) -> str | None:
        """The name of the upstream that a call of ours came to."""
        name: str | None = httpx.get(f"{self.url}/readyz", timeout=10, trust_env=False).headers.get(HEADER)
        return name

    def text(self) -> str:
        """The file of upstreams."""
        return self.upstream.read_text(encoding="utf-8")

    def lead(self, shares: Sequence[Share], alone: bool = True) -> Callable[[], None]:
        """Send the clients to `shares`, the first of which gets what is over; gives back what waits for earlier calls.

        Raises `ValueError` where nginx refuses, or where calls do not come to one that is to be alone.
        """
        await_end = self._write(render(shares))
        if alone:
            self._await(shares[0][0].name)
        return await_end

    def restore(self, text: str) -> Callable[[], None]:
        """Make `text` the file of upstreams again, where it is another; gives back what waits for earlier calls."""
        return (lambda: None) if self.text() == text else self._write(text)

    def leads_to(self, serving: Serving) -> bool:
        """Whether the file says that all calls go there."""
        return self.text() == render([(serving, 100)])

    def ports(self) -> list[int]:
        """The ports that the file names."""
        return [int(port) for port in re.findall(rf"^\s*server {HOST}:(\d+)", self.text(), re.MULTILINE)]

    def _write(self, text: str) -> Callable[[], None]:
        before, workers = self.text(), self._workers()
        with write_atomically(self.upstream) as temporary:
            temporary.write_text(text, encoding="utf-8")
        try:
            _said(self.command, "-t")
        except ValueError:
            with write_atomically(self.upstream) as temporary:
                temporary.write_text(before, encoding="utf-8")
            raise
        _said(self.command, "-s", "reload")
        return lambda: _await_end(workers)

    def _workers(self) -> list[psutil.Process] | None:
        """The processes that take calls; None where they cannot be seen from here, as in a container."""
        try:
            workers: list[psutil.Process] = psutil.Process(int(self.pid.read_text())).children()
        except (OSError, ValueError, psutil.Error):
            return None
        return workers

    def _await(self, name: str) -> None:
        limit, seen, found = Deadline(30), 0, None
        while limit.waits(0.1):
            with suppress(httpx.TransportError):
                found = self.answering()
            seen = seen + 1 if found == name else 0
            if seen == _SEEN:
                return
        raise ValueError(f"{self.url} is answered by {found} after the reload of nginx, not by {name}; see nginx's log")


def render(shares: Sequence[Share]) -> str:
    """The file of upstreams: the first of `shares` has all clients that no other one gets.

    A client's address decides, so that it hears one release all the time: by chance call by call, the tile of a seed
    would change to and fro.
    """
    blocks = "".join(
        f"upstream {serving.name} {{\n    server {HOST}:{serving.port} max_fails=0;\n"
        "    keepalive 64;\n    keepalive_timeout 4s;\n}\n"
        for serving, _ in shares
    )
    others = "".join(f"    {percent:.2f}% {serving.name};\n" for serving, percent in shares[1:])
    split = f"split_clients $remote_addr $skygen {{\n{others}    * {shares[0][0].name};\n}}\n"
    return f"# Written by skygen deploy.\n{blocks}{split}"


def _said(command: Sequence[str], *options: str) -> str:
    """What nginx prints; raises `ValueError` where it fails, or is not there."""
    environment = os.environ | {"PATH": os.environ.get("PATH", "") + SERVER_PLACES}
    try:
        ran = subprocess.run([*command, *options], env=environment, capture_output=True, text=True, check=False)
    except OSError as error:
        raise ValueError(
            f"{shlex.join(command)}: {error.strerror}, and skygen deploy switches between two services behind nginx: "
            "install it, or say how it is called by --nginx; make serve needs none"
        ) from error
    if ran.returncode:
        raise ValueError(f"`{shlex.join([*command, *options])}` failed, and nothing was changed: {ran.stderr.strip()}")
    return ran.stdout


def _await_end(workers: Sequence[psutil.Process] | None) -> None:
    """Wait until workers that were told to end have ended their calls: they ask whom they knew."""
    if workers is None:
        time.sleep(_UNSEEN_SECONDS)
    else:
        psutil.wait_procs(workers, GRACE_SECONDS)
