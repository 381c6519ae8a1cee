"""The routes of a process: densities, truths, catalogues of tiles, and rectangles of a sky."""

import io
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from PIL import Image

from skygen.bundle.bundle import Bundle
from skygen.bundle.tile import Factors, Rectangle, Tile, row
from skygen.formats.catalogue import read_truth

SCENE = {"tiles": "gri128", "model": "scene"}
PLACE = {"seed": 3, "x": -20, "y": 40, "width": 300, "height": 70}


@pytest.fixture(scope="module")
def scene(bundles: Path) -> Bundle:
    return Bundle.load(bundles / "gri128/scene")


def post(client: httpx.Client, path: str, **asked: Any) -> httpx.Response:
    response = client.post(f"/v1/{path}", json={**SCENE, **asked})
    assert response.status_code == 200, response.text
    return response


def table_of(response: httpx.Response) -> Table:
    return Table.read(response.text, format="ascii.ecsv")


def test_tiles_have_the_density_asked_for(client: httpx.Client, scene: Bundle) -> None:
    density = {"stars": 0.5, "galaxies": 2}
    served = np.load(io.BytesIO(post(client, "generate", seed=7, n=2, density=density, format="npy").content))
    assert served.tobytes() == scene.draw(row(7, 2, density=Factors(0.5, 2))).tobytes()
    one = np.load(io.BytesIO(client.get("/v1/tile/gri128/7.npy?model=scene&stars=0.5&galaxies=2").content))
    assert one.tobytes() == served[:1].tobytes()


def test_fits_holds_the_truth_where_it_is_asked_for(client: httpx.Client, scene: Bundle) -> None:
    content = post(client, "generate", seed=7, n=2, truth=True, format="fits").content
    with fits.open(io.BytesIO(content), checksum=True) as hdus:
        assert [hdu.name for hdu in hdus[1:]] == ["TILE", "TRUTH"] * 2
        assert hdus[1].data.astype("<f4").tobytes() == scene.draw([Tile(7)])[0].tobytes()
    for table, truth in zip(read_truth(content), scene.truth(row(7, 2)), strict=True):
        assert list(table["object_id"]) == list(truth.rows["object_id"])
    one = client.get("/v1/tile/gri128/7.fits?model=scene&truth=true")
    plain = client.get("/v1/tile/gri128/7.fits?model=scene")
    assert len(read_truth(one.content)[0]) == len(read_truth(content)[0])
    assert one.headers["ETag"] != plain.headers["ETag"]


def test_a_catalogue_tells_of_the_objects_of_tiles(client: httpx.Client, scene: Bundle) -> None:
    asked = {"seed": 7, "n": 2, "first": 1, "min_snr": 5}
    expected = [found for truth in scene.truth(row(7, 2, 1), 5) for found in truth.rows["object_id"]]
    response = post(client, "catalogue", **asked)
    assert response.headers["Content-Disposition"].endswith('"skygen-gri128-scene-7-1-2-objects.ecsv"')
    table = table_of(response)
    assert list(table["object_id"]) == expected
    assert set(table["index"]) <= {1, 2}
    assert list(read_truth(post(client, "catalogue", format="fits", **asked).content)[0]["object_id"]) == expected
    assert len(post(client, "catalogue", format="csv", **asked).text.splitlines()) == len(expected) + 1
    found = post(client, "catalogue", format="json", **asked).json()
    assert found["columns"]["object_id"] == expected
    assert found["units"]["ra"] == "deg"
    assert (found["meta"]["SEED"], found["meta"]["MODEL"]) == (7, scene.sha256)


def test_a_rectangle_of_the_sky_is_the_bundle_s(client: httpx.Client, scene: Bundle) -> None:
    expected = scene.sky(Rectangle(**PLACE, noise=0.05, density=Factors(0.5, 1)))
    asked: dict[str, Any] = {**PLACE, "noise": 0.05, "density": {"stars": 0.5}}
    response = post(client, "sky", format="npy", **asked)
    assert np.load(io.BytesIO(response.content)).tobytes() == expected.tobytes()
    assert response.headers["Content-Disposition"].endswith('"skygen-gri128-scene-3-at-20+40-300x70.npy"')
    assert response.headers["X-Skygen-Engine"] == "plane"
    assert Image.open(io.BytesIO(post(client, "sky", **asked).content)).size == (300, 70)
    content = post(client, "sky", format="fits", truth=True, **asked).content
    with fits.open(io.BytesIO(content), checksum=True) as hdus:
        assert hdus[1].data.astype("<f4").tobytes() == expected.tobytes()
    truth = scene.sky_truth(Rectangle(**PLACE, noise=0.05, density=Factors(0.5, 1)))
    assert list(read_truth(content)[0]["object_id"]) == list(truth.rows["object_id"])
    assert list(table_of(post(client, "sky/catalogue", **asked))["object_id"]) == list(truth.rows["object_id"])


@pytest.mark.parametrize(
    ("path", "asked", "field"),
    [
        ("generate", {"density": {"stars": 5}}, "density.stars"),
        ("generate", {"density": {"planets": 1}}, "density.planets"),
        ("generate", {"density": 2}, "density"),
        ("generate", {"truth": True, "format": "npy"}, "truth"),
        ("generate", {"truth": True, "format": "fits", "n": 65}, "truth"),
        ("generate", {"model": "gan", "density": {"stars": 2}}, "density"),
        ("generate", {"model": "gan", "truth": True, "format": "fits"}, "model"),
        ("interpolate", {"to": 2, "density": {"stars": 1}}, "density"),
        ("catalogue", {"model": "gan"}, "model"),
        ("catalogue", {"n": 65}, "n"),
        ("catalogue", {"min_snr": -1}, "min_snr"),
        ("catalogue", {"format": "npy"}, "format"),
        ("sky", {"model": "gan"}, "model"),
        ("sky", {"width": 0}, "width"),
        ("sky", {"height": 2049}, "height"),
        ("sky", {"x": 10**9 + 1}, "x"),
        ("sky", {"format": "json"}, "format"),
        ("sky", {"n": 2}, "n"),
        ("sky", {"truth": True, "format": "fits", "width": 1025}, "truth"),
        ("sky/catalogue", {"width": 1025}, "width"),
        ("sky/catalogue", {"model": "gan"}, "model"),
    ],
)
def test_what_cannot_be_is_refused_by_name(client: httpx.Client, path: str, asked: dict[str, Any], field: str) -> None:
    response = client.post(f"/v1/{path}", json={**SCENE, **asked})
    assert response.status_code == 400
    assert ".".join(response.json()["detail"][0]["loc"]) == field
    assert response.json()["error"].startswith(field)


def test_json_by_accept_is_no_format_of_a_sky(client: httpx.Client) -> None:
    response = client.post("/v1/sky", json={**SCENE}, headers={"Accept": "application/json"})
    assert (response.status_code, response.json()["detail"][0]["loc"]) == (400, ["format"])


def test_every_card_says_what_can_be_chosen(client: httpx.Client) -> None:
    takes = {(card["tiles"], card["recipe"]): card["takes"] for card in client.get("/v1/models").json()["models"]}
    chosen = {"noise": True, "seeing": True, "density": True, "sky": True, "walk": False}
    assert takes["gri128", "scene"] == chosen
    assert takes["gri128", "gan"] == {name: not value for name, value in chosen.items()}
