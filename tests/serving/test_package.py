"""The Bento: built offline from the stage's files alone, and served from its unpacked export."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from pipelines.package import build, lay_out, serving_requirements
from serving.http.auth import LOOK_SECONDS
from skygen.bundle.bundle import Bundle
from skygen.files import read_json
from skygen.release import Champion
from skygen.selection.promotion import bundle_folder
from tests.harness.served import Service, served

ROOT = Path(__file__).parents[2]
KEY = "a-key-of-the-file-0123456789"
CHAMPIONS = {"r64": "improved", "gri128": "gan"}
VERSIONS = {"r64": "7"}  # in the registry
SEEDS = {"r64": {"gan": 3, "improved": 0}, "gri128": {"gan": 0, "scene": 1}}


@pytest.fixture(scope="module")
def stage(
    bundles: Path, tmp_path_factory: pytest.TempPathFactory, write_store: Callable[..., object]
) -> Iterator[Path]:
    """A stage laid out in an empty project, which holds models and links to the source."""
    project = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        for name in ("serving", "requirements.lock"):
            (project / name).symlink_to(ROOT / name)
        for tiles, recipes in SEEDS.items():
            for recipe, seed in recipes.items():
                shutil.copytree(bundles / tiles / recipe, project / "models" / tiles / recipe / str(seed) / "bundle")
        for tiles, shape in {"r64": (30, 1, 64, 64), "gri128": (4, 3, 128, 128)}.items():
            flux = np.random.default_rng(0).normal(0, 0.03, shape).astype(np.float32)
            write_store(project / "data/tiles" / tiles, dict.fromkeys(("train", "validation", "test"), flux))
        packed = {
            f"{tiles}/{recipe}": bundle_folder(tiles, recipe, seed)
            for tiles, recipes in SEEDS.items()
            for recipe, seed in recipes.items()
        }
        champions = {
            tiles: Champion(recipe, packed[f"{tiles}/{recipe}"], VERSIONS.get(tiles))
            for tiles, recipe in CHAMPIONS.items()
        }
        lay_out(project / "stage", packed, champions, "simulated")
        yield project / "stage"


@pytest.fixture(scope="module")
def bento(stage: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Bento of a stage that is gone, exported and unpacked; a word of the stage's package was its own."""
    folder = tmp_path_factory.mktemp("bento")
    changed = shutil.copytree(stage, folder / "stage")
    source = changed / "skygen/formats/json_file.py"
    source.write_text(source.read_text().replace('"nanomaggy"', '"nanomaggy of the stage"'))
    shutil.unpack_archive(build(changed, folder / "building"), folder / ".bento", "tar")
    shutil.rmtree(changed)
    return folder / ".bento"


def test_the_stage_holds_service_package_and_bundles(stage: Path, bundles: Path) -> None:
    contents = read_json(stage / "bundles/catalogue.json")
    assert (contents["champions"], contents["versions"]) == (CHAMPIONS, VERSIONS)
    assert contents["sha256"]["gri128/scene"] == Bundle.load(bundles / "gri128/scene").sha256
    assert [np.load(stage / f"bundles/{name}/real.npy").shape[0] for name in SEEDS] == [24, 4]
    assert read_json(stage / "bundles/r64/real.json")["fields"] == ["94-1-2"] * 24
    assert Bundle.load(stage / "bundles/r64/gan").sha256 == Bundle.load(bundles / "r64/gan").sha256
    described = read_json(stage / "bentofile.yaml")
    assert described["labels"]["gri128.gan"] == Bundle.load(bundles / "gri128/gan").sha256
    assert described["labels"]["r64.champion"] == "improved"
    assert not list(stage.rglob("__pycache__"))


