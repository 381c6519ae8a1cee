"""Programs and ports: what is found on this machine, started as a process, waited for and ended."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

PACKAGES = {  # Debian's, by the program
    "alertmanager": "prometheus-alertmanager",
    "initdb": "postgresql",
    "nginx": "nginx-light",
    "prometheus": "prometheus",
    "runuser": "util-linux",
}
_OTHER_NAMES = {"alertmanager": ("prometheus-alertmanager",)}
_PLACES = ("/usr/local/sbin", "/usr/sbin", *sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True))
READY_SECONDS = 120.0  # for a program on a busy machine


def find(name: str) -> str:
    """The path of a program; ends the command with the packages to install where any of them is missing."""
    places = os.pathsep.join([os.environ.get("PATH", ""), *_PLACES])
    found = [shutil.which(known, path=places) for known in (name, *_OTHER_NAMES.get(name, ()))]
    for path in filter(None, found):
        return str(path)
    packages = " ".join(PACKAGES.values())
    sys.exit(f"rehearse: {name} is missing; Debian has what is needed: apt-get install {packages}")


def free_port() -> int:
    """A port of 127.0.0.1 at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(
    name: str, command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """A program that runs meanwhile in `folder`, and logs into NAME.log there."""
    log = folder / f"{name}.log"
    with (
        log.open("ab") as written,
        subprocess.Popen(command, cwd=folder, env=environment, stdout=written, stderr=written) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def await_port(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until a program listens at `port`; raises `RuntimeError` with the end of its log where it does not."""

    def listens() -> bool:
        if process.poll() is not None:
            raise RuntimeError(f"it ended with {process.returncode}:\n{log.read_text(errors='replace')[-2000:]}")
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", port)) == 0

    await_true(listens, f"{log.stem} listens at {port}")


def await_true(is_so: Callable[[], bool], what: str, seconds: float = READY_SECONDS) -> None:
    """Wait until something is so; raises `RuntimeError` where it is not in time."""
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            raise RuntimeError(f"not so within {seconds:g} s: {what}")
        time.sleep(0.2)
