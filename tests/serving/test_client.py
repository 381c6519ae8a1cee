"""The Python client: what it gives against the real service, and what it does about servers that are busy or gone."""

import importlib.util
import io
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from astropy.io import fits

from serving.auth import ApiKeys, Keyring
from serving.numbers import numbers
from skygen.bundle import Bundle
from skygen.client import Client, SkygenError
from skygen.tile import Tile, walk
from tests.serving.local import echo, listening

Answer = tuple[int, dict[str, str], bytes]


@pytest.fixture(scope="module")
def sky(client: httpx.Client) -> Iterator[Client]:
    """Ours, of the service that all tests share."""
    with Client(str(client.base_url)) as ours:
        yield ours


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that the client would have slept, which pass at once."""
    slept: list[float] = []
    monkeypatch.setattr("skygen.client.sleep", slept.append)
    return slept


@contextmanager
def answering(*answers: Answer) -> Iterator[tuple[str, list[str]]]:
    """A server that gives `answers` one after the other, the last one for ever: its URL, and the requests it had.

    Status 0 closes the connection without an answer.
    """
    had: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            had.append(f"{self.command} {self.path} {self.headers.get('Authorization')}")
            status, headers, body = answers[min(len(had), len(answers)) - 1]
            if status == 0:
                self.close_connection = True
                return
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815  # http.server's own name

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", had
        finally:
            server.shutdown()


def error(status: int, sentence: str = "too busy", **headers: str) -> Answer:
    return (
        status,
        {name.replace("_", "-"): value for name, value in headers.items()},
        json.dumps({"error": sentence}).encode(),
    )


MODELS: Answer = (200, {"Content-Type": "application/json"}, b'{"models": []}')


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
    expected = Bundle.load(bundles / "gri128/scene").draw_all(walk(Tile(7, 4, noise="none"), 8, 3))
    served = sky.interpolate("gri128", 7, 8, steps=3, model="scene", noise="none", index=4)
    assert served.flux.tobytes() == expected.tobytes()


def test_what_is_measured_is_of_the_tile(sky: Client) -> None:
    asked: dict[str, Any] = {"index": 3, "model": "scene", "noise": 0.05, "seeing": 1.2}
    flux = sky.tile("gri128", 7, **asked).flux[0]
    assert sky.measure("gri128", 7, **asked) == {
        "tiles": "gri128",
        "seed": "7",
        "index": 3,
        "recipe": "scene",
        **json.loads(json.dumps(numbers(flux, ("g", "r", "i"), 0.396))),
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


@pytest.fixture
def proxies(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A function: set these variables of proxies and certificates, and no others."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ssl_cert_file"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return lambda **values: [monkeypatch.setenv(name, value) for name, value in values.items()]


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("localhost:3000", "write http:// or https:// before it, such as http://localhost:3000"),
        ("sky.example", "such as http://sky.example"),
        ("127.0.0.1:3000", "such as http://127.0.0.1:3000"),
        ("//sky:3000/x", "such as http://sky:3000/x"),
        ("ann:s3cret@sky:3000", "such as http://sky:3000"),
        ("", "it must be like http://localhost:3000"),
        ("http://", "it must be like http://localhost:3000"),
        ("ftp://sky", "it must be like http://localhost:3000"),
        ("http://sky:port", "it must be like http://localhost:3000"),
        ("http://sky:99999", "it must be like http://localhost:3000"),
        ("http://[::1", "it must be like http://localhost:3000"),
        ("http://s ky", "it must be like http://localhost:3000"),
        ("http://sky/?a=1", "leave out what follows the '?'"),
        (None, "the address is 'None'"),
    ],
)
def test_an_address_that_is_none_is_refused_at_once(pauses: list[float], url: str, sentence: str) -> None:
    with pytest.raises(SkygenError) as caught:
        Client(url)
    assert sentence in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert pauses == []


@pytest.mark.parametrize("end", ["", "/", " \n", "/sky", "/sky/", "/a/b//"])
def test_an_address_may_have_a_prefix_and_a_slash(end: str) -> None:
    with answering(MODELS) as (url, had), Client(url + end) as ours:
        ours.models()
    assert had == [f"GET {end.strip().rstrip('/')}/v1/models None"] or had == ["GET /a/b//v1/models None"]


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), 1e7, "soon", (1, 2)])
def test_a_timeout_that_nothing_can_wait_is_refused(timeout: Any) -> None:
    with pytest.raises(SkygenError, match=r"timeout is .*; it must be seconds, above 0 and up to 1e\+06, or None"):
        Client(timeout=timeout)


@pytest.mark.parametrize("retries", [-1, 1.5, None, "3"])
def test_a_number_of_retries_that_is_none_is_refused(retries: Any) -> None:
    with pytest.raises(SkygenError, match=r"retries is .*; it must be a whole number, 0 or more"):
        Client(retries=retries)


@pytest.mark.parametrize("timeout", [None, float("inf")])
def test_without_a_timeout_it_waits_and_says_what_is_wrong_all_the_same(pauses: list[float], timeout: float) -> None:
    busy = error(503, Retry_After="600")
    with answering(busy, MODELS) as (url, _), Client(url, timeout=timeout) as ours:
        assert ours.models() == []
    assert 600 <= pauses[0] <= 600.5
    with Client(url, timeout=timeout, retries=1) as ours, pytest.raises(SkygenError, match="cannot be reached"):
        ours.models()


@pytest.mark.parametrize("asked", ["3601", "9" * 400])
def test_a_pause_of_more_than_an_hour_is_never_taken(pauses: list[float], asked: str) -> None:
    with answering(error(503, Retry_After=asked)) as (url, _), Client(url, timeout=None) as ours:
        with pytest.raises(SkygenError, match="too busy"):
            ours.models()
    assert pauses == []


@pytest.mark.parametrize("key", ["", " ", "clé-0123456789abcdef", "0123456789abcdef\n", "a\r\nX: y", "two\tparts"])
def test_a_key_that_cannot_be_sent_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(SkygenError, match=r"the key cannot be sent: .*ASCII") as caught:
        Client(key=key)
    assert not key.strip() or key.strip() not in str(caught.value)


def test_a_key_and_a_user_in_the_address_are_one_too_many() -> None:
    with pytest.raises(SkygenError, match="give a key, or a user in the address, not both"):
        Client("http://ann:s3cret@sky", key="k" * 16)


def test_a_password_in_the_address_is_sent_and_never_shown(pauses: list[float]) -> None:
    with answering(MODELS) as (url, had), Client(url.replace("//", "//ann:s3cret@")) as ours:
        ours.models()
    assert had == ["GET /v1/models Basic YW5uOnMzY3JldA=="]
    with Client(url.replace("//", "//ann:s3cret@"), retries=0) as ours, pytest.raises(SkygenError) as caught:
        ours.models()
    assert str(caught.value).startswith(f"{url} cannot be reached")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "values",
    [
        {"NO_PROXY": "localhost,127.0.0.1,::1,[::1]"},
        {"NO_PROXY": "fe80::/10"},
        {"NO_PROXY": "127.0.0.0/8", "HTTP_PROXY": "http://127.0.0.1:9"},
        {"NO_PROXY": "*", "ALL_PROXY": "socks5://127.0.0.1:1089"},
        {"HTTPS_PROXY": "nonsense", "NO_PROXY": "[", "SSL_CERT_FILE": "/nowhere/ca.pem"},
        {"no_proxy": "a b,127.0.0.1", "http_proxy": "socks4://x"},
    ],
)
def test_variables_that_do_not_concern_the_service_do_no_harm(
    proxies: Callable[..., None], values: dict[str, str]
) -> None:
    proxies(**values)
    with answering(MODELS) as (url, had), Client(url) as ours:
        assert ours.models() == []
    assert had == ["GET /v1/models None"]


def test_a_proxy_of_the_environment_is_used(proxies: Callable[..., None]) -> None:
    with answering(MODELS) as (proxy, had):
        proxies(HTTP_PROXY=proxy)
        with Client("http://sky.example:3000/a", key="k") as ours:
            assert ours.models() == []
    assert had == ["GET http://sky.example:3000/a/v1/models Bearer k"]


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "ALL_PROXY", "http_proxy"])
def test_a_proxy_that_is_not_there_is_named_without_its_password(
    proxies: Callable[..., None], pauses: list[float], variable: str
) -> None:
    proxies(**{variable: "http://ann:s3cret@127.0.0.1:9"})
    with Client("http://sky.example", retries=1) as ours, pytest.raises(SkygenError) as caught:
        ours.models()
    said = str(caught.value)
    assert f"through the proxy http://127.0.0.1:9 that {variable} names" in said
    assert "NO_PROXY=sky.example" in said
    assert "s3cret" not in said


@pytest.mark.parametrize("status", [407, 502, 503])
def test_an_answer_of_the_proxy_itself_names_it(proxies: Callable[..., None], pauses: list[float], status: int) -> None:
    with answering((status, {}, b"<html>no</html>")) as (proxy, _):
        proxies(HTTP_PROXY=proxy)
        with Client("http://sky.example", retries=1) as ours, pytest.raises(SkygenError) as caught:
            ours.models()
    assert f"<html>no</html> (through the proxy {proxy} that HTTP_PROXY names" in str(caught.value)


def test_a_proxy_that_does_not_answer_is_named(proxies: Callable[..., None]) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as silent:
        proxies(ALL_PROXY=f"127.0.0.1:{silent.server_address[1]}")
        with Client("http://sky", timeout=0.1) as ours, pytest.raises(SkygenError, match=r"0\.1 s \(through the proxy"):
            ours.models()


def test_a_proxy_that_cannot_be_used_is_refused_at_once(proxies: Callable[..., None]) -> None:
    proxies(ALL_PROXY="socks4://127.0.0.1:1089")
    with pytest.raises(SkygenError, match="the proxy socks4://127.0.0.1:1089 that ALL_PROXY names is none: it must be"):
        Client()


def test_a_socks_proxy_needs_a_package(proxies: Callable[..., None]) -> None:
    if importlib.util.find_spec("socksio"):
        pytest.skip("the package socksio is installed")
    proxies(ALL_PROXY="socks5://127.0.0.1:1089")
    with pytest.raises(SkygenError, match=r"that ALL_PROXY names needs the package socksio: pip install"):
        Client()


def test_certificates_that_cannot_be_read_are_named(proxies: Callable[..., None]) -> None:
    proxies(SSL_CERT_FILE="/nowhere/ca.pem")
    with pytest.raises(SkygenError, match=r"certificates cannot be read: .*SSL_CERT_FILE=/nowhere/ca\.pem"):
        Client("https://sky.example")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.zeros(2), object()])
def test_what_json_cannot_hold_is_refused_in_a_sentence(value: Any) -> None:
    with (
        answering(MODELS) as (url, had),
        Client(url) as ours,
        pytest.raises(SkygenError, match="cannot be written as JSON"),
    ):
        ours.generate("r64", noise=value)
    assert had == []


def test_a_name_that_is_no_hosts_is_said_to_be(proxies: Callable[..., None], pauses: list[float]) -> None:
    proxies()
    with Client(f"http://{'a' * 70}.example") as ours, pytest.raises(SkygenError, match="cannot be asked"):
        ours.models()


def test_a_service_that_has_moved_says_where() -> None:
    moved: Answer = (308, {"Location": "https://sky.example/"}, b"")
    with answering(moved) as (url, _), Client(url) as ours, pytest.raises(SkygenError, match="moved to https://sky"):
        ours.models()


@pytest.mark.parametrize("headers", [{"Content-Encoding": "gzip"}, {}])
def test_tiles_that_cannot_be_read_are_an_error_of_ours(headers: dict[str, str]) -> None:
    card = {"sha256": "f", "bands": ["r"], "pixel_scale_arcsec": 0.4, "recipe": "gan"}
    tiles: Answer = (200, {"X-Skygen-Model": "f", "X-Skygen-Engine": "onnx", **headers}, b"damaged")
    cards: Answer = (200, {}, json.dumps({"models": [card]}).encode())
    with answering(tiles, cards) as (url, _), Client(url) as ours, pytest.raises(SkygenError):
        ours.generate("r64")


def test_it_needs_httpx_and_numpy_alone() -> None:
    """Beside them and what they need: neither torch nor any other part of skygen is imported."""
    script = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name in {"torch", "pydantic", "astropy"} or name.startswith("skygen.") and name not in {"skygen.client", "skygen.proxies"}:
            raise ImportError(f"{name} is blocked")
sys.meta_path.insert(0, Blocked())
import skygen.client
print(skygen.client.Client)
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert run.stdout == "<class 'skygen.client.Client'>\n", run.stderr
