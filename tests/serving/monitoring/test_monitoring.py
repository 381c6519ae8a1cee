"""What operators get beside the service: true to its metrics, valid to Prometheus's tools, and run by Prometheus."""

import json
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.metrics import MetricWrapperBase
from ruamel.yaml import YAML

from serving.monitoring import metrics
from tests.programs import program

FOLDER = Path(__file__).parents[3] / "serving/monitoring"
NAME = re.compile(r"skygen_\w+")
PARTS = {
    "counter": ("_total",),
    "gauge": ("",),
    "histogram": ("_bucket", "_sum", "_count"),
    "summary": ("_sum", "_count"),
}


def instruments() -> dict[str, tuple[str, ...]]:
    """Every metric of the service by its name: its labels."""
    made = (made for made in vars(metrics).values() if isinstance(made, MetricWrapperBase))
    return {one._name + ("_total" if one._type == "counter" else ""): tuple(one._labelnames) for one in made}


def series() -> set[str]:
    """The names under which the values of those are scraped."""
    made = (made for made in vars(metrics).values() if isinstance(made, MetricWrapperBase))
    return {one._name + part for one in made for part in PARTS[one._type]}


def expressions(found: Any) -> Iterator[str]:
    """Every expression of a dashboard or of a file of rules."""
    if isinstance(found, dict):
        yield from ([found["expr"]] if "expr" in found else [])
    for inner in found.values() if isinstance(found, dict) else found if isinstance(found, list) else ():
        yield from expressions(inner)


@pytest.fixture(scope="module")
def dashboard() -> Any:
    return json.loads((FOLDER / "dashboard.json").read_text())


@pytest.fixture(scope="module")
def alerts() -> Any:
    return YAML(typ="safe").load(FOLDER / "alerts.yml")


def test_alerts_and_dashboard_ask_for_series_that_there_are(dashboard: Any, alerts: Any) -> None:
    asked = [name for found in (dashboard, alerts) for expr in expressions(found) for name in NAME.findall(expr)]
    assert len(asked) > 50
    assert set(asked) <= series()


def test_the_dashboard_shows_every_metric(dashboard: Any) -> None:
    shown = " ".join(expressions(dashboard))
    assert [name for name in instruments() if not re.search(rf"\b{name}(_bucket|_sum|_count)?\b", shown)] == []


def test_the_dashboards_panels_do_not_overlap_and_its_ids_are_their_own(dashboard: Any) -> None:
    panels = dashboard["panels"]
    places = [panel["gridPos"] for panel in panels]
    cells = [(x, y) for p in places for x in range(p["x"], p["x"] + p["w"]) for y in range(p["y"], p["y"] + p["h"])]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_operators_are_told_of_every_metric_label_and_alert(alerts: Any) -> None:
    text = (FOLDER / "README.md").read_text()
    rows = re.findall(r"^\| `(skygen_\w+)` \|([^|]*)\|", text, re.MULTILINE)
    assert {name: tuple(re.findall(r"\w+", labels)) for name, labels in rows} == instruments()
    named = [rule["alert"] for group in alerts["groups"] for rule in group["rules"]]
    assert re.findall(r"^\| `(Skygen\w+)` \|", text, re.MULTILINE) == named


def test_every_reason_of_a_refusal_is_told() -> None:
    text = (FOLDER / "README.md").read_text()
    assert [reason for reason in metrics.REASONS if f"`{reason}`" not in text] == []


@pytest.mark.parametrize(
    "command",
    [["check", "config", "prometheus.yml"], ["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]],
)
def test_promtool_finds_no_fault(command: list[str]) -> None:
    run = subprocess.run([program("promtool"), *command], cwd=FOLDER, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_every_alert_is_tested(alerts: Any) -> None:
    tested = YAML(typ="safe").load(FOLDER / "alerts_test.yml")["tests"]
    fired = {case["alertname"] for test in tested for case in test.get("alert_rule_test", ()) if case["exp_alerts"]}
    assert fired == {rule["alert"] for group in alerts["groups"] for rule in group["rules"]}


def test_the_scrape_keeps_prometheuss_conventions(client: httpx.Client) -> None:
    client.get("/v1/tile/gri128/1.npy", params={"model": "scene"}).raise_for_status()
    scraped = client.get("/metrics").text
    run = subprocess.run(
        [program("promtool"), "check", "metrics"], input=scraped, capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_prometheus_scrapes_the_service_with_this_configuration(
    client: httpx.Client, dashboard: Any, tmp_path: Path
) -> None:
    """Its own files but for the address, the pace and its alerts' delays: the number asked for is the number served."""
    service = f"{client.base_url.host}:{client.base_url.port}"
    shipped = (FOLDER / "prometheus.yml").read_text()
    assert "localhost:3000" in shipped
    (tmp_path / "prometheus.yml").write_text(shipped.replace("localhost:3000", service).replace("15s", "1s"))
    shutil.copy(FOLDER / "alerts.yml", tmp_path)
    client.post("/v1/generate", json={"tiles": "r64", "n": 8}).raise_for_status()
    for seed in range(3):
        client.get(f"/v1/tile/r64/{seed}.fits").raise_for_status()
    rectangle = {"tiles": "gri128", "model": "scene", "x": 0, "y": 0, "width": 64, "height": 64}
    for path, name in (("sky", "npy"), ("sky/catalogue", "csv")):
        client.post(f"/v1/{path}", json={**rectangle, "format": name}).raise_for_status()
    expected = _scraped_value(client, 'skygen_tiles_total{format="fits",recipe="improved",tiles="r64"}')
    with _prometheus(tmp_path) as prometheus:
        query = 'sum(skygen_tiles_total{format="fits", recipe="improved", tiles="r64"}) and on () sum(up) == 1'
        assert _answer(prometheus, query) == expected >= 3
        rules = prometheus.get("/api/v1/rules").json()["data"]["groups"]
        health = {rule["name"]: rule["health"] for group in rules for rule in group["rules"]}
        assert set(health.values()) <= {"ok", "unknown"}  # unknown: not its turn yet
        assert len(health) == 16
        for expr in expressions(dashboard):
            if "device_memory" not in expr:  # of machines with an accelerator
                _answer(prometheus, expr.replace("$__rate_interval", "1m").replace("$instance", ".*"))


def _scraped_value(client: httpx.Client, name: str) -> float:
    [line] = [line for line in client.get("/metrics").text.splitlines() if line.startswith(f"{name} ")]
    return float(line.split()[-1])


@contextmanager
def _prometheus(folder: Path) -> Iterator[httpx.Client]:
    """A client of Prometheus, run with the configuration in `folder`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    command = [
        program("prometheus"),
        "--config.file=prometheus.yml",
        "--storage.tsdb.path=data",
        f"--web.listen-address={address}",
    ]
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(command, cwd=folder, stdout=log, stderr=log) as process,
        httpx.Client(base_url=f"http://{address}") as client,
    ):
        try:
            yield client
        finally:
            process.terminate()


def _answer(prometheus: httpx.Client, query: str) -> float:
    """The one number of a query, once there is one."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            result = (
                prometheus.get("/api/v1/query", params={"query": query}).raise_for_status().json()["data"]["result"]
            )
            if result:
                return float(result[0]["value"][1])
        except (httpx.TransportError, httpx.HTTPStatusError):
            pass
        time.sleep(0.2)
    pytest.fail(f"Prometheus has no answer to {query}")
