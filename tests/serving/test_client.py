"""The Python client: what it gives against the real service, and what it does about servers that are busy or gone."""

import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from astropy.io import fits

from serving.http.auth import ApiKeys, Keyring
from serving.measurements import measure_tile
from skygen.bundle.bundle import Bundle
from skygen.bundle.tile import Factors, Rectangle, Tile, row, walk
from skygen.client import Client, SkygenError
from skygen.formats.catalogue import read_truth
from tests.serving.answering import MODELS, answering, error
from tests.serving.local import echo, listening


@pytest.fixture(scope="module")
def sky(client: httpx.Client) -> Iterator[Client]:
    """Ours, of the service that all tests share."""
    with Client(str(client.base_url)) as ours:
        yield ours


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that the client would have slept, which pass at once."""
    slept: list[float] = []
    monkeypatch.setattr("skygen.client.transport.sleep", slept.append)
    return slept


@pytest.mark.parametrize(("tiles", "recipe", "bands"), [("r64", "improved", "r"), ("gri128", "gan", "gri")])
def test_tiles_are_the_bundles_flux_with_what_made_them(
    sky: Client, bundles: Path, tiles: str, recipe: str, bands: str
) -> None:
    served, bundle = sky.generate(tiles, n=3, seed=7), Bundle.load(bundles / tiles / recipe)
    assert served.flux.tobytes() == bundle.generate(7, 3).tobytes()
    assert served.flux.dtype == np.float32
    assert (served.bands, served.pixel_scale_arcsec, served.unit) == (tuple(bands), 0.396, "nanomaggy")
    assert (served.recipe, served.model_sha256, served.engine, served.seed) == (recipe, bundle.sha256, bundle.engine, 7)
    assert len(served) == 3
    for number, band in enumerate(bands):
        assert np.array_equal(served.band(band), served.flux[:, number])
    with pytest.raises(ValueError, match="no band 'u' here; there is " + ", ".join(bands)):
        served.band("u")


def test_every_choice_reaches_the_service(sky: Client, bundles: Path) -> None:
    choice: dict[str, Any] = {"noise": 0.05, "seeing": 1.2}
    expected = Bundle.load(bundles / "gri128/scene").generate(2**63 - 1, 2, first=5, **choice)
    served = sky.generate("gri128", n=2, seed=2**63 - 1, model="scene", first=5, **choice)
    assert served.flux.tobytes() == expected.tobytes()
    one = sky.tile("gri128", 2**63 - 1, index=6, model="scene", version=served.model_sha256, **choice)
    assert one.flux.tobytes() == expected[1:].tobytes()


def test_fits_holds_the_same_tiles(sky: Client) -> None:
    content = sky.fits("gri128", n=2, seed=7, model="scene", first=3, noise="none")
    with fits.open(io.BytesIO(content), checksum=True) as hdus:
        flux = np.stack([hdu.data.astype("<f4") for hdu in hdus[1:]])
        assert [hdu.header["INDEX"] for hdu in hdus[1:]] == [3, 4]
    assert flux.tobytes() == sky.generate("gri128", 2, 7, "scene", "none", first=3).flux.tobytes()


def test_walk_is_the_bundles(sky: Client, bundles: Path) -> None:
    expected = Bundle.load(bundles / "gri128/gan").draw_all(walk(Tile(7, 4), 8, 3))
    served = sky.interpolate("gri128", 7, 8, steps=3, model="gan", index=4)
    assert served.flux.tobytes() == expected.tobytes()


def test_densities_catalogues_and_skies_are_the_bundle_s(sky: Client, bundles: Path) -> None:
    bundle, factors = Bundle.load(bundles / "gri128/scene"), Factors(0.5, 2)
    asked: dict[str, Any] = {"model": "scene", "density": {"stars": 0.5, "galaxies": 2}}
    served = sky.generate("gri128", n=2, seed=7, **asked)
    assert served.flux.tobytes() == bundle.generate(7, 2, density=factors).tobytes()
    assert sky.tile("gri128", 7, 1, **asked).flux.tobytes() == served.flux[1:].tobytes()
    expected = [one for truth in bundle.truth(row(7, 2, density=factors), 5) for one in truth.rows["object_id"]]
    assert list(sky.catalogue("gri128", n=2, seed=7, min_snr=5, **asked)["object_id"]) == expected
    assert len(read_truth(sky.fits("gri128", n=2, seed=7, truth=True, **asked))) == 2
    rectangle = Rectangle(3, -20, 40, 90, 70, density=factors)
    place = {"seed": 3, "x": -20, "y": 40, "width": 90, "height": 70}
    cut = sky.sky("gri128", **place, **asked)
    assert (cut.flux.shape, cut.bands) == ((1, 3, 70, 90), ("g", "r", "i"))
    assert cut.flux[0].tobytes() == bundle.sky(rectangle).tobytes()
    found = sky.sky_catalogue("gri128", **place, **asked)
    assert list(found["object_id"]) == list(bundle.sky_truth(rectangle).rows["object_id"])


def test_without_astropy_a_catalogue_says_what_to_install(sky: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "astropy.table", None)
    with pytest.raises(SkygenError, match="read by astropy, which is not installed: pip install astropy"):
        sky.catalogue("gri128", model="scene")


def test_what_is_measured_is_of_the_tile(sky: Client) -> None:
    asked: dict[str, Any] = {"index": 3, "model": "scene", "noise": 0.05, "seeing": 1.2}
    flux = sky.tile("gri128", 7, **asked).flux[0]
    assert sky.measure("gri128", 7, **asked) == {
        "tiles": "gri128",
        "seed": "7",
        "index": 3,
        "recipe": "scene",
        **json.loads(json.dumps(measure_tile(flux, ("g", "r", "i"), 0.396))),
    }


def test_numbers_may_be_numpys(sky: Client) -> None:
    seed = np.random.default_rng(0).integers(1000)
    assert (
        sky.generate("r64", n=np.int64(2), seed=seed).flux.tobytes() == sky.generate("r64", 2, int(seed)).flux.tobytes()
    )


def test_models_are_the_cards(sky: Client, bundles: Path) -> None:
    found = {(card["tiles"], card["recipe"]): card["sha256"] for card in sky.models()}
    assert found["gri128", "scene"] == Bundle.load(bundles / "gri128/scene").sha256


@pytest.mark.parametrize(
    ("call", "status", "field", "sentence"),
    [
        (lambda sky: sky.generate("r65"), 400, "tiles", "no such tile set"),
        (lambda sky: sky.generate("r64", n=0), 400, "n", "greater than or equal to 1"),
        (lambda sky: sky.generate("r64", noise="none"), 400, "noise", "noise"),
        (lambda sky: sky.generate("r64", model="nobody"), 400, "model", "no such recipe"),
        (lambda sky: sky.interpolate("r64", 0, 1, steps=1), 400, "steps", "greater than or equal to 2"),
        (lambda sky: sky.tile("r64", 0, version="0" * 64), 404, "version", "no such bundle"),
        (lambda sky: sky.tile("../models", 0), 404, None, ""),
        (lambda sky: sky.measure("r64", 0, index=-1), 400, "index", "greater than or equal to 0"),
    ],
)
def test_refusals_name_the_field(
    sky: Client, pauses: list[float], call: Callable[[Client], object], status: int, field: str | None, sentence: str
) -> None:
    with pytest.raises(SkygenError) as caught:
        call(sky)
    assert (caught.value.status, caught.value.field) == (status, field)
    assert sentence in str(caught.value)
    assert pauses == []


def test_a_key_opens_what_is_guarded() -> None:
    """By the service's own middleware, before an application that shows that the call came through."""
    key = "k" * 16
    with listening(ApiKeys(echo, Keyring([key]))) as (host, port):
        url = f"http://{host}:{port}"
        with Client(url, key=key) as ours, pytest.raises(SkygenError, match="is another service"):
            ours.generate("r64")
        with Client(url, key="other") as theirs, pytest.raises(SkygenError, match="send a valid key") as caught:
            theirs.generate("r64")
    assert caught.value.status == 401


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_service_is_asked_again_when_it_says(pauses: list[float], status: int) -> None:
    """It is busy twice: the client waits as long as it says and up to half a second more, no longer."""
    busy = error(status, Retry_After="3")
    with answering(busy, busy, MODELS) as (url, had), Client(url, key="k") as ours:
        assert ours.models() == []
    assert had == ["GET /v1/models Bearer k"] * 3
    assert [3 <= pause <= 3.5 for pause in pauses] == [True, True]


