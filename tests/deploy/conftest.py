"""What deployments are made of: a Bento, releases of small bundles, the shipped nginx, and clients that ask all day."""

import os
import shutil
import subprocess
import sys
import tarfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import httpx
import numpy as np
import pytest

import skygen
from skygen.deploy import services
from skygen.deploy.place import Place, State
from skygen.files import sha256_file, sha256_folder, write_json
from tests.serving.proxied import proxied
from tools.rehearse.programs import free_port

ROOT = Path(__file__).parents[2]
DESCRIPTION = """
service: serving.service:Skygen
name: skygen
version: test
bentoml_version: 1.4.39
creation_time: '2026-11-29T22:33:41.624515+00:00'
models: []
entry_service: skygen
services: [{name: skygen, service: '', models: [], dependencies: [], config: {workers: 1, metrics: {enabled: false}}}]
schema: {name: skygen, type: service, routes: []}
spec: 2
image: {python_version: '3.11', python_requirements: ''}
"""
KEY = "a-key-of-every-client-0123456789"
ADDRESSES = [f"127.0.0.{number}" for number in (2, 3, 8, 10)]  # nginx lets half of them hear a canary of 50 %
RELEASES = {"one": {"seed": 0}, "two": {"seed": 1}, "three": {"seed": 2}, "noisy": {"seed": 3}}


@pytest.fixture(scope="session")
def bento(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code of this checkout as a Bento; bundles it has none, since every service is given a release."""
    folder = tmp_path_factory.mktemp("bento")
    without_caches = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "serving", folder / "src/serving", ignore=without_caches)
    shutil.copytree(Path(skygen.__file__).parent, folder / "src/skygen", ignore=without_caches)
    (folder / "bento.yaml").write_text(DESCRIPTION)
    with tarfile.open(folder / "skygen.bento", "w:xz", preset=0) as archive:
        for name in ("src", "bento.yaml"):
            archive.add(folder / name, name)
    return folder / "skygen.bento"


@pytest.fixture(scope="session")
def releases(tmp_path_factory: pytest.TempPathFactory, write_bundle: Callable[..., object]) -> Path:
    """Releases of one generator each; beside that of `noisy` lie real tiles with a hundred times less noise."""
    folder = tmp_path_factory.mktemp("releases")
    for name, changes in RELEASES.items():
        write_bundle(folder / name / "r64/gan", **changes)
        contents: dict[str, object] = {
            "champions": {"r64": "gan"},
            "sha256": {"r64/gan": sha256_folder(folder / name / "r64/gan")},
        }
        if name == "noisy":
            real = folder / name / "r64/real.npy"
            np.save(real, np.random.default_rng(0).normal(0, 1e-4, (4, 1, 64, 64)).astype(np.float32))
            write_json(real.with_suffix(".json"), {"source": "simulated", "split": "test", "fields": ["94-1-12"] * 4})
            contents["real"] = {"r64": sha256_file(real)}
        write_json(folder / name / "catalogue.json", contents)
    return folder


@dataclass
class Answers:
    """What calls through nginx came to, and in their order which address was answered by which service."""

    outcomes: Counter[str] = field(default_factory=Counter)
    heard: list[tuple[str, str]] = field(default_factory=list)

    def turns(self, address: str) -> list[str]:
        """The services that an address heard, each as often as it changed to it."""
        return [name for name, _ in groupby(name for heard_at, name in self.heard if heard_at == address)]


@dataclass(frozen=True)
class Site:
    """A place of deployments behind an nginx of its own."""

    place: Place
    releases: Path
    options: list[str]
    nginx: str
    url: str

    @property
    def upstream(self) -> Path:
        """The file that nginx includes."""
        return self.place.folder.parent / "upstream.conf"

    def command(self, *words: str) -> list[str]:
        """`skygen deploy` with these words, where the first one may name a release."""
        first = [str(self.releases / words[0]), *words[1:]] if words[0] in RELEASES else list(words)
        return ["deploy", *first, *self.options]

    def deploy(self, *words: str, **settings: str) -> "subprocess.CompletedProcess[str]":
        """What the command comes to."""
        with self.start(*words, **settings) as process:
            out, err = process.communicate(timeout=600)
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def start(self, *words: str, **settings: str) -> "subprocess.Popen[str]":
        """The command as a process of its own."""
        call = [sys.executable, "-c", "from skygen.cli import main; main()", *self.command(*words)]
        own = {"SKYGEN_DEVICE": "cpu", "SKYGEN_ENGINE": "eager", "SKYGEN_API_KEYS": KEY, "HOME": str(self.place.folder)}
        pipe = subprocess.PIPE
        return subprocess.Popen(call, env=os.environ | own | settings, cwd=ROOT, stdout=pipe, stderr=pipe, text=True)

    def state(self) -> State:
        """What state.json says."""
        return self.place.state()

    def seen(self) -> tuple[State, str, list[int]]:
        """All that a deployment that fails must leave as it was: state, upstreams, and services by their processes."""
        leaders = services.leaders(self.place)
        return self.state(), self.upstream.read_text(), [leaders[port].pid for port in sorted(leaders)]

    @contextmanager
    def asked(self) -> Iterator[Answers]:
        """Clients that ask through nginx all the time, each from an address of its own."""
        answers, over, key = Answers(), threading.Event(), {"Authorization": f"Bearer {KEY}"}

        def client(address: str) -> None:
            seed = 0
            while not over.is_set():
                try:
                    with httpx.Client(
                        transport=httpx.HTTPTransport(local_address=address), headers=key, timeout=60
                    ) as calling:
                        answer = calling.get(f"{self.url}/v1/tile/r64/{seed}.npy")
                    answers.outcomes[str(answer.status_code)] += 1
                    answers.heard.append((address, answer.headers["X-Skygen-Service"]))
                except httpx.TransportError as error:
                    answers.outcomes[repr(error)] += 1
                seed += 1
                time.sleep(0.1)  # the services that start need the cores too

        with ThreadPoolExecutor(len(ADDRESSES)) as clients:
            for address in ADDRESSES:
                clients.submit(client, address)
            try:
                yield answers
            finally:
                over.set()


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory, bento: Path, releases: Path) -> Iterator[Site]:
    """A site where nothing was deployed."""
    folder = tmp_path_factory.mktemp("site")
    with proxied(folder, ("127.0.0.1", free_port())) as address:
        place = Place(folder / "deploy")
        nginx = f"nginx -p {folder} -c {folder}/nginx.conf -e {folder}/error.log"
        url = f"http://{address[0]}:{address[1]}"
        options = ["--bento", str(bento), "--folder", str(place.folder), "--nginx", nginx, "--url", url]
        try:
            yield Site(place, releases, [*options, "--ports", f"{free_port()},{free_port()}"], nginx, url)
        finally:
            services.end_all_but(place, [])


@pytest.fixture(scope="module")
def site(empty: Site) -> Site:
    """A site that serves the release `one`."""
    deployed = empty.deploy("one")
    assert deployed.returncode == 0, deployed.stderr
    return empty
