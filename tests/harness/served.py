"""The checkout's service as its users run it: a supervisor and its workers, on a port of this machine."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil  # type: ignore[import-untyped]

from tests.harness.raw import Address
from tools.rehearse.programs import free_port

ROOT = Path(__file__).parents[2]
BUNDLES = ROOT / "bundles"
GRACE_SECONDS = 75  # as `make serve` gives: calls in flight may take a minute where others use the cores
READY_SECONDS = 180  # for a start beside other work


@dataclass(frozen=True)
class Service:
    """A running service: its supervisor, where it listens and where it logs."""

    process: subprocess.Popen[bytes]
    address: Address
    log: Path

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{self.address[0]}:{self.address[1]}"

    def workers(self) -> list[psutil.Process]:
        """The processes that answer, without the one that watches over them."""
        return list(psutil.Process(self.process.pid).children())

    @contextmanager
    def client(self) -> Iterator[httpx.Client]:
        """A client of it, patient as a busy machine needs."""
        with httpx.Client(base_url=self.url, timeout=60) as client:
            yield client

    def memory_bytes(self) -> int:
        """What the workers hold of the machine's memory."""
        return sum(worker.memory_info().rss for worker in self.workers())

    def series(self) -> set[str]:
        """The metrics with their labels, without their values."""
        lines = httpx.get(f"{self.url}/metrics", timeout=30).text.splitlines()
        return {line.rpartition(" ")[0] for line in lines if line and not line.startswith("#")}

    def traces(self) -> int:
        """Errors of its own that the service has logged."""
        return self.log.read_text(errors="replace").count("Traceback (most recent call last)")


@contextmanager
def served(
    folder: Path,
    settings: Mapping[str, str],
    bundles: Path | str | None = BUNDLES,
    port: int = 0,
    target: str = "serving.service:Skygen",
    typed_in: Path = ROOT,
) -> Iterator[Service]:
    """A ready service over `bundles` that logs into `folder`; `settings` are its environment. None: over its own.

    `target` is what `bentoml serve` is given, in the folder `typed_in`. It is asked to stop at the end where it still
    runs, with GRACE_SECONDS for the calls in flight, and killed where it does not. Raises `RuntimeError` with its
    log where it never gets ready.
    """
    log = folder / "service.log"
    address = ("127.0.0.1", port or free_port())
    command = [sys.executable, "-m", "bentoml", "serve", target, "--host", address[0]]
    command += ["--port", str(address[1]), "--timeout-graceful-shutdown", str(GRACE_SECONDS)]
    own = {"HOME": str(folder), "BENTOML_HOME": str(folder / "bentoml"), "BENTOML_DO_NOT_TRACK": "True"}
    own |= {"SKYGEN_DEVICE": "cpu"} | ({} if bundles is None else {"SKYGEN_BUNDLES": str(bundles)})
    variables = os.environ | own | dict(settings)
    with (
        log.open("wb") as written,
        subprocess.Popen(command, cwd=typed_in, env=variables, stdout=written, stderr=written) as process,
    ):
        service = Service(process, address, log)
        try:
            await_ready(service.url, process, log)
            yield service
        finally:
            stop(service)


def stop(service: Service) -> int:
    """The exit status of a service that is asked to stop; it is killed, with its workers, where it does not."""
    family = [] if service.process.poll() is not None else service.workers()
    service.process.terminate()
    try:
        return service.process.wait(GRACE_SECONDS + 10)
    except subprocess.TimeoutExpired:
        for process in (psutil.Process(service.process.pid), *family):
            process.kill()
        return service.process.wait()


def await_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the service that `process` starts is ready; raises `RuntimeError` with its log where it never is."""
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            if httpx.get(f"{url}/readyz", timeout=5).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise RuntimeError(
        f"the service did not get ready (exit status {process.poll()}); its log:\n{log.read_text(errors='replace')}"
    )
