"""More than the service can serve: a few seconds of what `python -m benchmarks.overload` does for minutes."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from benchmarks.overload import palette
from tests.harness.load import load, post
from tests.harness.served import Service, served

TILES = {"tiles": "gri128", "model": "scene", "format": "npy"}


@pytest.fixture(scope="module")
def service(bundles: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with served(tmp_path_factory.mktemp("service"), {"SKYGEN_QUEUE_TILES": "256"}, bundles) as running:
        yield running
        assert running.traces() == 0, running.log.read_text()


def test_what_is_too_much_is_refused_and_the_rest_is_right(service: Service) -> None:
    requests = [post("/v1/generate", **TILES, n=n, seed=seed) for n in (1, 64, 256) for seed in range(3)]
    answers = asyncio.run(load(service.address, requests, rate=200, seconds=4, seed=1))
    assert set(answers.statuses) == {200, 429}
    assert not answers.failures
    after = httpx.post(f"{service.url}/v1/generate", json=TILES, timeout=60)
    assert after.status_code == 200


def test_a_refusal_says_when_to_come_again(service: Service) -> None:
    with httpx.Client(base_url=service.url, timeout=60) as client:

        async def refused() -> list[httpx.Response]:
            async with httpx.AsyncClient(base_url=service.url, timeout=60) as many:
                asked = (many.post("/v1/generate", json=TILES | {"n": 256, "seed": seed}) for seed in range(8))
                return [answer for answer in await asyncio.gather(*asked) if answer.status_code == 429]

        full = asyncio.run(refused())
        assert full
        assert all(int(answer.headers["Retry-After"]) >= 1 for answer in full)
        assert all("try again in" in answer.json()["error"] for answer in full)
        assert client.post("/v1/generate", json=TILES).status_code == 200


def test_everything_in_the_soak_is_there_and_repeats_itself(client: httpx.Client) -> None:
    host, port = client.base_url.host, client.base_url.port
    assert port
    everything = palette()
    answers = asyncio.run(load((host, port), everything, rate=60, seconds=5, seed=2))
    assert set(answers.statuses) == {200}
    assert not answers.failures
    assert len(answers.hashes) > len(everything) // 2
