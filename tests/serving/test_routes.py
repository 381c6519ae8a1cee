"""The routes beside generate: single tiles for caches, walks, measurements, real tiles, and which format is sent."""

import io
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray
from PIL import Image

from serving.http.negotiation import choose_format
from skygen.bundle.bundle import Bundle
from skygen.bundle.tile import Tile, row, walk

SCENE = "?model=scene"


@pytest.fixture(scope="module")
def scene(bundles: Path) -> Bundle:
    return Bundle.load(bundles / "gri128/scene")


def read(response: httpx.Response) -> NDArray[np.float32]:
    assert response.status_code == 200, response.text
    return np.asarray(np.load(io.BytesIO(response.content), allow_pickle=False))


def test_a_single_tile_is_that_of_the_seed(client: httpx.Client, scene: Bundle) -> None:
    query = f"{SCENE}&index=3&noise=0.01&seeing=1.1"
    expected = scene.draw([Tile(7, 3, 0.01, 1.1)])
    assert read(client.get(f"/v1/tile/gri128/7.npy{query}")).tobytes() == expected.tobytes()
    with fits.open(io.BytesIO(client.get(f"/v1/tile/gri128/7.fits{query}").content), checksum=True) as hdus:
        assert hdus[1].data.astype("<f4").tobytes() == expected[0].tobytes()
        assert (hdus[1].header["SEED"], hdus[1].header["INDEX"]) == (7, 3)
    assert Image.open(io.BytesIO(client.get(f"/v1/tile/gri128/7.png{query}").content)).size == (128, 128)


