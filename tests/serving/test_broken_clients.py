"""Clients that break the rules, against the whole service: a selection of what `python -m benchmarks.broken` plays."""

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmarks.broken import HURRY, fuzz, good, scan
from benchmarks.malformed.cases import FAMILIES, Case, case, play
from tests.harness.raw import exchange, leave, post
from tests.harness.served import Service, served

LARGE = json.dumps({"tiles": "gri128", "n": 64, "format": "npy"}).encode()


@pytest.fixture(scope="module")
def service(bundles: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service of this module's own, since what is looked at is its log, its processes and its metrics."""
    with served(tmp_path_factory.mktemp("service"), HURRY, bundles, grace_seconds=5) as running:
        yield running
        assert running.traces() == 0, running.log.read_text()


def test_no_case_hurts_the_service(service: Service) -> None:
    expected, workers = good(service), service.workers()
    assert fuzz(service, range(8 * len(FAMILIES)), seed=2) == []
    assert good(service) == expected
    assert service.workers() == workers


def test_unknown_paths_add_nothing_to_the_metrics(service: Service) -> None:
    fuzz(service, range(len(FAMILIES)), seed=3)
    assert scan(service) == []


def test_a_case_is_the_same_whenever_it_is_made() -> None:
    made = [case(5, index) for index in range(100)]
    assert made == [case(5, index) for index in reversed(range(100))][::-1]
    assert made != [case(6, index) for index in range(100)]
    assert len({made.family for made in made}) == len(FAMILIES)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b"HTTP/1.1 500 X\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}", "answered [500]"),
        (b"HTTP/1.1 404 X\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}", "an error that does not say why"),
        (b'HTTP/1.1 404 X\r\nConnection: close\r\n\r\n{"error": ""}', "an error that does not say why"),
        (b"", "no answer, and the connection was closed"),
        (b'HTTP/1.1 404 X\r\nConnection: close\r\n\r\n{"error": "none"}', ""),
    ],
)
def test_a_service_that_breaks_is_found_out(answer: bytes, problem: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as server:

        def serve() -> None:
            connection = listener.accept()[0]
            with connection:
                connection.recv(10_000)
                connection.sendall(answer)

        ended = server.submit(serve)
        found = play(listener.getsockname(), Case("any", (b"GET / HTTP/1.1\r\n\r\n",)))
        ended.result()
    assert found.startswith(problem)
    assert bool(found) == bool(problem)


def test_a_connection_that_is_kept_for_ever_is_found_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        silent = Case("any", (b"GET / HTTP/1.1\r\n\r\n",))
        assert play(listener.getsockname(), silent, patience=0.2) == "no answer, and the connection was kept"
        half = Case("any", silent.steps, end="half")
        assert (
            play(listener.getsockname(), half, patience=0.2) == "the connection was kept, though the client had ended"
        )


def test_who_leaves_in_mid_answer_disturbs_nobody(service: Service) -> None:
    expected = good(service)
    for reset in (False, True):
        with ThreadPoolExecutor(8) as leaving:
            for _ in range(8):
                leaving.submit(leave, service.address, [post(LARGE)], reading=1000, reset=reset)
        assert good(service) == expected


def test_half_open_requests_keep_nobody_out(service: Service) -> None:
    """200 clients have begun a head or a body, and stay: others are answered, and time-outs end the 200."""
    begun = [b"GET /v1/models HTTP/1.1\r\nHost:", post(b'{"tiles"', "Content-Length: 50")] * 100
    clients = [socket.create_connection(service.address) for _ in begun]
    try:
        for client, request in zip(clients, begun, strict=True):
            client.sendall(request)
        expected = good(service)
        assert [good(service) for _ in range(10)] == [expected] * 10
        for client in clients:
            client.settimeout(30)
            assert client.recv(1000).startswith(b"HTTP/1.1 408 ")
    finally:
        for client in clients:
            client.close()


def test_expect_continue_is_answered_before_the_body_unless_it_is_refused(service: Service) -> None:
    with socket.create_connection(service.address, timeout=30) as client:
        body = b'{"tiles": "r64"}'
        client.sendall(post(b"", f"Content-Length: {len(body)}", "Expect: 100-continue", "Connection: close"))
        assert client.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(body)
        assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
    refused = exchange(service.address, [post(b"", "Content-Length: 65000", "Expect: 100-continue")])
    assert refused.content.startswith(b"HTTP/1.1 413 ")
