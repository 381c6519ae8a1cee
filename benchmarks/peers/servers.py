"""The service and its peers as processes of their own, each on a free port of 127.0.0.1."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from benchmarks.peers.model import BUNDLES
from tools.rehearse.programs import free_port

READY_SECONDS = 180  # all start at once
SETS = ("r64", "gri128")


class Server(NamedTuple):
    """How to start a server, and what to ask of it."""

    name: str
    command: tuple[str, ...]  # after `python -m`; the port follows
    path: str = "/generate"
    formats: tuple[str, ...] = ("npy", "png")
    engines: tuple[str, ...] = ("auto",)


_LITSERVE = "benchmarks.peers.litserve_tiles"
SKYGEN = Server("skygen", ("bentoml", "serve", "serving.service:Skygen", "--port"), "/v1/generate")
NOTHING = Server("BentoML, no-op", ("bentoml", "serve", "benchmarks.peers.bentoml_nothing:Nothing", "--port"))
PEERS = (
    Server(
        "FastAPI",
        ("uvicorn", "benchmarks.peers.fastapi_plain:app", "--loop", "uvloop", "--no-access-log", "--port"),
        engines=("auto", "eager"),
    ),
    Server("LitServe", (_LITSERVE, "--port")),
    Server("LitServe, 2 workers", (_LITSERVE, "--workers", "2", "--port")),
    Server("LitServe, batches of 8", (_LITSERVE, "--batch", "8", "--port"), engines=("auto", "eager")),
    Server("LitServe, batches of 8, 2 workers", (_LITSERVE, "--batch", "8", "--workers", "2", "--port")),
    Server(  # the last: it answers as JSON whatever is asked for
        "BentoML, JSON lists",
        ("bentoml", "serve", "benchmarks.peers.bentoml_plain:Plain", "--port"),
        formats=("npy",),
        engines=("auto", "eager"),
    ),
)


@contextmanager
def started(servers: Sequence[Server], bundles: Path, logs: Path) -> Iterator[dict[Server, int]]:
    """The ports of servers over `bundles`, each of which has answered; raises `RuntimeError` where one does not."""
    with ExitStack() as stack:
        ports = {server: stack.enter_context(_running(server, bundles, logs)) for server in servers}
        for server, port in ports.items():
            for tiles in SETS:
                _await_answer(server, port, tiles, logs)
        yield ports


@contextmanager
def _running(server: Server, bundles: Path, logs: Path) -> Iterator[int]:
    port = free_port()
    ours = {"SKYGEN_BUNDLES": str(bundles), "SKYGEN_DEVICE": "cpu", BUNDLES: str(bundles)}
    alone = {"BENTOML_HOME": str(logs / "bentoml"), "BENTOML_DO_NOT_TRACK": "True"}
    command = [sys.executable, "-m", *server.command, str(port)]
    with (logs / server.name).open("w") as log:
        process = subprocess.Popen(
            command, env=os.environ | ours | alone, stdout=log, stderr=log, start_new_session=True
        )
        try:
            yield port
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Stop a process and those that it started, which are its group."""
    process.terminate()
    try:
        with suppress(subprocess.TimeoutExpired):
            process.wait(15)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _await_answer(server: Server, port: int, tiles: str, logs: Path) -> None:
    end = time.monotonic() + READY_SECONDS
    body: dict[str, Any] = {"size": 1} if server is NOTHING else {"tiles": tiles}
    last = ""
    while time.monotonic() < end:
        try:
            answer = httpx.post(f"http://127.0.0.1:{port}{server.path}", json=body, timeout=60)
            if answer.is_success:
                return
            last = f"; its last answer: {answer.status_code} {answer.text[:300]}"
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    log = (logs / server.name).read_text()[-3000:]
    raise RuntimeError(f"{server.name} did not answer in {READY_SECONDS} s{last}; the end of its log:\n{log}")