def test_a_date_to_come_back_is_understood(pauses: list[float]) -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)
    with answering(error(503, Retry_After=soon), MODELS) as (url, _), Client(url) as ours:
        assert ours.models() == []
    assert 10 < pauses[0] <= 20.25


def test_pauses_grow_and_end(pauses: list[float]) -> None:
    """Without a Retry-After: from a quarter of a second doubling to eight, by up to half less."""
    with answering(error(429)) as (url, had), Client(url, retries=8) as ours, pytest.raises(SkygenError) as caught:
        ours.models()
    assert len(had) == 9
    assert (str(caught.value), caught.value.status) == ("too busy", 429)
    longest = [0.25, 0.5, 1, 2, 4, 8, 8, 8]
    assert all(most / 2 <= pause <= most for pause, most in zip(pauses, longest, strict=True))
    assert len({pause / most for pause, most in zip(pauses, longest, strict=True)}) > 1


def test_a_pause_beyond_the_timeout_is_not_taken(pauses: list[float]) -> None:
    busy = error(429, Retry_After="61")
    with answering(busy) as (url, had), Client(url, timeout=60) as ours, pytest.raises(SkygenError, match="too busy"):
        ours.models()
    assert (len(had), pauses) == (1, [])


@pytest.mark.parametrize("status", [400, 401, 404, 413, 500, 504])
def test_other_errors_are_not_repeated(pauses: list[float], status: int) -> None:
    with answering(error(status, "no")) as (url, had), Client(url) as ours, pytest.raises(SkygenError) as caught:
        ours.generate("r64")
    assert (len(had), pauses, caught.value.status) == (1, [], status)


