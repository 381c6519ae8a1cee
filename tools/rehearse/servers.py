"""The servers around the project, each a real one on a port of its own: database, tracking, alarms, proxy."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import cast

from tools.rehearse.programs import await_port, find, free_port, running

HOST = "127.0.0.1"
_SERVER_USER = "postgres"  # Debian's: PostgreSQL does not run as root
_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")  # folders of nginx


class Database:
    """A PostgreSQL of its own below `folder`, which may be killed and brought back."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._data, self.port = folder, folder / "postgresql", free_port()
        self._as_server = [find("runuser"), "-u", _SERVER_USER, "--"] if os.geteuid() == 0 else []
        self._data.mkdir()
        if self._as_server:
            shutil.chown(self._data, _SERVER_USER)
        self._run("initdb", "--auth=trust", "--username=skygen", "--encoding=UTF8", "--locale=C")

    @property
    def uri(self) -> str:
        """The address for MLflow."""
        return f"postgresql+psycopg://skygen@{HOST}:{self.port}/postgres"

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        options = f"-p {self.port} -c listen_addresses={HOST} -c unix_socket_directories={self._data}"
        self._run("pg_ctl", "start", "--wait", f"--log={self._data}/server.log", f"--options={options}")

    def kill(self) -> None:
        """End it as a crash does: nothing is written any more, and connections break."""
        self._run("pg_ctl", "stop", "--mode=immediate")

    def _run(self, name: str, *arguments: str) -> None:
        program = Path(find("initdb")).with_name(name)
        with (self._folder / "postgresql.log").open("ab") as log:  # no pipe, which the server would keep open
            command = [*self._as_server, str(program), f"--pgdata={self._data}", *arguments]
            subprocess.run(command, cwd="/", stdout=log, stderr=log, check=True)


@contextmanager
def database(folder: Path) -> Iterator[Database]:
    """A PostgreSQL that runs meanwhile."""
    made = Database(folder)
    made.start()
    try:
        yield made
    finally:
        made.kill()


@contextmanager
def tracking(folder: Path, store: str) -> Iterator[str]:
    """An MLflow server over the database at `store`, which keeps and hands out the artifacts itself; its address."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", store, "--artifacts-destination", str(folder / "artifacts")]
    with running("mlflow", command, folder) as process:
        await_port(port, process, folder / "mlflow.log")
        yield f"http://{HOST}:{port}"


class Receiver(ThreadingHTTPServer):
    """Who is told of alerts: keeps the bodies that Alertmanager sends, one of them a call."""

    def __init__(self) -> None:
        self.told: list[bytes] = []
        super().__init__((HOST, 0), _Told)


class _Told(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        """Keep what is sent."""
        told = cast(Receiver, self.server).told
        told.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *_: object) -> None:
        """Say nothing: standard error is for what goes wrong."""


@contextmanager
def receiver() -> Iterator[Receiver]:
    """Somebody who is told of alerts meanwhile."""
    server = Receiver()
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()


@contextmanager
def alarms(folder: Path, shipped: Path, services: Path, exporter: int, told: Receiver) -> Iterator[None]:
    """Prometheus and Alertmanager with the files in `shipped`, whose times are shortened, and `told` as the receiver.

    What is scraped every 2 s are the services that the file `services` names, and the exporter at its port.
    """
    own = folder / "alarms"
    shutil.copytree(shipped, own)
    alertmanager, prometheus = free_port(), free_port()
    _shorten(own / "alerts.yml", {r"for: \d+m": "for: 4s", r"\[(15|30)m\]": "[30s]", r"\[(5|10)m\]": "[20s]"})
    url = f"http://{HOST}:{told.server_address[1]}/"
    waits = {r"group_wait: \w+": "group_wait: 1s", r"group_interval: \w+": "group_interval: 2s"}
    _shorten(own / "alertmanager.yml", waits | {r"api_url_file: \S+": f"api_url_file: {own}/receiver"})
    (own / "receiver").write_text(url)
    places = {r"localhost:9093": f"{HOST}:{alertmanager}", r"localhost:9109": f"{HOST}:{exporter}"}
    found = f'file_sd_configs:\n      - files: ["{services}"]'
    places |= {r'static_configs:\n +- targets: \["localhost:3000"\]': found, r"_interval: \d+s": "_interval: 2s"}
    _shorten(own / "prometheus.yml", places)
    first = [find("alertmanager"), f"--config.file={own}/alertmanager.yml", f"--storage.path={own}/silences"]
    first += [f"--web.listen-address={HOST}:{alertmanager}", "--cluster.listen-address="]
    second = [find("prometheus"), f"--config.file={own}/prometheus.yml", f"--storage.tsdb.path={own}/series"]
    second += [f"--web.listen-address={HOST}:{prometheus}"]
    with (
        running("alertmanager", first, folder) as one,
        running("prometheus", second, folder) as other,
    ):
        await_port(alertmanager, one, folder / "alertmanager.log")
        await_port(prometheus, other, folder / "prometheus.log")
        yield


def _shorten(path: Path, changes: dict[str, str]) -> None:
    """Change what the rehearsal has no time for, or has at another place; each pattern must be there."""
    text = path.read_text(encoding="utf-8")
    for pattern, new in changes.items():
        text, count = re.subn(pattern, new, text)
        if not count:
            raise RuntimeError(f"{path.name} has no {pattern}: the rehearsal was written for another one")
    path.write_text(text, encoding="utf-8")


@contextmanager
def proxy(folder: Path, shipped: Path) -> Iterator[tuple[str, str]]:
    """The call and the address of an nginx that runs meanwhile with the configuration in `shipped`."""
    own, port = folder / "nginx", free_port()
    shutil.copytree(shipped, own)
    temporary = "".join(f"    {name}_temp_path {own}/{name};\n" for name in _TEMPORARY)
    changes = {r"pid /run/nginx.pid;": f"pid {own}/pid;", r"http {\n": f"http {{\n{temporary}"}
    changes |= {r"/var/log/nginx/": f"{own}/", r"listen 8080": f"listen {HOST}:{port}"}
    _shorten(own / "nginx.conf", changes)
    command = [find("nginx"), "-p", str(own), "-c", str(own / "nginx.conf"), "-e", str(own / "error.log")]
    with running("nginx", [*command, "-g", "daemon off;"], folder) as process:
        await_port(port, process, folder / "nginx.log")
        yield " ".join(command), f"http://{HOST}:{port}"
