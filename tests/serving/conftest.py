"""A real BentoML server on a real port."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
from prometheus_client import REGISTRY

from serving.catalogue import Catalogue, RealCard, RealTiles
from skygen.bundle import Bundle
from skygen.files import sha256_file, sha256_folder, write_json
from tests.serving.samples import Added, all_series, noise_tiles

ROOT = Path(__file__).parents[2]

Serve = Callable[[str, Path, dict[str, str]], AbstractContextManager[httpx.Client]]


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory, write_bundle: Callable[..., object]) -> Path:
    """A folder as the service loads it: SET/RECIPE with a bundle each, real tiles of one set, and catalogue.json."""
    folder = tmp_path_factory.mktemp("bundles")
    write_bundle(folder / "r64/gan", seed=0)
    write_bundle(folder / "r64/improved", seed=1, recipe="improved")
    write_bundle(folder / "gri128/gan", seed=2, tiles="gri128", size=128, bands=["g", "r", "i"])
    write_bundle(folder / "gri128/scene", seed=3, recipe="scene", tiles="gri128", size=128, bands=["g", "r", "i"])
    hashes = {
        f"{card.parent.parent.name}/{card.parent.name}": sha256_folder(card.parent)
        for card in folder.glob("*/*/card.json")
    }
    rng = np.random.default_rng(0)
    np.save(folder / "r64/real.npy", rng.normal(0, 0.03, (5, 1, 64, 64)).astype(np.float32))
    contents = {"champions": {"r64": "improved", "gri128": "gan"}, "sha256": hashes}
    write_json(folder / "catalogue.json", contents | {"real": {"r64": sha256_file(folder / "r64/real.npy")}})
    write_json(folder / "r64/real.json", {"source": "simulated", "split": "test", "fields": ["94-1-12"] * 5})
    return folder


@pytest.fixture(scope="session")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Serve:
    """`with serve(target, folder, environment) as client`: a client of `bentoml serve target`, run in `folder`."""

    @contextmanager
    def served(target: str, folder: Path, environment: dict[str, str]) -> Iterator[httpx.Client]:
        home, port = tmp_path_factory.mktemp("home"), _free_port()
        command = [sys.executable, "-m", "bentoml", "serve", target, "--host", "127.0.0.1", "--port", str(port)]
        alone = {"HOME": str(home), "BENTOML_HOME": str(home / "bentoml"), "BENTOML_DO_NOT_TRACK": "True"}
        variables = os.environ | alone | environment
        with (
            (home / "log").open("w") as log,
            subprocess.Popen(command, cwd=folder, env=variables, stdout=log, stderr=log) as server,
            httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client,
        ):
            try:
                _await_ready(client, server, home / "log")
                yield client
            finally:
                server.terminate()

    return served


@pytest.fixture(scope="session")
def client(bundles: Path, serve: Serve) -> Iterator[httpx.Client]:
    """A client of the checkout's service over the small bundles, one for all tests."""
    with serve("serving.service:Skygen", ROOT, {"SKYGEN_BUNDLES": str(bundles), "SKYGEN_DEVICE": "cpu"}) as started:
        yield started


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_ready(client: httpx.Client, server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 90
    while time.monotonic() < end and server.poll() is None:
        try:
            if client.get("/readyz").is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    pytest.fail(f"the server did not get ready (exit status {server.poll()}); its log:\n{log.read_text()}")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, write_bundle: Callable[..., object]) -> Bundle:
    folder = tmp_path_factory.mktemp("bundle")
    write_bundle(folder, recipe="scene", data_hash="0123456789abcdef" * 4)
    return Bundle.load(folder)


@pytest.fixture
def catalogue(bundle: Bundle) -> Catalogue:
    real = RealTiles(RealCard(source="simulated", split="test", fields=["a"] * 8), noise_tiles(8, 0.03))
    return Catalogue({"r64": {"scene": bundle}}, {"r64": "scene"}, {"r64": real})


@pytest.fixture
def added() -> Added:
    """A function: by how much a series has grown since the test began."""
    before = {
        (sample.name, *sample.labels.items()): sample.value for found in REGISTRY.collect() for sample in found.samples
    }

    def since(name: str, **labels: str) -> float:
        [(series, value)] = [found for found in all_series().items() if found[0] == (name, *labels.items())]
        return value - before.get(series, 0.0)

    return since
