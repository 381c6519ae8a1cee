"""A real BentoML server on a real port."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from prometheus_client import REGISTRY

from serving.bundles import RealCard, RealTiles, ServedBundles
from skygen.bundle.bundle import Bundle
from skygen.files import sha256_file, sha256_folder, write_json
from tests.harness.served import Service, served
from tests.serving.samples import Added, all_series, noise_tiles


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
def running(bundles: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The checkout's service over the small bundles, one for all tests that change nothing in it."""
    with served(tmp_path_factory.mktemp("service"), {}, bundles) as service:
        yield service


@pytest.fixture(scope="session")
def client(running: Service) -> Iterator[httpx.Client]:
    """A client of that service."""
    with running.client() as started:
        yield started


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, write_bundle: Callable[..., object]) -> Bundle:
    folder = tmp_path_factory.mktemp("bundle")
    write_bundle(folder, recipe="scene", data_hash="0123456789abcdef" * 4)
    return Bundle.load(folder)


@pytest.fixture
def catalogue(bundle: Bundle) -> ServedBundles:
    real = RealTiles(RealCard(source="simulated", split="test", fields=["a"] * 8), noise_tiles(8, 0.03))
    return ServedBundles({"r64": {"scene": bundle}}, {"r64": "scene"}, {"r64": real})


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
