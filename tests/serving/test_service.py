"""The service through a real port: what it answers, that it repeats itself and what it counts."""

import io
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray
from PIL import Image

from skygen.bundle.bundle import Bundle
from skygen.bundle.tile import row


def generate(client: httpx.Client, **request: Any) -> httpx.Response:
    response = client.post("/v1/generate", json={"tiles": "r64", **request})
    assert response.status_code == 200, response.text
    return response


def flux(client: httpx.Client, **request: Any) -> NDArray[np.float32]:
    return np.load(io.BytesIO(generate(client, format="npy", **request).content), allow_pickle=False)


def counted(client: httpx.Client, metric: str) -> float:
    """The value of a metric with its labels, as /metrics prints them; 0 where it is not there yet."""
    found = re.search(rf"(?m)^{re.escape(metric)} (\S+)$", client.get("/metrics").text)
    return float(found[1]) if found else 0.0


@pytest.mark.parametrize(("tiles", "shape"), [("r64", (3, 1, 64, 64)), ("gri128", (3, 3, 128, 128))])
def test_npy_is_the_bundles_flux(client: httpx.Client, bundles: Path, tiles: str, shape: tuple[int, ...]) -> None:
    served = flux(client, tiles=tiles, n=3, seed=7, model="gan")
    assert served.shape == shape
    assert served.dtype == np.float32
    assert served.tobytes() == Bundle.load(bundles / tiles / "gan").generate(7, 3).tobytes()
    assert served.std() > 0


@pytest.mark.parametrize("tiles", ["r64", "gri128"])
def test_fits_equals_npy_and_names_its_origin(client: httpx.Client, bundles: Path, tiles: str) -> None:
    expected = flux(client, tiles=tiles, n=3, seed=7)
    response = generate(client, tiles=tiles, n=3, seed=7, format="fits")
    with fits.open(io.BytesIO(response.content), checksum=True) as hdus:
        served = np.stack([hdu.data for hdu in hdus[1:]]).reshape(expected.shape)
        headers = [hdu.header for hdu in hdus[1:]]
    assert served.astype("<f4").tobytes() == expected.tobytes()
    recipe = {"r64": "improved", "gri128": "gan"}[tiles]
    for index, header in enumerate(headers):
        assert (header["SEED"], header["INDEX"], header["RECIPE"], header["TILES"]) == (7, index, recipe, tiles)
        assert header["MODEL"] == response.headers["X-Skygen-Model"] == Bundle.load(bundles / tiles / recipe).sha256


def test_files_are_named_after_what_they_hold(client: httpx.Client) -> None:
    def name(response: httpx.Response) -> str:
        return response.headers["Content-Disposition"].partition("filename=")[2].strip('"')

    assert name(generate(client, seed=7, n=1, first=5, format="npy")) == "skygen-r64-improved-7-5.npy"
    assert name(generate(client, seed=7, n=3, first=5, format="npy")) == "skygen-r64-improved-7-5-7.npy"
    assert name(client.get("/v1/tile/r64/7.fits?index=5")) == "skygen-r64-improved-7-5.fits"
    asked = {"tiles": "r64", "seed": 7, "to": 9, "steps": 4, "index": 5, "format": "npy"}
    assert name(client.post("/v1/interpolate", json=asked)) == "skygen-r64-improved-7-5-to-9-4.npy"


def test_unless_set_there_is_neither_key_nor_cors(client: httpx.Client) -> None:
    page = {"Origin": "https://observatory.example"}
    answer = client.post("/v1/generate", json={"tiles": "r64", "format": "npy"}, headers=page)
    assert answer.status_code == 200
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert client.options("/v1/generate", headers=page | {"Access-Control-Request-Method": "POST"}).is_error
    assert client.get("/metrics").status_code == 200


def test_a_search_for_garbage_leaves_out_what_is_loaded(bundles: Path) -> None:
    count = "print(gc.get_freeze_count(), len(gc.get_objects()))"
    run = subprocess.run(
        [sys.executable, "-c", f"import gc; from serving.service import Skygen; Skygen.inner(); {count}"],
        env=os.environ | {"SKYGEN_BUNDLES": str(bundles), "SKYGEN_DEVICE": "cpu"},
        capture_output=True,
        text=True,
        check=True,
    )
    frozen, searched = map(int, run.stdout.split())
    assert searched < 0.1 * frozen


def test_json_holds_finite_numbers_equal_to_npy(client: httpx.Client) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    content = json.loads(generate(client, tiles="gri128", n=2, seed=7, format="json").text, parse_constant=refuse)
    data = np.array(content["data"], dtype=np.float32)
    assert data.tobytes() == flux(client, tiles="gri128", n=2, seed=7).tobytes()
    assert (content["unit"], content["bands"], content["seed"]) == ("nanomaggy", ["g", "r", "i"], 7)


