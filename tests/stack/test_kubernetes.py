"""The manifests for Kubernetes without a cluster: their schemas, and that they agree with each other and with us."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from ruamel.yaml import YAML

from serving.monitoring.health import PATHS
from serving.settings import Settings

ROOT = Path(__file__).parents[2]
HOME = ROOT / "deploy/kubernetes"
PAGE = (ROOT / "docs/how-to/stack.md").read_text(encoding="utf-8")
VERSION = kubernetes_validate.latest_version()
GPU = HOME / "overlays/gpu/gpu.yaml"  # a patch: a part of a manifest
OF_THE_OPERATOR = {"PrometheusRule", "ServiceMonitor"}  # kinds whose schemas Kubernetes itself does not have


def documents(text: str) -> Iterator[dict[str, Any]]:
    yield from YAML(typ="safe").load_all(text)


def manifests() -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in sorted(HOME.rglob("*.yaml")):
        if path.name != "kustomization.yaml" and path != GPU:
            yield from ((path, document) for document in documents(path.read_text(encoding="utf-8")))


def named(kind: str, folder: str) -> dict[str, Any]:
    (found,) = [document for path, document in manifests() if document["kind"] == kind and folder in path.parts]
    return found


DEPLOYMENT = named("Deployment", "base")
POD = DEPLOYMENT["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]


def test_manifests_are_as_the_schemas_have_it() -> None:
    ours = [document for _, document in manifests() if document["kind"] not in OF_THE_OPERATOR]
    assert len(ours) >= 5
    for document in ours:
        kubernetes_validate.validate(document, VERSION, strict=True)


def test_a_wrong_manifest_is_refused() -> None:
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(DEPLOYMENT | {"spec": DEPLOYMENT["spec"] | {"replica": 2}}, VERSION, strict=True)


def test_a_replica_on_a_gpu_has_one_and_waits_for_no_spare_one() -> None:
    """The patch by itself, and the deployment with what it changes there, as kustomize merges them."""
    (patch,) = documents(GPU.read_text(encoding="utf-8"))
    (changed,) = patch["spec"]["template"]["spec"]["containers"]
    pod = POD | {"tolerations": patch["spec"]["template"]["spec"]["tolerations"], "containers": [CONTAINER | changed]}
    spec = DEPLOYMENT["spec"] | {"template": DEPLOYMENT["spec"]["template"] | {"spec": pod}}
    spec["strategy"] = spec.get("strategy", {}) | patch["spec"]["strategy"]
    kubernetes_validate.validate(DEPLOYMENT | {"spec": spec}, VERSION, strict=True)
    assert patch["metadata"]["name"] == DEPLOYMENT["metadata"]["name"]
    assert changed["name"] == CONTAINER["name"]
    assert changed["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert patch["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}


def test_what_kustomizations_name_is_there_and_nothing_is_forgotten() -> None:
    used = set()
    for path in HOME.rglob("kustomization.yaml"):
        content = YAML(typ="safe").load(path)
        parts = [*content["resources"], *(patch["path"] for patch in content.get("patches", []))]
        parts += [name for generator in content.get("configMapGenerator", []) for name in generator.get("envs", [])]
        used |= {(path.parent / part).resolve() for part in parts}
    assert [path for path in used if not path.exists()] == []
    apart = {HOME / "monitoring/rule.yaml", HOME / "examples/ingress.yaml"}  # the page's, by hand
    there = {path for path in HOME.rglob("*.yaml") if path.name != "kustomization.yaml"}
    assert there - used == apart


def test_settings_are_those_of_the_service() -> None:
    known = {f"SKYGEN_{name.upper()}" for name in Settings.model_fields} | {"SKYGEN_DEVICE"}
    settings = re.findall(r"^(\w+)=", (HOME / "base/settings.env").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(settings) <= known
    assert POD["enableServiceLinks"] is False


def test_a_pod_ends_after_its_calls() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    (grace,) = re.findall(r"--timeout-graceful-shutdown\", \"(\d+)\"", dockerfile)
    command, seconds = CONTAINER["lifecycle"]["preStop"]["exec"]["command"]
    assert command == "sleep"
    assert POD["terminationGracePeriodSeconds"] > int(grace) + int(seconds)


def test_probes_ask_for_health_at_the_port_of_the_service() -> None:
    probes = [CONTAINER[name]["httpGet"] for name in ("startupProbe", "readinessProbe", "livenessProbe")]
    assert [probe["path"] for probe in probes] == ["/readyz", "/readyz", "/livez"]
    assert {probe["path"] for probe in probes} <= set(PATHS)
    assert {probe["port"] for probe in probes} == {"http"}
    assert CONTAINER["ports"] == [{"name": "http", "containerPort": 3000}]


def test_pods_meet_the_restricted_standard() -> None:
    assert POD["securityContext"]["runAsNonRoot"] is True
    assert POD["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    own = CONTAINER["securityContext"]
    assert own["allowPrivilegeEscalation"] is False
    assert own["readOnlyRootFilesystem"] is True
    assert own["capabilities"] == {"drop": ["ALL"]}
    assert POD["automountServiceAccountToken"] is False


def test_selectors_find_the_pods_and_the_monitor_finds_the_service() -> None:
    labels = DEPLOYMENT["spec"]["template"]["metadata"]["labels"].items()
    assert DEPLOYMENT["spec"]["selector"]["matchLabels"].items() <= labels
    assert named("Service", "base")["spec"]["selector"].items() <= labels
    assert named("PodDisruptionBudget", "base")["spec"]["selector"]["matchLabels"].items() <= labels
    assert named("NetworkPolicy", "base")["spec"]["podSelector"]["matchLabels"].items() <= labels
    monitor = named("ServiceMonitor", "monitoring")["spec"]
    (pairs,) = [entry["pairs"] for entry in YAML(typ="safe").load(HOME / "base/kustomization.yaml")["labels"]]
    assert monitor["selector"]["matchLabels"] == pairs
    assert pairs[monitor["jobLabel"]] == "skygen"  # the job that alerts name
    ports = {port["name"] for port in named("Service", "base")["spec"]["ports"]}
    assert {endpoint["port"] for endpoint in monitor["endpoints"]} <= ports


def test_the_command_of_the_page_makes_a_rule_of_the_shipped_alerts() -> None:
    (command,) = re.findall(r"^(\{ cat deploy/kubernetes/monitoring/rule\.yaml.*?\}) \|", PAGE, re.MULTILINE)
    made = subprocess.run(["sh", "-c", command], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    (rule,) = documents(made)
    assert (rule["apiVersion"], rule["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
    assert rule["spec"] == YAML(typ="safe").load(ROOT / "serving/monitoring/alerts.yml")