def test_a_tile_that_a_cache_has_is_not_sent_again(client: httpx.Client) -> None:
    first = client.get("/v1/tile/r64/7.png")
    assert first.headers["Cache-Control"] == "no-cache"
    for known in (first.headers["ETag"], f'"other", W/{first.headers["ETag"]}', "*"):
        again = client.get("/v1/tile/r64/7.png", headers={"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["ETag"] == first.headers["ETag"]
    other = client.get("/v1/tile/r64/7.png", headers={"If-None-Match": '"other"'})
    assert (other.status_code, other.content) == (200, first.content)


@pytest.mark.parametrize(
    "other", ["r64/8.png", "r64/7.npy", "r64/7.png?index=1", "r64/7.png?model=gan", "gri128/7.png?model=scene&noise=1"]
)
def test_another_tile_has_another_tag(client: httpx.Client, other: str) -> None:
    tags = {client.get(f"/v1/tile/{path}").headers["ETag"] for path in ("r64/7.png", other)}
    assert len(tags) == 2


def test_a_tile_of_a_version_may_be_kept_for_ever(client: httpx.Client, bundles: Path) -> None:
    version = Bundle.load(bundles / "r64/gan").sha256
    kept = client.get(f"/v1/tile/r64/7.npy?version={version}")
    assert kept.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert kept.headers["X-Skygen-Model"] == version
    assert kept.content == client.get("/v1/tile/r64/7.npy?model=gan").content


@pytest.mark.parametrize(
    ("path", "status", "field"),
    [
        ("r64/7.jpg", 400, "format"),
        ("r64/-1.png", 400, "seed"),
        ("r64/1e3.png", 400, "seed"),
        (f"r64/{2**63}.png", 400, "seed"),
        ("r65/7.png", 400, "tiles"),
        ("r64/7.png?index=-1", 400, "index"),
        ("r64/7.png?index=x", 400, "index"),
        ("r64/7.png?model=nobody", 400, "model"),
        ("r64/7.png?noise=none", 400, "noise"),
        ("r64/7.png?noise=nan", 400, "noise"),
        ("r64/7.png?noise=0.1", 400, "noise"),
        ("gri128/7.png?model=scene&noise=inf", 400, "noise"),
        ("gri128/7.png?model=scene&seeing=9", 400, "seeing"),
        ("gri128/7.png?model=scene&stars=5", 400, "stars"),
        ("r64/7.png?stars=2", 400, "density"),
        ("r64/7.fits?truth=true", 400, "model"),
        ("gri128/7.png?model=scene&truth=true", 400, "truth"),
        ("r64/7.png?size=64", 400, "size"),
        ("r64/7.png?version=abc", 400, "version"),
        (f"r64/7.png?version={'0' * 64}", 404, "version"),
    ],
)
def test_a_bad_address_names_its_field(client: httpx.Client, path: str, status: int, field: str) -> None:
    response = client.get(f"/v1/tile/{path}")
    assert response.status_code == status
    assert response.json()["detail"][0]["loc"] == [field]
    assert response.json()["error"].startswith(field)


def test_a_bad_address_is_bad_whatever_a_cache_has(client: httpx.Client) -> None:
    assert client.get("/v1/tile/r64/7.png?noise=none", headers={"If-None-Match": "*"}).status_code == 400


@pytest.mark.parametrize("path", ["/v1/tile/r64/7.npy", "/v1/models", "/v1/real/r64/0.png", "/docs.json", "/"])
def test_head_tells_what_get_would(client: httpx.Client, path: str) -> None:
    told, got = client.head(path), client.get(path)
    assert (told.status_code, told.content) == (200, b"")
    described = {"ETag", "Content-Length", "Content-Type", "Cache-Control"} & {name.title() for name in got.headers}
    assert "Content-Length" in described
    assert {name: told.headers[name] for name in described} == {name: got.headers[name] for name in described}


def test_tiles_may_begin_anywhere(client: httpx.Client, scene: Bundle) -> None:
    asked = {"tiles": "gri128", "model": "scene", "seed": 7, "n": 2, "first": 5, "format": "npy"}
    assert read(client.post("/v1/generate", json=asked)).tobytes() == scene.draw(row(7, 2, first=5)).tobytes()


def test_a_walk_begins_and_ends_at_its_seeds(client: httpx.Client, bundles: Path) -> None:
    gan = Bundle.load(bundles / "gri128/gan")
    asked: dict[str, Any] = {"tiles": "gri128", "model": "gan", "seed": 1, "to": 2, "steps": 12}
    steps = read(client.post("/v1/interpolate", json=asked | {"format": "npy"}))
    assert steps.tobytes() == gan.draw_all(walk(Tile(1), 2, 12)).tobytes()
    assert steps[0].tobytes() == gan.draw([Tile(1)])[0].tobytes()
    assert len({step.tobytes() for step in steps}) == 12


def test_a_process_refuses_a_walk_with_the_reason(client: httpx.Client) -> None:
    refused = client.post("/v1/interpolate", json={"tiles": "gri128", "model": "scene", "seed": 1, "to": 2})
    assert refused.status_code == 400
    assert refused.json()["error"].startswith(
        "model: recipe scene has no walks: between two seeds' skies objects would"
    )


@pytest.mark.parametrize(("field", "value"), [("steps", 1), ("steps", 65), ("to", -1), ("n", 3), ("index", 2**31)])
def test_a_bad_walk_names_its_field(client: httpx.Client, field: str, value: int) -> None:
    response = client.post("/v1/interpolate", json={"tiles": "r64", "seed": 1, "to": 2, field: value})
    assert response.status_code == 400
    assert response.json()["detail"][0]["loc"] == [field]


def test_measurements_are_those_of_the_tile(client: httpx.Client, scene: Bundle) -> None:
    found = client.get(f"/v1/measure/gri128/7{SCENE}&index=2").json()
    (flux,) = scene.draw([Tile(7, 2)])
    assert (found["seed"], found["index"], found["recipe"], found["unit"]) == ("7", 2, "scene", "nanomaggy")
    edges = np.array(found["flux"]["edges"])
    for band, plane in zip("gri", flux, strict=True):
        inside = np.clip(plane, edges[0], edges[-1])
        np.testing.assert_array_equal(found["flux"]["counts"][band], np.histogram(inside, edges)[0])
        assert sum(found["flux"]["counts"][band]) == 128 * 128
        assert found["sky_noise_nmgy"][band] > 0
    for source in found["sources"]:
        assert set(source) == {"x", "y", "magnitude", "half_light_radius_px", "ellipticity", "g_r", "r_i"}


def test_real_tiles_are_those_packaged(client: httpx.Client, bundles: Path) -> None:
    packaged = np.load(bundles / "r64/real.npy")
    told = client.get("/v1/real/r64").json()
    assert (told["count"], told["source"], told["fields"][0]) == (5, "simulated", "94-1-12")
    assert read(client.get("/v1/real/r64/3.npy")).tobytes() == packaged[3:4].tobytes()
    assert Image.open(io.BytesIO(client.get("/v1/real/r64/3.png").content)).size == (64, 64)
    missing = client.get("/v1/real/r64/5.png")
    assert (missing.status_code, missing.json()["detail"][0]["loc"]) == (404, ["index"])
    without = client.get("/v1/real/gri128")
    assert (without.status_code, without.json()["error"]) == (
        404,
        "tiles: no real tiles of gri128 were packaged with these bundles",
    )


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, "png"),
        ("", "png"),
        ("*/*", "png"),
        ("image/*", "png"),
        ("application/*", "npy"),
        ("application/fits", "fits"),
        ("image/fits", "fits"),
        ("image/fits;q=0.9, image/*;q=0.5", "fits"),
        ("application/json", "json"),
        ("application/json, */*;q=0.1", "json"),
        ("application/json;q=0.5, application/x-npy", "npy"),
        ("image/png;q=0, */*", "npy"),
        ("text/html, image/webp, */*;q=0.8", "png"),
        ("application/fits;q=x", None),
        ("text/html", None),
        ("application/json;q=0", None),
    ],
)
def test_accept_chooses(accept: str | None, expected: str | None) -> None:
    chosen = choose_format(accept)
    assert (chosen and chosen[0]) == expected


def test_the_format_is_the_field_s_else_accept_s(client: httpx.Client) -> None:
    def media_type(accept: str, **asked: Any) -> str:
        response = client.post("/v1/generate", json={"tiles": "r64", **asked}, headers={"Accept": accept})
        assert response.headers.get("Vary") == ("Accept" if response.status_code == 200 else None)
        return response.headers["Content-Type"] if response.status_code == 200 else str(response.status_code)

    assert media_type("application/fits") == "application/fits"
    assert media_type("image/fits") == "image/fits"
    assert media_type("image/fits, application/fits") == "application/fits"
    assert media_type("application/fits", format="npy") == "application/x-npy"
    assert media_type("text/html") == "406"


@pytest.mark.parametrize(("path", "field"), [("generate", "n"), ("interpolate", "steps")])
def test_json_holds_few_tiles(client: httpx.Client, path: str, field: str) -> None:
    ends = {"to": 2} if path == "interpolate" else {}
    asked = {"tiles": "r64", "format": "json", field: 16, **ends}
    assert len(client.post(f"/v1/{path}", json=asked).json()["data"]) == 16
    refused = client.post(f"/v1/{path}", json=asked | {field: 17})
    assert (refused.status_code, refused.json()["detail"][0]["loc"]) == (400, [field])
