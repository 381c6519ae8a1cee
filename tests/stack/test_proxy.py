"""The stack's nginx, with ports and places changed for a test: TLS in front of a real service and a real MLflow."""

import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from tests.harness.served import ROOT, Service, served
from tests.programs import program
from tools.rehearse.programs import free_port

KEY, USER = "a-key-of-a-test-alone", ("anna", "her password")
TOOLS = {"5000": "mlflow:5000", "3030": "grafana:3000", "9090": "prometheus:9090", "9093": "alertmanager:9093"}
PLACES = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


class Stack(NamedTuple):
    """Addresses over TLS, and the certificate that they have."""

    service: str
    mlflow: str
    grafana: str
    certificate: Path

    def client(self, url: str, **options: object) -> httpx.Client:
        trusted = ssl.create_default_context(cafile=self.certificate)
        return httpx.Client(base_url=url, verify=trusted, timeout=60, **options)  # type: ignore[arg-type]


@contextmanager
def ended(process: "subprocess.Popen[bytes]", port: int) -> Iterator[None]:
    """Within, `process` listens at `port`; afterwards it has ended."""
    try:
        end = time.monotonic() + 120
        while time.monotonic() < end and process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        else:
            pytest.fail(f"nobody listens at port {port}", pytrace=False)
        yield
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with served(tmp_path_factory.mktemp("service"), {"SKYGEN_API_KEYS": KEY, "SKYGEN_METRICS": "keys"}) as running:
        yield running


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    folder, port = tmp_path_factory.mktemp("mlflow"), free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", str(port), "--serve-artifacts"]
    command += ["--artifacts-destination", str(folder / "artifacts"), "--backend-store-uri", "sqlite:///server.db"]
    own = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_SERVER_ALLOWED_HOSTS": "skygen.example.org:5000"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=os.environ | own, stdout=log, stderr=log)
    with ended(process, port):
        yield port


def make_secrets(folder: Path) -> None:
    certificate = ["-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = [
        "openssl",
        "req",
        "-x509",
        *certificate,
        "-keyout",
        folder / "tls_key",
        "-out",
        folder / "tls_certificate",
    ]
    subprocess.run(command, check=True, capture_output=True)
    made = subprocess.run(["openssl", "passwd", "-apr1", USER[1]], check=True, capture_output=True, text=True)
    (folder / "htpasswd").write_text(f"{USER[0]}:{made.stdout}")


def replaced(text: str, changes: dict[str, str]) -> str:
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, service: Service, mlflow: int) -> Iterator[Stack]:
    folder, ports = tmp_path_factory.mktemp("nginx"), {name: free_port() for name in ("8080", "8081", "8443", *TOOLS)}
    make_secrets(folder)
    changes = {f"listen {name} ssl": f"listen 127.0.0.1:{ports[name]} ssl" for name in ("8443", *TOOLS)}
    changes |= {f"    {name} {tool};": f"    {ports[name]} 127.0.0.1:{mlflow};" for name, tool in TOOLS.items()}
    changes |= {"resolver 127.0.0.11 valid=2s;": "", "skygen:3000 resolve": f"127.0.0.1:{service.address[1]}"}
    changes |= {"3030    off": f"{ports['3030']} off", "127.0.0.1:8081": f"127.0.0.1:{ports['8081']}"}
    changes |= {"127.0.0.1:8080": f"127.0.0.1:{ports['8080']}", "/run/secrets": str(folder)}
    upstream = (ROOT / "deploy/compose/proxy.conf").read_text(encoding="utf-8")
    (folder / "upstream.conf").write_text(replaced(upstream, changes))
    places = "".join(f"    {name}_temp_path {folder}/{name};\n" for name in PLACES)
    changes = {"pid /run/nginx.pid;": f"pid {folder}/pid;\ndaemon off;\nuser root;", "http {\n": f"http {{\n{places}"}
    changes |= {"listen 8080": f"listen 127.0.0.1:{ports['8080']}", "/var/log/nginx": str(folder)}
    shipped = (ROOT / "serving/proxy/nginx.conf").read_text(encoding="utf-8")
    (folder / "nginx.conf").write_text(replaced(shipped, changes))
    command = [program("nginx"), "-p", folder, "-c", folder / "nginx.conf", "-e", folder / "error.log"]
    with ended(subprocess.Popen(command), ports["8443"]):
        urls = (f"https://127.0.0.1:{ports[name]}" for name in ("8443", "5000", "3030"))
        yield Stack(*urls, folder / "tls_certificate")


def test_the_service_answers_over_tls_to_who_has_a_key(stack: Stack) -> None:
    with stack.client(stack.service) as client:
        assert client.get("/v1/tile/r64/7.npy").status_code == 401
        assert client.get("/v1/tile/r64/7.npy", headers={"Authorization": f"Bearer {KEY}"}).status_code == 200
        answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.headers["Strict-Transport-Security"]


def test_metrics_are_not_to_be_had_from_outside(stack: Stack) -> None:
    with stack.client(stack.service, headers={"Authorization": f"Bearer {KEY}"}) as client:
        assert client.get("/metrics").status_code == 404


def test_the_service_hears_who_the_client_is_and_no_claim_of_its_own(stack: Stack, service: Service) -> None:
    with stack.client(stack.service, headers={"X-Forwarded-For": "203.0.113.7"}) as client:
        client.get("/v1/models")
    assert "203.0.113.7" not in service.log.read_text(errors="replace")


def test_mlflow_asks_for_a_name_and_a_password(stack: Stack) -> None:
    named = {"Host": "skygen.example.org:5000"}
    with stack.client(stack.mlflow, headers=named) as client:
        assert client.get("/health").status_code == 401
        assert client.get("/health", auth=("anna", "a guess")).status_code == 401
        assert client.get("/health", auth=USER).status_code == 200
        asked = client.post("/api/2.0/mlflow/experiments/search", json={"max_results": 5}, auth=USER)
    assert asked.status_code == 200
    assert asked.json()["experiments"][0]["name"] == "Default"


def test_mlflow_refuses_another_name_of_its_own(stack: Stack) -> None:
    with stack.client(stack.mlflow, headers={"Host": "elsewhere.example.org"}, auth=USER) as client:
        assert client.get("/api/2.0/mlflow/experiments/get?experiment_id=0").status_code == 403


def test_an_artifact_larger_than_any_call_of_the_service_goes_through(stack: Stack) -> None:
    content, path = os.urandom(3_000_000), "/api/2.0/mlflow-artifacts/artifacts/big.bin"
    with stack.client(stack.mlflow, headers={"Host": "skygen.example.org:5000"}, auth=USER) as client:
        assert client.put(path, content=content).status_code == 200
        assert client.get(path).content == content


def test_grafana_asks_itself(stack: Stack) -> None:
    """MLflow stands in its place: nginx lets every caller in."""
    with stack.client(stack.grafana, headers={"Host": "skygen.example.org:5000"}) as client:
        assert client.get("/health").status_code == 200