def test_the_exported_bento_serves_its_own_code_and_bundles(bento: Path, tmp_path: Path) -> None:
    """A word changed in the stage's package comes out of the port: so it is the Bento's package that runs."""
    # An absolute path: BentoML 1.4.39 joins a relative one to itself and finds nothing.
    with served(tmp_path, {}, None, target=str(bento), typed_in=tmp_path) as service, service.client() as client:
        response = client.post("/v1/generate", json={"tiles": "gri128", "n": 2, "seed": 7, "format": "json"})
        models = client.get("/v1/models").json()["models"]
        assert re.search(r'skygen_build_info\{.*commit="unknown"', client.get("/metrics").text)
    assert response.json()["unit"] == "nanomaggy of the stage"
    assert {(model["tiles"], model["recipe"]) for model in models if model["champion"]} == set(CHAMPIONS.items())
    versions = {model["tiles"]: model["registry_version"] for model in models if model["champion"]}
    assert versions == {"r64": "7", "gri128": None}


def test_a_bento_keeps_its_locks_whatever_becomes_of_their_file(bento: Path, tmp_path: Path) -> None:
    """Files are named where the command is typed, which is not where workers run; without them nothing answers."""
    typed_in = tmp_path / "operator"
    shutil.copytree(bento / "src/bundles", typed_in / "mine")
    keys = typed_in / "keys.txt"
    keys.write_text(f"{KEY} # the observatory\n")
    settings = {"SKYGEN_API_KEYS_FILE": "keys.txt"}
    bearer = {"Authorization": f"Bearer {KEY}"}
    with served(tmp_path, settings, "mine", target=str(bento), typed_in=typed_in) as service:
        for path in ("/v1/models", "/docs.json", "/metrics", "/schema.json", "/static_content/none.js"):
            assert httpx.get(service.url + path).status_code == 401
        assert "Synthetic tiles of the SDSS sky" in httpx.get(service.url).text
        assert httpx.get(f"{service.url}/v1/models", headers=bearer).status_code == 200
        keys.unlink()
        time.sleep(LOOK_SECONDS)
        assert httpx.get(f"{service.url}/v1/models", headers=bearer).status_code == 200
        assert httpx.get(f"{service.url}/v1/models").status_code == 401
        service.workers()[0].kill()
        assert answers_until_its_end(service, "/docs.json", "/schema.json") <= {401, 503}
        assert service.process.returncode == 1
        assert f"nothing to serve: [Errno 2] SKYGEN_API_KEYS_FILE: No such file or directory: '{keys}'" in (
            service.log.read_text()
        )


def answers_until_its_end(service: Service, *paths: str) -> set[int]:
    """Every status that a service answers with before its command ends."""
    answers: set[int] = set()
    while service.process.poll() is None:
        try:
            answers |= {httpx.get(service.url + path, timeout=5).status_code for path in paths}
        except httpx.TransportError:
            time.sleep(0.05)
    return answers


def test_the_package_imports_with_what_serving_needs_alone(stage: Path) -> None:
    """The Bento's room for tiles and bundles asks for none of what training, tracking and the sky need."""
    absent = ["mlflow", "dvc", "galsim", "scipy", "matplotlib"]
    hide = f"import sys; sys.modules.update(dict.fromkeys({absent}));"
    command = [sys.executable, "-c", f"{hide} import serving.service, skygen; print(skygen.__file__)"]
    environment = os.environ | {"BENTOML_DO_NOT_TRACK": "True"}
    run = subprocess.run(command, cwd=stage, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert Path(run.stdout.strip()) == stage / "skygen/__init__.py"


def test_requirements_are_pinned_and_no_more_than_serving_needs() -> None:
    pins = serving_requirements((ROOT / "requirements.lock").read_text())
    names = {pin.split("==")[0] for pin in pins}
    assert all("==" in pin for pin in pins)
    assert {"bentoml", "torch", "astropy", "pillow", "prometheus-client", "fastapi", "orjson"} <= names
    assert {"onnxruntime", "httptools", "sep", "uvloop"} <= names
    assert not names & {"mlflow", "dvc", "galsim", "scipy", "pytest", "ruff", "openvino"}
