"""What operators get beside the service: true to its metrics, valid to Prometheus's tools, and run by Prometheus."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.metrics import MetricWrapperBase
from ruamel.yaml import YAML

from serving.monitoring import metrics
from skygen.tracking.exporter import FAMILIES
from tests.harness.alarms import answer, prometheus
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
    """Every metric of the service and of the exporter by its name: its labels."""
    made = (made for made in vars(metrics).values() if isinstance(made, MetricWrapperBase))
    of_service = {one._name + ("_total" if one._type == "counter" else ""): tuple(one._labelnames) for one in made}
    return of_service | {name: labels for name, (_, labels) in FAMILIES.items()}


def series() -> set[str]:
    """The names under which the values of those are scraped."""
    made = (made for made in vars(metrics).values() if isinstance(made, MetricWrapperBase))
    return {one._name + part for one in made for part in PARTS[one._type]} | set(FAMILIES)


def expressions(found: Any) -> Iterator[str]:
    """Every expression of a dashboard or of a file of rules."""
    if isinstance(found, dict):
        yield from ([found["expr"]] if "expr" in found else [])
    for inner in found.values() if isinstance(found, dict) else found if isinstance(found, list) else ():
        yield from expressions(inner)


def rules(alerts: Any) -> list[Any]:
    """Every rule of a file of them."""
    return [rule for group in alerts["groups"] for rule in group["rules"]]


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


def test_operators_are_told_of_every_metric_and_label() -> None:
    text = (FOLDER / "README.md").read_text()
    rows = re.findall(r"^\| `(skygen_\w+)` \|([^|]*)\|", text, re.MULTILINE)
    assert {name: tuple(re.findall(r"\w+", labels)) for name, labels in rows} == instruments()


def test_every_alert_says_how_loud_it_is_what_it_means_and_what_to_do(alerts: Any) -> None:
    for rule in rules(alerts):
        assert rule["labels"]["severity"] in ("page", "ticket"), rule["alert"]
        assert {"summary", "remedy"} == {name for name, text in rule["annotations"].items() if text}, rule["alert"]


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
    assert fired == {rule["alert"] for rule in rules(alerts)}
    good = [test["promql_expr_test"] for test in tested if test["name"] == "a good day"]
    assert good == [[{"expr": "count(ALERTS)", "eval_time": "85m", "exp_samples": []}]]  # none of them fires


def test_the_scrape_keeps_prometheuss_conventions(client: httpx.Client) -> None:
    client.get("/v1/tile/gri128/1.npy", params={"model": "scene"}).raise_for_status()
    scraped = client.get("/metrics").text
    run = subprocess.run(
        [program("promtool"), "check", "metrics"], input=scraped, capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_prometheus_scrapes_the_service_with_this_configuration(
    client: httpx.Client, dashboard: Any, alerts: Any, tmp_path: Path
) -> None:
    """Its own files but for the addresses and the pace: the number asked for is the number served."""
    client.post("/v1/generate", json={"tiles": "r64", "n": 8}).raise_for_status()
    for seed in range(3):
        client.get(f"/v1/tile/r64/{seed}.fits").raise_for_status()
    rectangle = {"tiles": "gri128", "model": "scene", "x": 0, "y": 0, "width": 64, "height": 64}
    for path, name in (("sky", "npy"), ("sky/catalogue", "csv")):
        client.post(f"/v1/{path}", json={**rectangle, "format": name}).raise_for_status()
    expected = _scraped_value(client, 'skygen_tiles_total{format="fits",recipe="improved",tiles="r64"}')
    with prometheus(tmp_path, service=f"{client.base_url.host}:{client.base_url.port}") as watches:
        query = 'sum(skygen_tiles_total{format="fits", recipe="improved", tiles="r64"}) and on () sum(up) == 1'
        assert answer(watches, query) == expected >= 3
        groups = watches.get("/api/v1/rules").json()["data"]["groups"]
        health = {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}
        assert set(health.values()) <= {"ok", "unknown"}  # unknown: not its turn yet
        assert set(health) == {rule["alert"] for rule in rules(alerts)}
        for expr in expressions(dashboard):
            asked = expr.replace("$__rate_interval", "1m").replace("$instance", ".*")
            if "device_memory" in expr or set(NAME.findall(expr)) & set(FAMILIES):  # no accelerator, and no exporter
                watches.get("/api/v1/query", params={"query": asked}).raise_for_status()
            else:
                answer(watches, asked)


def _scraped_value(client: httpx.Client, name: str) -> float:
    [line] = [line for line in client.get("/metrics").text.splitlines() if line.startswith(f"{name} ")]
    return float(line.split()[-1])
