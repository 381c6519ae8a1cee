"""Prometheus and Alertmanager as operators run them, with the project's own files, and a receiver of what they send."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any

import httpx

from tests.harness.served import ROOT
from tests.programs import program
from tools.rehearse.programs import free_port

MONITORING = ROOT / "serving/monitoring"
PATIENCE_SECONDS = 60


@contextmanager
def prometheus(folder: Path, **addresses: str) -> Iterator[httpx.Client]:
    """A client of Prometheus over the project's configuration, copied into `folder` and made fast.

    `addresses` are what to put in the place of the service, the exporter and the alertmanager of that file.
    """
    shipped = (MONITORING / "prometheus.yml").read_text().replace("15s", "1s")
    for name, port in (("service", 3000), ("exporter", 9109), ("alertmanager", 9093)):
        assert f"localhost:{port}" in shipped
        shipped = shipped.replace(f"localhost:{port}", addresses.get(name, f"127.0.0.1:{free_port()}"))
    (folder / "prometheus.yml").write_text(shipped)
    shutil.copy(MONITORING / "alerts.yml", folder)
    command = [program("prometheus"), "--config.file=prometheus.yml", "--storage.tsdb.path=data"]
    with _started(command, folder) as client:
        yield client


@contextmanager
def alertmanager(folder: Path, **receivers: str) -> Iterator[httpx.Client]:
    """A client of Alertmanager over the project's configuration, copied into `folder`; `receivers` are its secrets."""
    (folder / "secrets").mkdir(parents=True)
    for name, url in receivers.items():
        (folder / f"secrets/{name}.url").write_text(f"{url}\n")
    home = folder / "serving/monitoring"
    home.mkdir(parents=True)
    shutil.copy(MONITORING / "alertmanager.yml", home)
    command = [program("prometheus-alertmanager"), "--config.file=alertmanager.yml", "--storage.path=data"]
    with _started([*command, "--cluster.listen-address="], home) as client:
        yield client


@contextmanager
def _started(command: list[str], folder: Path) -> Iterator[httpx.Client]:
    """A client of one of the two, once it is ready."""
    address = f"127.0.0.1:{free_port()}"
    with ExitStack() as stack:
        log = stack.enter_context((folder / "log").open("w"))
        process = subprocess.Popen([*command, f"--web.listen-address={address}"], cwd=folder, stdout=log, stderr=log)
        stack.callback(process.wait)
        stack.callback(process.terminate)
        client = stack.enter_context(httpx.Client(base_url=f"http://{address}"))
        for _ in _tries():
            assert process.poll() is None, (folder / "log").read_text()
            try:
                if client.get("/-/ready").is_success:
                    break
            except httpx.TransportError:
                pass
        yield client


def answer(of_prometheus: httpx.Client, query: str) -> float:
    """The one number of a query, once there is one."""
    for _ in _tries():
        found = of_prometheus.get("/api/v1/query", params={"query": query}).raise_for_status().json()
        if result := found["data"]["result"]:
            return float(result[0]["value"][1])
    raise AssertionError(f"Prometheus has no answer to {query}")


def alert_of(of_alertmanager: httpx.Client, name: str, state: str) -> dict[str, Any]:
    """The alert of a name, once it is `active` or `suppressed`."""
    for _ in _tries():
        found: list[dict[str, Any]] = of_alertmanager.get("/api/v2/alerts").raise_for_status().json()
        for alert in found:
            if alert["labels"]["alertname"] == name and alert["status"]["state"] == state:
                return alert
    raise AssertionError(f"Alertmanager has no {name} that is {state}")


def _tries() -> Iterator[None]:
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        yield
        time.sleep(0.2)


class Told:
    """A server on a free port of this machine: what is posted to each path, and the text that it gives as metrics."""

    def __init__(self) -> None:
        self.text = ""
        self.messages: dict[str, Queue[dict[str, Any]]] = {}
        told = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                told.messages[self.path].put(json.loads(body))
                self._answer("ok")

            def do_GET(self) -> None:
                self._answer(told.text)

            def _answer(self, text: str) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/plain")
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"

    def url(self, name: str) -> str:
        """An address to post to; `next` gives what came there."""
        self.messages[f"/{name}"] = Queue()
        return f"http://{self.address}/{name}"

    def next(self, name: str) -> dict[str, Any]:
        """What was posted first to the address of this name, and not asked for yet."""
        return self.messages[f"/{name}"].get(timeout=PATIENCE_SECONDS)

    @contextmanager
    def running(self) -> Iterator["Told"]:
        """Within, it answers."""
        thread = Thread(target=self._server.serve_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()
