"""What is counted: exactly what was asked, over several workers, and never a series more for what a client makes up."""

import asyncio
import os
import platform
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from prometheus_client import REGISTRY
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.parser import text_string_to_metric_families
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.http.instrumentation import Instrumented
from serving.monitoring import metrics
from serving.settings import Settings
from skygen.provenance import git_commit
from tests.harness.served import served

ROOT = Path(__file__).parents[3]
TILE, GENERATE = "/v1/tile/{tiles}/{seed}.{format}", "/v1/generate"

Series = tuple[str, frozenset[tuple[str, str]]]


def scrape(client: httpx.Client) -> Counter[Series]:
    """The series of ours at /metrics."""
    families = text_string_to_metric_families(client.get("/metrics").raise_for_status().text)
    found = {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}
    return Counter({series: value for series, value in found.items() if series[0].startswith("skygen_")})


def of(name: str, **labels: str) -> Series:
    return name, frozenset(labels.items())


def request(route: str, status: int, method: str = "GET") -> Series:
    return of("skygen_http_requests_total", route=route, method=method, status=str(status))


def test_a_request_is_counted_once_everywhere(client: httpx.Client) -> None:
    body = {"tiles": "r64", "n": 19, "seed": 3, "format": "npy"}
    before = scrape(client)
    client.post("/v1/generate", json=body).raise_for_status()
    after = scrape(client)
    r64, improved = {"tiles": "r64"}, {"tiles": "r64", "recipe": "improved"}
    passes = after[of("skygen_pass_tiles_count", **r64)] - before[of("skygen_pass_tiles_count", **r64)]
    assert 3 <= passes <= 19
    assert {series: after[series] - before[series] for series in expected(passes)} == expected(passes)
    for part in ("queue_seconds_sum", "encoding_seconds_sum", "inference_seconds_sum"):
        [grown] = [s for s in after if s[0] == f"skygen_{part}" and after[s] > before[s]]
        assert dict(grown[1])["tiles"] == "r64"
    assert after[of("skygen_sample_bad_pixels_total", **improved, kind="nonfinite")] == 0


def test_a_service_tells_what_it_is_made_of_and_its_limits(client: httpx.Client) -> None:
    found = scrape(client)
    [(build, value)] = [(dict(labels), value) for (name, labels), value in found.items() if name == "skygen_build_info"]
    packages = {name: version(name) for name in ("torch", "bentoml")}
    made_of = {"version": version("skygen"), "commit": git_commit(), "python": platform.python_version(), **packages}
    assert (build, value) == (made_of, 1)
    defaults = Settings.model_fields
    limits = {"skygen_queue_limit_tiles": "queue_tiles", "skygen_timeout_seconds": "timeout_seconds"}
    assert {name: found[of(name)] for name in limits} == {name: defaults[key].default for name, key in limits.items()}


def expected(passes: float) -> dict[Series, float]:
    """How the request of 19 tiles is counted."""
    r64, improved = {"tiles": "r64"}, {"tiles": "r64", "recipe": "improved"}
    return {
        request(GENERATE, 200, "POST"): 1,
        of("skygen_http_request_seconds_count", route=GENERATE): 1,
        of("skygen_tiles_total", **improved, format="npy"): 19,
        of("skygen_tiles_total", **improved, format="png"): 0,
        of("skygen_queue_seconds_count", **r64): 1,
        of("skygen_encoding_seconds_count", **r64, format="npy"): 1,
        of("skygen_inference_seconds_count", **improved): passes,
        of("skygen_pass_tiles_sum", **r64): 19,
        of("skygen_sample_pixels_total", **improved): 19 * 64 * 64,
        of("skygen_queued_tiles"): 0,
        of("skygen_http_requests_in_flight"): 0,  # before and after, the scrape itself
    }


def test_what_a_client_makes_up_adds_no_series(client: httpx.Client) -> None:
    def make_up(word: str, number: int) -> None:
        client.get(f"/{word}")
        client.get(f"/page/{word}.css")
        client.get(f"/v1/tile/r64/{number}.npy", params={"index": number})
        client.get(f"/v1/tile/{word}/{number}.png")
        client.get(f"/v1/tile/r64/{word}.fits")
        client.get(f"/v1/tile/r64/{number}.{word}")
        client.get(f"/v1/measure/{word}/{number}")
        client.get(f"/v1/real/{word}/{number}.png")
        client.request("REPORT", f"/{word}")
        client.put(f"/v1/tile/r64/{number}.npy")
        client.post("/v1/generate", json={"tiles": word, "seed": number})
        client.post("/v1/generate", json={"tiles": "r64", "model": word, "format": word, word: number})
        client.post("/v1/generate", content=word, headers={"Content-Type": f"text/{word}"})

    make_up("first", 0)
    before = scrape(client)
    for number in range(100):
        make_up(f"word{number}", number + 1)
    after = scrape(client)
    assert set(after) == set(before)
    assert after[request("other", 404)] - before[request("other", 404)] >= 100
    assert after[request("other", 404, "other")] - before[request("other", 404, "other")] == 100


