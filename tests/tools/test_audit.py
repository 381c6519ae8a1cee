"""`make audit` passes only where every pin was looked up and none has a known vulnerability."""

import json
import os
import re
import subprocess
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

ROOT = Path(__file__).parents[2]
SENTENCE = "the audit failed: a pin has a known vulnerability, or could not be looked up; the lines above say which\n"


class Known(BaseHTTPRequestHandler):
    """A service of known vulnerabilities, that of OSV's interface, which knows one of `bad`."""

    bad: str | None = None
    asked: set[tuple[str, str]]

    def do_POST(self):
        query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.add((query["package"]["name"], query["version"]))
        answer = {"vulns": [VULNERABILITY]} if query["package"]["name"] == self.bad else {}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


VULNERABILITY = {
    "id": "TEST-1",
    "summary": "all of it",
    "modified": "2026-01-01T00:00:00Z",
    "affected": [{"package": {"name": "numpy", "ecosystem": "PyPI"}, "versions": []}],
}


@pytest.fixture
def service():
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Asked", (Known,), {"asked": set()})) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def audit(port):
    """`make audit` with that service in the place of the public one."""
    options = f"--vulnerability-service osv --osv-url http://127.0.0.1:{port}/"
    command = ["make", "--old-file", ".venv/.installed", "audit", f"AUDIT={options}"]
    environment = {**os.environ, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_it_passes_where_every_pin_of_both_locks_was_looked_up(service):
    run = audit(service.server_port)
    assert run.returncode == 0, run.stderr
    locks = [(ROOT / name).read_text() for name in ("requirements.lock", "requirements-cuda.lock")]
    assert service.RequestHandlerClass.asked == {
        pin for lock in locks for pin in re.findall(r"^([\w.-]+)==(\S+)", lock, re.MULTILINE)
    }


def test_a_known_vulnerability_fails(service):
    service.RequestHandlerClass.bad = "numpy"
    run = audit(service.server_port)
    assert run.returncode != 0
    assert "TEST-1" in run.stdout
    assert SENTENCE in run.stderr


def test_a_service_that_cannot_be_reached_fails(service):
    port = service.server_port
    service.server_close()
    run = audit(port)
    assert run.returncode != 0
    assert SENTENCE in run.stderr
