"""Clients that break the rules, against the whole service."""

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmarks.broken import run
from tests.harness.broken import CASES, HURRY, good, play_all, scan
from tests.harness.raw import exchange, leave, post
from tests.harness.served import Service, served

LARGE = json.dumps({"tiles": "gri128", "n": 64, "format": "npy"}).encode()


@pytest.fixture(scope="module")
def service(bundles: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service of this module's own, since what is looked at is its log, its processes and its metrics."""
    with served(tmp_path_factory.mktemp("service"), HURRY, bundles) as running:
        yield running
    log = running.log.read_text()
    assert running.traces() == 0, log
    assert "graceful shutdown exceeded" not in log  # a stopping service waits for nobody who has left


def test_no_case_hurts_the_service_and_unknown_paths_add_nothing_to_its_metrics(service: Service) -> None:
    expected, workers = good(service), service.workers()
    assert play_all(service, CASES * 2) == []
    assert good(service) == expected
    assert service.workers() == workers
    assert service.traces() == 0, service.log.read_text()
    assert scan(service) == []


@pytest.mark.slow
def test_the_benchmark_finds_nothing(service: Service, tmp_path: Path) -> None:
    assert run(service, tmp_path, requests=500, seed=1) == []


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