def test_refusals_count_at_the_route_that_they_were_meant_for(client: httpx.Client) -> None:
    before = scrape(client)
    client.post("/v1/generate", content=b"x", headers={"Content-Type": "text/plain"})
    client.post("/v1/generate", content=b" " * 70_000, headers={"Content-Type": "application/json"})
    client.post("/v1/generate", json={"tiles": "r64", "n": 0})
    client.get("/v1/generate")
    client.get("/v1/tile/r64/1.png", params={"version": "0" * 64})
    after = scrape(client)
    statuses = {status: request(GENERATE, status, "POST") for status in (415, 413, 400)}
    statuses |= {405: request(GENERATE, 405), 404: request(TILE, 404)}
    assert {status: after[series] - before[series] for status, series in statuses.items()} == dict.fromkeys(statuses, 1)
    reasons = {reason: of("skygen_rejected_total", reason=reason) for reason in ("media_type", "body")}
    assert {reason: after[series] - before[series] for reason, series in reasons.items()} == {
        "media_type": 1,
        "body": 1,
    }


def test_a_client_that_leaves_is_counted(client: httpx.Client) -> None:
    left = request(GENERATE, 499, "POST")
    before = scrape(client)
    body = b'{"tiles": "gri128", "n": 256, "format": "png"}'
    head = f"POST /v1/generate HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\nContent-Type: application/json"
    with socket.create_connection((client.base_url.host, client.base_url.port or 0)) as connection:
        connection.sendall(head.encode() + b"\r\n\r\n" + body)
        _wait(lambda: scrape(client)[of("skygen_queued_tiles")] > 0)
    _wait(lambda: scrape(client)[left] - before[left] == 1)
    _wait(lambda: scrape(client)[of("skygen_queued_tiles")] == 0)
    disconnected = of("skygen_rejected_total", reason="disconnected")
    assert scrape(client)[disconnected] - before[disconnected] == 1


def test_every_reason_in_the_code_has_its_series_from_the_start() -> None:
    code = "".join(path.read_text() for path in (ROOT / "serving").rglob("*.py"))
    assert set(re.findall(r'REJECTED\.labels\("(\w+)"\)', code)) <= set(metrics.REASONS)


def test_sums_are_right_over_workers_and_over_the_end_of_one(bundles: Path, tmp_path: Path) -> None:
    settings = {"SKYGEN_WORKERS": "2", "SKYGEN_QUEUE_TILES": "256", "TMPDIR": str(tmp_path)}
    before = time.time()
    asked = of("skygen_tiles_total", tiles="r64", recipe="improved", format="npy")
    starts, memory = of("skygen_worker_starts_total"), of("skygen_process_memory_bytes")
    with served(tmp_path, settings, bundles) as service, service.client() as client:
        _wait(lambda: scrape(client)[starts] == 2)
        (folder,) = tmp_path.glob("skygen-*/metrics")
        for asked_before in range(200):
            httpx.get(f"{client.base_url}/v1/tile/r64/{asked_before}.npy").raise_for_status()  # a connection each
            if all(counted := _tiles_of_each_process(folder)) and len(counted) == 2 and asked_before > 20:
                break
        assert all(_tiles_of_each_process(folder)), "one worker answered everything"
        # A request is counted when its answer has gone, and the other worker may be asked sooner.
        _wait(lambda: scrape(client)[request(TILE, 200)] >= asked_before + 1)
        found = scrape(client)
        assert found[asked] == found[request(TILE, 200)] == asked_before + 1
        assert [v for s, v in found.items() if s[0] == "skygen_model_info"] == [1, 1, 1, 1]
        assert len([s for s in found if s[0] == "skygen_canary_info"]) == 4
        assert found[of("skygen_queue_limit_tiles")] == 2 * 256
        began = found[of("skygen_start_time_seconds")]
        assert before <= began <= time.time()
        both = found[memory]
        victim = int(next(folder.glob("counter_*.db")).stem.split("_")[1])
        os.kill(victim, signal.SIGKILL)
        _wait(lambda: scrape(client)[starts] == 3)
        _wait(lambda: not list(folder.glob(f"gauge_live*_{victim}.db")))
        found = scrape(client)
        assert found[asked] == asked_before + 1
        assert found[of("skygen_queue_limit_tiles")] == 2 * 256
        assert found[of("skygen_start_time_seconds")] == began  # a worker was replaced, the service not
        assert 0.5 * both < found[memory] < 1.5 * both
        assert found[of("skygen_http_requests_in_flight")] == 1  # the scrape