def test_a_broken_connection_is_tried_again(pauses: list[float]) -> None:
    with answering((0, {}, b""), MODELS) as (url, had), Client(url) as ours:
        assert ours.models() == []
    assert (len(had), len(pauses)) == (2, 1)


def test_a_server_that_is_not_there_is_named(pauses: list[float]) -> None:
    with answering(MODELS) as (url, _):
        pass
    with Client(url, retries=2) as ours, pytest.raises(SkygenError, match=rf"{url} cannot be reached: ") as caught:
        ours.models()
    assert (caught.value.status, len(pauses)) == (None, 2)


def test_a_server_that_does_not_answer_is_not_asked_again(pauses: list[float]) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as silent:  # listens, and never accepts
        url = f"http://127.0.0.1:{silent.server_address[1]}"
        with Client(url, timeout=0.1) as ours, pytest.raises(SkygenError, match=r"no answer within 0\.1 s"):
            ours.models()
    assert pauses == []


@pytest.mark.parametrize("body", [b"<html>Bad gateway</html>", b"[]", b'"no"', b'{"detail": 3}', b"\xff"])
def test_an_error_of_something_before_the_service_is_shown(body: bytes) -> None:
    with (
        answering((502, {}, body)) as (url, _),
        Client(url) as ours,
        pytest.raises(SkygenError, match=r"^502 Bad Gateway"),
    ):
        ours.models()


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b'{"models": []}', "does not hold the model"),
        (b'{"models": [{}]}', "is another service"),
        (b"[]", "is another service"),
        (b"<html>", "is another service"),
    ],
)
def test_another_service_is_not_taken_for_ours(body: bytes, problem: str) -> None:
    with answering((200, {}, body)) as (url, _), Client(url) as ours, pytest.raises(SkygenError, match=problem):
        ours.generate("r64")


def test_it_needs_httpx_and_numpy_alone() -> None:
    """Beside them and what they need: neither torch nor any other part of skygen is imported."""
    script = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        ours = ("skygen.client", "skygen.web")
        if name in {"torch", "pydantic", "astropy"} or name.startswith("skygen.") and not name.startswith(ours):
            raise ImportError(f"{name} is blocked")
sys.meta_path.insert(0, Blocked())
import skygen.client
print(skygen.client.Client.__name__)
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert run.stdout == "Client\n", run.stderr
