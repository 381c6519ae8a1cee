"""The Python client under odd addresses, keys, time-outs and proxies: it works, or says in a sentence what is wrong."""

import importlib.util
import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

from skygen.client import Client, SkygenError
from tests.serving.answering import MODELS, Answer, answering, error


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that the client would have slept, which pass at once."""
    slept: list[float] = []
    monkeypatch.setattr("skygen.client.transport.sleep", slept.append)
    return slept


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
    busy = error(503, Retry_After=asked)
    with answering(busy) as (url, _), Client(url, timeout=None) as ours, pytest.raises(SkygenError, match="too busy"):
        ours.models()
    assert pauses == []


@pytest.mark.parametrize(
    "key", ["", " ", "clé-0123456789abcdef", "0123456789abcdef\n", "a\r\nX: y", "two\tparts", b"0123456789abcdef"]
)
def test_a_key_that_cannot_be_sent_is_refused_and_not_shown(key: Any) -> None:
    with pytest.raises(SkygenError, match=r"the key cannot be sent: .*ASCII") as caught:
        Client(key=key)
    assert not key.strip() or str(key).strip() not in str(caught.value)


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
    with pytest.raises(SkygenError, match=r"the proxy socks4://127\.0\.0\.1:1089 that ALL_PROXY names is none"):
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
        pytest.raises(SkygenError, match="as JSON"),
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