def _tiles_of_each_process(folder: Path) -> list[float]:
    values = [MmapedDict.read_all_values_from_file(str(file)) for file in folder.glob("counter_*.db")]
    return [sum(value for key, value, *_ in of_one if "skygen_tiles_total" in key) for of_one in values]


def _wait(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 180  # a worker starts in 10 s, on a busy machine in a minute
    while time.monotonic() < end:
        try:
            if condition():
                return
        except httpx.TransportError:  # of a worker that is killed
            pass
        time.sleep(0.1)
    pytest.fail("it did not come to that within three minutes")


def test_a_dead_process_leaves_its_counters_and_takes_its_gauges(tmp_path: Path) -> None:
    """Two real processes: one counts and is killed, the other scrapes."""
    dies = (
        "import os, signal; from serving.monitoring import metrics; metrics.QUEUED_TILES.inc(7);"
        "metrics.WORKER_STARTS.inc();"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    scrapes = (
        "import prometheus_client as p; from prometheus_client.multiprocess import MultiProcessCollector;"
        "from serving.monitoring import metrics; metrics.QUEUED_TILES.inc(2); r = p.CollectorRegistry();"
        "MultiProcessCollector(r);"
        "before = r.get_sample_value('skygen_queued_tiles'); metrics.forget_dead_workers();"
        "print(before, r.get_sample_value('skygen_queued_tiles'), r.get_sample_value('skygen_worker_starts_total'))"
    )
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    run = [
        subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        for code in (dies, scrapes)
    ]
    assert run[0].returncode == -signal.SIGKILL
    assert run[1].stdout.split() == ["9.0", "2.0", "1.0"], run[1].stderr


def _call(app: ASGIApp, path: str, incoming: list[Message]) -> list[Message]:
    """What an application sends for a GET of `path`."""
    sent: list[Message] = []
    messages = iter(incoming)

    async def receive() -> Message:
        return next(messages)

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {"type": "http", "method": "GET", "path": path, "headers": [], "query_string": b""}
    asyncio.run(app(scope, receive, send))  # type: ignore[arg-type]
    return sent


def _count(route: str, status: int) -> float:
    name, labels = request(route, status)
    return REGISTRY.get_sample_value(name, dict(labels)) or 0.0


def test_routes_of_included_routers_go_by_their_whole_template() -> None:
    inner = APIRouter(prefix="/inner")

    @inner.get("/{name}")
    def found(name: str) -> str:
        return name

    app = FastAPI()
    app.include_router(inner, prefix="/outer")
    before = _count("/outer/inner/{name}", 200)
    _call(Instrumented(app, app.routes), "/outer/inner/a", [{"type": "http.request"}])
    assert _count("/outer/inner/{name}", 200) - before == 1


BEGIN = {"type": "http.response.start", "status": 200, "headers": []}
PART = {"type": "http.response.body", "body": b"x", "more_body": True}
END = {"type": "http.response.body", "body": b"x"}


@pytest.mark.parametrize(
    ("sent", "incoming", "counted"),
    [
        ([BEGIN, PART, END], [], 200),
        ([BEGIN, END], [{"type": "http.disconnect"}], 200),  # it left after the end
        ([BEGIN, PART], [{"type": "http.disconnect"}], 499),
        ([], [{"type": "http.disconnect"}], 499),
        ([BEGIN, PART], [], 499),  # it would not take the rest
        ([], [], 500),
    ],
)
def test_an_answer_is_counted_by_how_it_ended(sent: list[Message], incoming: list[Message], counted: int) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in sent:
            await send(message)
        for _ in incoming:
            await receive()

    before = _count("other", counted)
    answered = _call(Instrumented(app), "/x", incoming)
    assert [message | {"headers": []} if "headers" in message else message for message in answered] == sent
    assert _count("other", counted) - before == 1


@pytest.mark.parametrize("sent", [[], [BEGIN, PART]])
def test_an_answer_that_we_break_off_is_our_error(sent: list[Message]) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in sent:
            await send(message)
        raise LookupError("ours")

    before = _count("other", 500)
    with pytest.raises(LookupError, match="ours"):
        _call(Instrumented(app), "/x", [])
    assert _count("other", 500) - before == 1
    assert REGISTRY.get_sample_value("skygen_http_requests_in_flight") == 0
