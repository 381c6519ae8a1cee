"""Taking tiles away from the page: files, and the lines of curl and Python that fetch them."""

import io
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest
from astropy.io import fits
from playwright.sync_api import Page, expect

Visit = Callable[..., Page]

BEYOND_DOUBLES = 2**53 + 1


@pytest.mark.parametrize("kind", ["fits", "npy", "png"])
def test_downloading_what_is_shown(visit: Visit, client: httpx.Client, kind: str) -> None:
    page = visit("tiles=gri128&model=scene&seed=4&n=4&noise=0.02")
    page.locator(f"#formats label:has([value={kind}])").click()
    with page.expect_download() as download:
        page.locator("#download").click()
    assert download.value.suggested_filename == f"skygen-gri128-scene-4-4.{kind}"
    content = Path(download.value.path()).read_bytes()
    request = {"tiles": "gri128", "model": "scene", "seed": 4, "n": 4, "noise": 0.02}
    wanted = client.post("/v1/generate", json=request | {"format": kind}).content
    assert content == wanted
    if kind == "fits":
        flux = np.load(io.BytesIO(client.post("/v1/generate", json=request | {"format": "npy"}).content))
        with fits.open(io.BytesIO(content), checksum=True) as hdus:
            tiles = [hdu.data for hdu in hdus if hdu.data is not None]
            np.testing.assert_array_equal(np.stack(tiles), flux)


def test_downloading_one_tile(visit: Visit, client: httpx.Client) -> None:
    page = visit("tiles=r64&model=gan&seed=4&n=4&tile=3")
    with page.expect_download() as download:
        page.locator("#tile-links a", has_text="FITS").click()
    wanted = client.get("/v1/tile/r64/4.fits", params={"index": 3, "model": "gan"}).content
    assert Path(download.value.path()).read_bytes() == wanted
    with fits.open(io.BytesIO(wanted), checksum=True) as hdus:
        assert hdus[-1].header["INDEX"] == 3


@pytest.mark.parametrize(
    ("state", "code", "path", "request_"),
    [
        (
            "tiles=gri128&model=scene&seed=9007199254740993&n=4&noise=0.02",
            "curl",
            "/v1/generate",
            {"tiles": "gri128", "model": "scene", "seed": BEYOND_DOUBLES, "n": 4, "noise": 0.02, "format": "fits"},
        ),
        (
            "view=walk&tiles=r64&seed=1&to=2&steps=9",
            "curl",
            "/v1/interpolate",
            {"tiles": "r64", "seed": 1, "to": 2, "steps": 9, "format": "fits"},
        ),
        ("tiles=r64&seed=3&n=4&tile=2", "tile-curl", "/v1/tile/r64/3.fits?index=2", None),
    ],
)
def test_the_curl_line_fetches_what_is_shown(
    visit: Visit,
    client: httpx.Client,
    tmp_path: Path,
    state: str,
    code: str,
    path: str,
    request_: dict[str, object] | None,
) -> None:
    page = visit(state)
    command = shlex.split(page.locator(f"#{code}").inner_text())
    assert command[0] == "curl"
    subprocess.run([*command, "--silent"], cwd=tmp_path, check=True)
    (fetched,) = tmp_path.iterdir()
    wanted = client.get(path) if request_ is None else client.post(path, json=request_)
    assert fetched.suffix == ".fits"
    assert fetched.read_bytes() == wanted.content


def test_copying_the_curl_line(visit: Visit) -> None:
    page = visit("tiles=r64&n=4", permissions=["clipboard-read", "clipboard-write"])
    page.locator("[data-copy=curl]").click()
    expect(page.locator("[data-copy=curl]")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == page.locator("#curl").inner_text()


@pytest.mark.parametrize(
    ("state", "path", "request_"),
    [
        (
            "tiles=gri128&model=scene&seed=9007199254740993&n=4&noise=none&seeing=2",
            "/v1/generate",
            {"tiles": "gri128", "model": "scene", "seed": BEYOND_DOUBLES, "n": 4, "noise": "none", "seeing": 2.0},
        ),
        (
            "view=walk&tiles=gri128&model=gan&seed=1&to=2&steps=9",
            "/v1/interpolate",
            {"tiles": "gri128", "model": "gan", "seed": 1, "to": 2, "steps": 9},
        ),
    ],
)
def test_the_python_lines_give_what_is_shown(
    visit: Visit, client: httpx.Client, state: str, path: str, request_: dict[str, object]
) -> None:
    lines = visit(state).locator("#python").inner_text()
    # By way of memory: numpy writes an array to a pipe as it would to a file, and asks for its place there.
    name = request_["model"]
    save = f"import io, sys, numpy\nnumpy.save(held := io.BytesIO(), {name})\nsys.stdout.buffer.write(held.getvalue())"
    run = subprocess.run([sys.executable, "-c", f"{lines}\n{save}"], capture_output=True, check=True)
    wanted = client.post(path, json=request_ | {"format": "npy"}).content
    np.testing.assert_array_equal(np.load(io.BytesIO(run.stdout)), np.load(io.BytesIO(wanted)))
