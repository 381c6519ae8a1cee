"""The shipped nginx.conf under a real nginx, with ports, folders and times changed for a test and nothing else."""

import re
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.harness.raw import Address
from tests.programs import program

SHIPPED = Path(__file__).parents[2] / "serving/proxy/nginx.conf"
UPSTREAM = SHIPPED.with_name("upstream.conf")
FOLDERS = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def changed(text: str, changes: Mapping[str, str]) -> str:
    """The configuration with each text replaced; every one must be there once."""
    for old, new in changes.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


@contextmanager
def proxied(
    folder: Path, service: Address, changes: Mapping[str, str] | None = None, beside: Sequence[Address] = ()
) -> Iterator[Address]:
    """The address of an nginx in front of `service`, and others `beside` it, which runs in `folder` as this user."""
    nginx = program("nginx")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address: Address = probe.getsockname()
    paths = "".join(f"    {name}_temp_path {folder}/{name};\n" for name in FOLDERS)
    here = {
        "pid /run/nginx.pid;": f"pid {folder}/pid;\ndaemon off;",
        "http {\n": "http {\n" + paths,
        "listen 8080": f"listen {address[0]}:{address[1]}",
        "worker_processes auto;": "worker_processes 1;",
    }
    text = re.sub(r"/var/log/nginx/", f"{folder}/", changed(SHIPPED.read_text(), here | dict(changes or {})))
    (folder / "nginx.conf").write_text(text)
    others = "".join(f"server {host}:{port};\n    " for host, port in beside)
    asked = {"server 127.0.0.1:3000": f"{others}server {service[0]}:{service[1]}"}
    (folder / "upstream.conf").write_text(changed(UPSTREAM.read_text(), asked))
    command = [nginx, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        try:
            _await(address, running)
            yield address
        finally:
            running.terminate()
            running.wait(30)


@contextmanager
def asked_through(
    client: httpx.Client, folder: Path, changes: Mapping[str, str] | None = None, path: str = ""
) -> Iterator[httpx.Client]:
    """A client of what `client` asks, through such an nginx, below its `path`."""
    host, port = client.base_url.host, client.base_url.port
    assert port
    with (
        proxied(folder, (host, port), changes) as address,
        httpx.Client(base_url=f"http://{address[0]}:{address[1]}{path}", timeout=30) as asked,
    ):
        yield asked


def _await(address: Address, running: "subprocess.Popen[str]") -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end and running.poll() is None:
        try:
            socket.create_connection(address, timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    assert running.stderr
    pytest.fail(f"nginx did not start: {running.stderr.read() if running.poll() is not None else 'no answer'}")
