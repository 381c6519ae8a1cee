"""compose.yaml without an engine: its schema, what it mounts, its variables, and that each container is closed."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from serving.settings import Settings
from tests.programs import program

ROOT = Path(__file__).parents[2]
FILES = ("compose.yaml", "compose.cuda.yaml")
TEXT = {name: (ROOT / name).read_text(encoding="utf-8") for name in FILES}
COMPOSE: dict[str, Any] = YAML(typ="safe").load(TEXT["compose.yaml"])
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
EXAMPLE = dict(re.findall(r"^([A-Z_]+)=(.*)$", (ROOT / ".env.example").read_text(encoding="utf-8"), re.MULTILINE))
PAGE = (ROOT / "docs/how-to/stack.md").read_text(encoding="utf-8")


def test_both_files_are_as_the_specification_has_it() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", *FILES]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def test_every_variable_has_its_default_in_the_example_and_no_other_stands_there() -> None:
    used = [found for text in TEXT.values() for found in re.findall(r"\$\{([A-Z_]+)(?::-([^}]*))?", text)]
    assert {name for name, _ in used} == EXAMPLE.keys()
    assert {(name, default) for name, default in used if default} <= EXAMPLE.items()


def test_no_variable_is_a_secret() -> None:
    assert [name for name in EXAMPLE if re.search("PASSWORD|SECRET|KEY|TOKEN", name)] == []
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert {"/.env", "/secrets/"} <= set(ignored)
    assert [secret for secret in COMPOSE["secrets"].values() if not secret["file"].startswith("./secrets/")] == []


def test_what_is_mounted_is_there() -> None:
    mounts = [mount for service in SERVICES.values() for mount in service.get("volumes", [])]
    own = [mount.split(":")[0] for mount in mounts if mount.startswith("./")]
    named = {mount.split(":")[0] for mount in mounts if re.match(r"\w", mount)}
    assert len(own) > 5
    assert [path for path in own if not (ROOT / path).is_file()] == []
    assert named == COMPOSE["volumes"].keys()


def test_secrets_and_networks_are_all_in_use() -> None:
    uses = [use for service in SERVICES.values() for use in service.get("secrets", [])]
    assert {use if isinstance(use, str) else use["source"] for use in uses} == COMPOSE["secrets"].keys()
    assert {network for service in SERVICES.values() for network in service["networks"]} == COMPOSE["networks"].keys()


def test_the_page_says_how_each_secret_is_made() -> None:
    assert [secret for secret in COMPOSE["secrets"].values() if secret["file"].removeprefix("./") not in PAGE] == []


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_is_closed_bounded_and_watched(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == "unless-stopped"
    assert {"cpus", "mem_limit", "pids_limit"} <= service.keys()
    ours = re.fullmatch(r"\$\{STACK_\w*IMAGE:-skygen:[a-z-]+\}", service["image"])
    assert ours or re.search(r":v?\d+\.\d+[.\d]*(-\w+)?$", service["image"]), "no exact version"
    assert "healthcheck" in service or ours, "no health check; our images have one"


def test_what_is_built_are_targets_of_the_dockerfile() -> None:
    targets = set(re.findall(r"^FROM .* AS ([\w-]+)$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE))
    images = [found for text in TEXT.values() for found in re.findall(r"IMAGE:-skygen:([a-z-]+)", text)]
    built = [found for text in TEXT.values() for found in re.findall(r"target: ([a-z-]+)", text)]
    assert {*images, *built} == {"serve", "serve-cuda", "mlflow", "train"}
    assert {*images, *built} <= targets


def test_only_the_proxy_and_the_scheduler_can_be_reached_and_the_page_names_their_ports() -> None:
    open_to_others = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert open_to_others.keys() == {"proxy", "dask-scheduler"}
    inner = {port.rpartition(":")[2] for ports in open_to_others.values() for port in ports}
    assert [port for port in inner if not re.search(rf"^\| {port} \|", PAGE, re.MULTILINE)] == []
    proxy = (ROOT / "deploy/compose/proxy.conf").read_text(encoding="utf-8")
    assert inner == set(re.findall(r"^    listen (\d+) ssl;$", proxy, re.MULTILINE)) | {"8786"}


def test_the_names_that_the_proxy_and_prometheus_call_are_services_at_the_ports_of_their_commands() -> None:
    called = {"skygen:3000"}
    for name in ("proxy.conf", "prometheus.yml"):
        text = (ROOT / "deploy/compose" / name).read_text(encoding="utf-8")
        called |= set(re.findall(r"\b([a-z]+:\d{4})\b", text))
    assert {address.split(":")[0] for address in called} <= SERVICES.keys()
    assert called == {
        "skygen:3000",
        "mlflow:5000",
        "grafana:3000",
        "prometheus:9090",
        "alertmanager:9093",
        "exporter:9109",
    }


def test_the_service_is_told_only_settings_that_there_are() -> None:
    known = {f"SKYGEN_{name.upper()}" for name in Settings.model_fields} | {"SKYGEN_DEVICE"}
    assert set(SERVICES["skygen"]["environment"]) <= known


def test_calls_in_flight_may_end_before_a_container_is_killed() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    (grace,) = re.findall(r"--timeout-graceful-shutdown\", \"(\d+)\"", dockerfile)
    assert int(SERVICES["skygen"]["stop_grace_period"].removesuffix("s")) > int(grace)


def test_promtool_takes_the_configuration_with_the_shipped_rules(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("a key\n")
    text = (ROOT / "deploy/compose/prometheus.yml").read_text(encoding="utf-8")
    (tmp_path / "prometheus.yml").write_text(text.replace("/run/secrets/metrics_key", str(tmp_path / "key")))
    (tmp_path / "alerts.yml").write_bytes((ROOT / "serving/monitoring/alerts.yml").read_bytes())
    command = [program("promtool"), "check", "config", "prometheus.yml"]
    checked = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_jobs_are_those_of_the_shipped_configuration() -> None:
    """The alerts name jobs."""
    load = YAML(typ="safe").load
    ours = load((ROOT / "deploy/compose/prometheus.yml").read_text())["scrape_configs"]
    shipped = load((ROOT / "serving/monitoring/prometheus.yml").read_text())["scrape_configs"]
    assert [job["job_name"] for job in ours] == [job["job_name"] for job in shipped]


def test_alertmanager_finds_the_addresses_of_who_is_told() -> None:
    service = SERVICES["alertmanager"]
    (place,) = [mount.split(":")[1] for mount in service["volumes"] if "alertmanager.yml" in mount]
    text = (ROOT / "serving/monitoring/alertmanager.yml").read_text(encoding="utf-8")
    asked = {os.path.normpath(Path(place).parent / path) for path in re.findall(r"api_url_file: (\S+)", text)}
    assert asked == {secret["target"] for secret in service["secrets"]}
