"""A service that is hurt or stopped: what becomes of the calls in flight, and of the ones after them."""

import json
import re
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.harness.raw import post
from tests.harness.served import Service, served, stop
from tests.harness.waiting import until

SMALL = {"tiles": "r64", "n": 2, "seed": 7, "format": "npy"}
LARGE = {"tiles": "gri128", "model": "scene", "n": 256, "seed": 7, "format": "npy"}
CLIENTS = 8


def ask(service: Service, **fields: Any) -> httpx.Response:
    return httpx.post(f"{service.url}/v1/generate", json=SMALL | fields, timeout=60)


def queued(service: Service) -> float:
    found = re.search(r"(?m)^skygen_queued_tiles (\S+)$", httpx.get(f"{service.url}/metrics", timeout=60).text)
    return float(found[1]) if found else 0.0


@contextmanager
def asked_all_the_time(service: Service) -> Iterator[list[int | str]]:
    """Eight clients that ask again once answered, or once their connection broke; what each call came to."""
    outcomes: list[int | str] = []
    ended = threading.Event()

    def client() -> None:
        while not ended.is_set():
            try:
                outcomes.append(ask(service).status_code)
            except httpx.TransportError as error:
                outcomes.append(type(error).__name__)

    with ThreadPoolExecutor(CLIENTS) as clients:
        for _ in range(CLIENTS):
            clients.submit(client)
        try:
            yield outcomes
        finally:
            ended.set()


@pytest.mark.slow
def test_a_killed_worker_is_back_by_itself_and_only_calls_in_flight_are_lost(bundles: Path, tmp_path: Path) -> None:
    with served(tmp_path, {}, bundles) as service:
        expected = ask(service).content
        (worker,) = service.workers()
        with asked_all_the_time(service) as outcomes:
            until(lambda: outcomes.count(200) > 20)
            with ThreadPoolExecutor(1) as client:
                lost = client.submit(ask, service, **LARGE)
                until(lambda: queued(service) > 100)
                worker.kill()
            assert isinstance(lost.exception(), httpx.TransportError)
            until(lambda: service.workers() not in ([], [worker]))
            answered = outcomes.count(200)
            until(lambda: outcomes.count(200) > answered + 20)
        assert set(outcomes) - {200} <= {"RemoteProtocolError", "ReadError"}
        assert len(outcomes) - outcomes.count(200) <= CLIENTS
        assert ask(service).content == expected
        assert service.process.poll() is None


def test_in_a_container_a_killed_worker_ends_the_process(bundles: Path, tmp_path: Path) -> None:
    """BentoML replaces no worker there: the orchestrator sees the end and starts another container."""
    with served(tmp_path, {"BENTOML_CONTAINERIZED": "true"}, bundles) as service:
        assert ask(service).status_code == 200
        service.workers()[0].kill()
        assert service.process.wait(60) == 1


def test_a_stopping_service_finishes_its_calls_and_takes_no_more(bundles: Path, tmp_path: Path) -> None:
    with served(tmp_path, {}, bundles) as service, ThreadPoolExecutor(3) as clients:
        calls = [clients.submit(ask, service, **LARGE | {"seed": seed}) for seed in range(3)]
        until(lambda: queued(service) > 0)
        service.process.terminate()
        until(lambda: not listens(service))
        assert {call.result().status_code for call in calls} == {200}
        assert len({call.result().content for call in calls}) == 3
        assert service.process.wait(60) == 0


def listens(service: Service) -> bool:
    try:
        socket.create_connection(service.address, timeout=1).close()
    except OSError:
        return False
    return True


@pytest.mark.slow
def test_who_reads_nothing_does_not_keep_a_stopping_service(bundles: Path, tmp_path: Path) -> None:
    with served(tmp_path, {}, bundles) as service, socket.create_connection(service.address) as reader:
        reader.sendall(post(json.dumps(LARGE).encode()))
        assert reader.recv(100).startswith(b"HTTP/1.1 200 ")
        assert stop(service) == 0


def test_a_deadline_leaves_no_work_behind(bundles: Path, tmp_path: Path) -> None:
    with served(tmp_path, {"SKYGEN_TIMEOUT_SECONDS": "0.5", "SKYGEN_THREADS": "1"}, bundles) as service:
        with ThreadPoolExecutor(4) as clients:
            late = list(clients.map(lambda seed: ask(service, **LARGE | {"seed": seed}), range(4)))
        assert 504 in {answer.status_code for answer in late}
        assert {answer.status_code for answer in late} <= {200, 504}
        sentence = next(answer for answer in late if answer.status_code == 504).json()["error"]
        assert sentence == "not done within 0.5 s; ask for fewer tiles, or again later"
        until(lambda: queued(service) == 0, seconds=5)
        assert ask(service).status_code == 200


def test_bytes_are_the_same_whatever_else_is_asked_for(running: Service) -> None:
    _ask_among_others(running)
    assert len(running.workers()) == 1


@pytest.mark.slow
def test_bytes_are_the_same_whatever_else_is_asked_of_two_workers(bundles: Path, tmp_path: Path) -> None:
    with served(tmp_path, {"SKYGEN_WORKERS": "2"}, bundles) as service:
        _ask_among_others(service)
        assert len(service.workers()) == 2


def _ask_among_others(service: Service) -> None:
    """Sixteen clients ask for the same among other requests, which share its passes, and get what one got alone."""
    same = [{"tiles": "gri128", "model": "scene", "n": 3}, {"tiles": "gri128", "n": 8}, {"n": 1, "format": "fits"}]
    alone = [ask(service, **fields).content for fields in same]

    def client(number: int) -> list[bytes]:
        answers = []
        for turn, fields in enumerate([*same, *same]):
            others = same[turn % 3] | {"seed": 100 * number + turn, "n": 1 + (number + turn) % 9}
            assert ask(service, **others).status_code == 200
            answers.append(ask(service, **fields).content)
        return answers

    with ThreadPoolExecutor(16) as clients:
        assert all(answers == [*alone, *alone] for answers in clients.map(client, range(16)))