@pytest.mark.parametrize(
    ("tiles", "n", "size", "mode"), [("r64", 1, (64, 64), "L"), ("gri128", 5, (3 * 130 - 2, 2 * 130 - 2), "RGB")]
)
def test_png_is_a_tile_or_a_contact_sheet(
    client: httpx.Client, tiles: str, n: int, size: tuple[int, int], mode: str
) -> None:
    picture = Image.open(io.BytesIO(generate(client, tiles=tiles, n=n).content))
    assert (picture.format, picture.size, picture.mode) == ("PNG", size, mode)


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("png", "image/png"),
        ("npy", "application/x-npy"),
        ("fits", "application/fits"),
        ("json", "application/json"),
    ],
)
def test_same_seed_same_bytes_under_the_right_type(client: httpx.Client, name: str, media_type: str) -> None:
    first, second = (generate(client, n=4, seed=7, format=name) for _ in range(2))
    assert first.content == second.content
    assert first.headers["Content-Type"] == media_type
    assert first.headers["Content-Disposition"].endswith(f'filename="skygen-r64-improved-7-0-3.{name}"')
    assert first.headers["X-Skygen-Recipe"] == "improved"
    assert first.content != generate(client, n=4, seed=8, format=name).content


def test_a_tile_is_the_same_for_every_n(client: httpx.Client) -> None:
    assert flux(client, n=1, seed=7).tobytes() == flux(client, n=8, seed=7)[:1].tobytes()
    assert flux(client, n=8, seed=7).tobytes() == flux(client, n=40, seed=7)[:8].tobytes()


def test_requests_in_flight_do_not_touch_each_other(client: httpx.Client) -> None:
    alone = {seed: flux(client, n=40, seed=seed).tobytes() for seed in range(4)}
    with ThreadPoolExecutor(4) as pool:
        together = dict(zip(alone, pool.map(lambda seed: flux(client, n=40, seed=seed).tobytes(), alone), strict=True))
    assert together == alone
    assert len(set(alone.values())) == 4


def test_a_seed_may_be_a_decimal_string_of_any_size(client: httpx.Client) -> None:
    largest = 2**63 - 1
    assert flux(client, seed=str(largest)).tobytes() == flux(client, seed=largest).tobytes()
    assert flux(client, seed=largest).tobytes() != flux(client, seed=largest - 1).tobytes()


def test_defaults_are_the_champion_one_tile_seed_zero_png(client: httpx.Client) -> None:
    given = generate(client, n=1, seed=0, format="png", model="improved", noise="survey", seeing="survey")
    assert generate(client).content == given.content


@pytest.mark.parametrize(
    "choice", [{}, {"noise": "none"}, {"noise": 1}, {"noise": 0.01, "seeing": 0.8}, {"noise": "none", "seeing": 3}]
)
def test_scenes_are_served_as_asked(client: httpx.Client, bundles: Path, choice: dict[str, Any]) -> None:
    loaded = Bundle.load(bundles / "gri128/scene")
    asked = {"tiles": "gri128", "model": "scene", "n": 3, "seed": 7, **choice}
    assert flux(client, **asked).tobytes() == loaded.generate(7, 3, **choice).tobytes()

    observed = loaded.conditions_of(row(7, 3, **choice))
    assert observed is not None
    with fits.open(io.BytesIO(generate(client, format="fits", **asked).content)) as hdus:
        for hdu, noise in zip(hdus[1:], observed.sky_noise_nmgy, strict=True):
            assert hdu.header["NOISE"] == choice.get("noise", "survey")
            assert hdu.header["SEEING"] == choice.get("seeing", "survey")
            assert hdu.header["SKYSIG_I"] == pytest.approx(float(noise[2]), abs=1e-6)


def test_models_are_their_cards(client: httpx.Client, bundles: Path) -> None:
    models = client.get("/v1/models").json()["models"]
    champions = {(model["tiles"], model["recipe"]): model["champion"] for model in models}
    assert champions == {
        ("r64", "gan"): False,
        ("r64", "improved"): True,
        ("gri128", "gan"): True,
        ("gri128", "scene"): False,
    }
    for model in models:
        loaded = Bundle.load(bundles / model["tiles"] / model["recipe"])
        engine = "plane" if model["recipe"] == "scene" else "onnx"
        more = {
            "sha256": loaded.sha256,
            "engine": engine,
            "champion": model["champion"],
            "registry_version": None,
            "takes": loaded.takes,
        }
        assert model == loaded.card.model_dump(mode="json") | more


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/healthz", "/metrics", "/docs.json", "/"])
def test_what_else_answers(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code == 200


def test_docs_name_every_field(client: httpx.Client) -> None:
    document = client.get("/docs.json").json()
    body = document["components"]["schemas"]["GenerateRequest"]
    of_painters = {"tiles", "n", "first", "seed", "format", "model", "noise", "seeing"}
    assert set(body["properties"]) == of_painters | {"density", "truth"}
    assert all(field["description"] for field in body["properties"].values())
    assert "422" not in document["paths"]["/v1/generate"]["post"]["responses"]
