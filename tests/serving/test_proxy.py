"""The shipped nginx configuration in front of the service: what clients can and cannot do through it."""

import asyncio
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from serving.http.limits import MAX_BODY_BYTES
from tests.harness.raw import Address, exchange, get, post
from tests.programs import program
from tests.serving.local import answer, listening
from tests.serving.proxied import SHIPPED, UPSTREAM, proxied
from tools.rehearse.programs import free_port

HASTY = {"client_header_timeout 10s": "client_header_timeout 1s", "client_body_timeout 10s": "client_body_timeout 1s"}
TILE = {"tiles": "gri128", "n": 4, "seed": 7, "format": "npy"}


@pytest.fixture(scope="module")
def proxy(client: httpx.Client, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    """nginx in front of the tests' service, in a hurry."""
    host, port = client.base_url.host, client.base_url.port
    assert port
    with proxied(tmp_path_factory.mktemp("nginx"), (host, port), HASTY) as address:
        yield address


@pytest.fixture(scope="module")
def through(proxy: Address) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://{proxy[0]}:{proxy[1]}", timeout=30) as client:
        yield client


def test_nginx_takes_the_file_as_it_is(tmp_path: Path) -> None:
    """But for the folders of its logs and its number, which a user that is not root may not have."""
    text = re.sub(r"/var/log/nginx/|/run/", f"{tmp_path}/", SHIPPED.read_text())
    folders = "".join(
        f"{name}_temp_path {tmp_path}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (tmp_path / "nginx.conf").write_text(text.replace("http {", "http {" + folders))
    shutil.copy(UPSTREAM, tmp_path)
    command = [
        program("nginx"),
        "-t",
        "-p",
        str(tmp_path),
        "-c",
        str(tmp_path / "nginx.conf"),
        "-e",
        str(tmp_path / "log"),
    ]
    tested = subprocess.run(command, capture_output=True, text=True, check=False)
    assert tested.returncode == 0, tested.stderr
    assert "warn" not in tested.stderr


def test_no_call_fails_where_one_of_several_services_is_gone(client: httpx.Client, tmp_path: Path) -> None:
    host, port = client.base_url.host, client.base_url.port
    assert port
    gone = [("127.0.0.1", free_port())]
    with proxied(tmp_path, (host, port), beside=gone) as address, httpx.Client(timeout=30) as asking:
        url = f"http://{address[0]}:{address[1]}/v1/generate"
        statuses = {asking.post(url, json=TILE | {"seed": seed}).status_code for seed in range(12)}
    assert statuses == {200}


def test_answers_are_the_services_own(through: httpx.Client, client: httpx.Client) -> None:
    direct, proxied = (asked.post("/v1/generate", json=TILE) for asked in (client, through))
    assert proxied.status_code == 200
    assert proxied.content == direct.content
    assert proxied.headers["X-Skygen-Model"] == direct.headers["X-Skygen-Model"]
    assert through.get("/v1/models").json() == client.get("/v1/models").json()
    refused = through.post("/v1/generate", json={"tiles": "r65"})
    assert (refused.status_code, refused.json()) == (400, client.post("/v1/generate", json={"tiles": "r65"}).json())


def test_trickled_heads_are_closed_and_others_served(proxy: Address, through: httpx.Client) -> None:
    def trickle(_: int) -> list[int]:
        return exchange(proxy, [b"GET /v1/models HTTP/1.1\r\nHost: x\r\n", *[b"X-A: b\r\n", 0.2] * 20]).statuses

    with ThreadPoolExecutor(50) as slow:
        trickled = slow.map(trickle, range(50))
        for seed in range(10):
            assert through.post("/v1/generate", json={**TILE, "seed": seed}).status_code == 200
        assert {status for statuses in trickled for status in statuses} <= {408}


def test_a_body_that_stops_is_given_up(proxy: Address) -> None:
    heard = exchange(proxy, [post(b'{"tiles"', "Content-Length: 50")])
    assert heard.closed
    assert set(heard.statuses) <= {408}


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (post(b"x" * (MAX_BODY_BYTES + 1)), 413),
        (get("/v1/models", "X-A: " + "a" * 10_000), 431),
        (get("/v1/models?" + "a" * 10_000), 431),
        (b"GARBAGE\r\n\r\n", 400),
        (get("/v1/models", "Content-Length: x"), 400),
    ],
)
def test_what_nginx_refuses_reads_like_the_services_errors(proxy: Address, request_: bytes, status: int) -> None:
    head, _, body = exchange(proxy, [request_]).content.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d" % status)
    assert b"application/json" in head
    assert list(httpx.Response(status, content=body).json()) == ["error"]


def test_the_longest_body_passes(through: httpx.Client) -> None:
    body = b'{"tiles": "r64"}'.ljust(MAX_BODY_BYTES)
    sent = through.post("/v1/generate", content=body, headers={"Content-Type": "application/json"})
    assert sent.status_code == 200


def test_metrics_are_not_for_the_network(through: httpx.Client) -> None:
    refused = through.get("/metrics")
    assert (refused.status_code, refused.json()) == (404, {"error": "not here"})


def test_a_stopped_service_is_said_to_be_away(tmp_path: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        with proxied(tmp_path, nobody.getsockname()) as address:
            away = httpx.get(f"http://{address[0]}:{address[1]}/v1/models")
    assert (away.status_code, away.headers["Retry-After"]) == (503, "5")
    assert away.json() == {"error": "the service does not answer; try again soon"}


async def headers_it_sees(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, b"\n".join(name + b": " + value for name, value in scope["headers"]))


def test_the_service_hears_the_clients_address_not_what_it_claims(tmp_path: Path) -> None:
    with listening(headers_it_sees) as service, proxied(tmp_path, service) as address:
        url = f"http://{address[0]}:{address[1]}/"
        seen = httpx.get(url, headers={"X-Forwarded-For": "10.9.8.7", "Authorization": "Bearer key"}).text.splitlines()
    assert "x-forwarded-for: 127.0.0.1" in seen
    assert "authorization: Bearer key" in seen
    assert not [line for line in seen if "10.9.8.7" in line]


async def waiting(scope: Scope, receive: Receive, send: Send) -> None:
    while scope["path"] == "/wait" and (await receive())["type"] != "http.disconnect":
        await asyncio.sleep(0)
    await answer(send, b"")


def test_all_addresses_have_so_many_calls_at_a_time(tmp_path: Path) -> None:
    (most,) = re.findall(r"limit_conn calls_of_all \d+", SHIPPED.read_text())
    few = {most: "limit_conn calls_of_all 3"}
    with listening(waiting) as service, proxied(tmp_path, service, few) as address, ExitStack() as held:
        for number in range(3):
            source = (f"127.0.0.{2 + number}", 0)
            held.enter_context(socket.create_connection(address, source_address=source)).sendall(get("/wait"))
        while (refused := exchange(address, [get("/", "Connection: close")])).statuses == [200]:
            pass  # nginx may not have read them all
        assert refused.statuses == [429]
        assert b"too many calls, of your address or of all" in refused.content


def test_one_address_has_64_calls_at_a_time(tmp_path: Path) -> None:
    with listening(waiting) as service, proxied(tmp_path, service) as address, ExitStack() as held:
        for _ in range(64):
            held.enter_context(socket.create_connection(address)).sendall(get("/wait"))
        refused = exchange(address, [get("/", "Connection: close")])
        while refused.statuses == [200]:  # nginx may not have read them all
            refused = exchange(address, [get("/", "Connection: close")])
        assert refused.statuses == [429]
        assert b"Retry-After: 1" in refused.content
        held.close()
        assert 200 in [exchange(address, [get("/", "Connection: close")]).statuses[0] for _ in range(100)]


async def answers(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, b"")


def test_an_address_that_calls_too_fast_is_told_so_and_others_are_served(tmp_path: Path) -> None:
    (rate,), (burst,) = (re.findall(said, SHIPPED.read_text()) for said in (r"\brate=\S+;", r"\bburst=\d+"))
    slow = {rate: "rate=1r/m;", burst: "burst=4"}
    with listening(answers) as service, proxied(tmp_path, service, slow) as address:
        url = f"http://{address[0]}:{address[1]}/"
        with httpx.Client(transport=httpx.HTTPTransport(local_address="127.0.0.2")) as other:
            assert [httpx.get(url).status_code for _ in range(6)] == [200] * 5 + [429]
            assert other.get(url).status_code == 200
        refused = httpx.get(url)
    assert refused.json() == {"error": "calls of your address come too fast; wait a second"}
    assert (refused.headers["Retry-After"], refused.headers["Content-Type"]) == ("1", "application/json")


def test_answers_carry_each_header_once_whoever_says_it(through: httpx.Client) -> None:
    page, tile, refused = through.get("/"), through.post("/v1/generate", json=TILE), through.get("/metrics")
    for answer_ in (page, tile, refused):
        assert answer_.headers.get_list("X-Content-Type-Options") == ["nosniff"]
        assert answer_.headers.get_list("Referrer-Policy") == ["no-referrer"]
        assert answer_.headers["X-Skygen-Service"] == "skygen"
        (policy,) = answer_.headers.get_list("Content-Security-Policy")
        assert "frame-ancestors 'none'" in policy
        assert ("default-src 'self'" in policy) == (answer_ is page)


def test_a_slow_reader_holds_nothing_of_the_service(tmp_path: Path) -> None:
    """The service has handed its answer over while the client has read a part of it."""
    done = threading.Event()

    async def large(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send, bytes(50_000_000))
        await receive()
        done.set()

    with (
        listening(large) as service,
        proxied(tmp_path, service) as address,
        socket.create_connection(address) as reader,
    ):
        reader.sendall(get("/"))
        assert reader.recv(1000).startswith(b"HTTP/1.1 200 ")
        assert done.wait(20)
