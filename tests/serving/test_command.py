"""The command as an operator types it: what cannot be honoured ends it, in whichever process that is found."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import httpx
import pytest
import torch

from serving.settings import Settings
from tests.harness.served import await_ready, served
from tests.serving.loaded import service
from tests.serving.local import listening
from tools.rehearse.programs import free_port

ROOT = Path(__file__).parents[2]
LEFT = (".*", "__pycache__", "data", "models", "reports", "dist")  # of a clone; others compile into it meanwhile
no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"SKYGEN_API_KEYS": "short"}, "key 1 of SKYGEN_API_KEYS has 5 characters; it takes at least 16"),
        ({"SKYGEN_WORKERS": "none"}, "SKYGEN_WORKERS"),
    ],
)
def test_a_wrong_setting_ends_the_command_with_the_reason(
    bundles: Path, tmp_path: Path, settings: dict[str, str], reason: str
) -> None:
    """What `check_settings` finds, and what is wrong before there is a service to judge; the rest by it."""
    with pytest.raises(RuntimeError, match="did not get ready") as refused, served(tmp_path, settings, bundles):
        pass
    assert reason in str(refused.value)
    assert "exit status 1" in str(refused.value)
    assert "Traceback" not in str(refused.value)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"SKYGEN_BUNDLES": "/nowhere"}, "/nowhere/catalogue.json: missing"),
        ({"SKYGEN_API_KEYS": "short"}, "key 1 of SKYGEN_API_KEYS has 5 characters; it takes at least 16"),
        ({"SKYGEN_API_KEYS_FILE": "/nowhere/keys"}, "SKYGEN_API_KEYS_FILE: No such file or directory: '/nowhere/keys'"),
        ({"SKYGEN_METRICS": "keys"}, "SKYGEN_METRICS is keys, but there are none"),
        pytest.param({"SKYGEN_DEVICE": "cuda"}, "SKYGEN_DEVICE is cuda, but torch sees no GPU", marks=no_gpu),
        ({"SKYGEN_DEVICE": "gpu"}, "SKYGEN_DEVICE is 'gpu'; it must be auto, cpu or cuda"),
    ],
)
def test_the_judge_of_a_command_ends_it_with_the_reason(
    bundles: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], reason: str
) -> None:
    for name, value in ({"SKYGEN_BUNDLES": str(bundles), "SKYGEN_DEVICE": "cpu"} | settings).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(service, "SETTINGS", Settings.of_environment())
    monkeypatch.setattr(service.command, "lead", lambda: pytest.fail("the command goes on"))
    with pytest.raises(SystemExit) as refused:
        service.Skygen.inner.check_settings()
    assert str(refused.value).startswith("nothing to serve: ")
    assert reason in str(refused.value)


def test_what_breaks_before_a_worker_starts_again_ends_the_command(bundles: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    shutil.copytree(bundles, mine)
    with served(tmp_path, {}, mine) as service:
        next(mine.glob("r64/*/generator.safetensors")).write_bytes(b"torn")
        service.workers()[0].kill()
        assert service.process.wait(60) == 1
    log = service.log.read_text()
    assert log.count("nothing to serve: ") == 1
    assert "generator.safetensors" in log
    assert "Traceback" not in log


def test_two_commands_with_one_home_keep_their_metrics_apart(bundles: Path, tmp_path: Path) -> None:
    """BentoML empties the folder of the first one's metrics when the second begins."""
    shared = {"BENTOML_HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path)}
    counted = 'skygen_tiles_total{format="npy",recipe="improved",tiles="r64"}'

    def tiles(url: str) -> list[str]:
        lines = httpx.get(f"{url}/metrics").text.splitlines()
        return [line.rpartition(" ")[2] for line in lines if line.startswith(counted)]

    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    with served(tmp_path / "first", shared, bundles) as first:
        httpx.get(f"{first.url}/v1/tile/r64/7.npy").raise_for_status()
        with served(tmp_path / "second", shared, bundles) as second:
            assert tiles(second.url) == ["0.0"]
            assert tiles(first.url) == ["1.0"]
        httpx.get(f"{first.url}/v1/tile/r64/8.npy").raise_for_status()
        assert tiles(first.url) == ["2.0"]
    assert list(tmp_path.glob("skygen-*")) == []  # each took its folder along


def test_only_ours_stands_before_bentomls_application() -> None:
    """What is documented is used, and no more: whoever changes BentoML's own middleware shows here."""
    application = service.Skygen.to_asgi(is_main=True)
    outside = [middleware.cls.__name__ for middleware in application.user_middleware]
    assert outside == ["OpenTelemetryMiddleware", "TimeoutMiddleware", "Mount", "ContextMiddleware"]
    excluded = application.user_middleware[0].kwargs["excluded_urls"]
    assert excluded.url_disabled("http://localhost/v1/generate?x=1")


@pytest.mark.parametrize("path", ["/", "/livez", "/readyz", "/metrics", "/docs.json", "/schema.json", "/v1/models"])
def test_bentomls_application_is_never_reached(path: str) -> None:
    """Even where nothing of ours has started, and where the server takes the lifespan for unsupported."""
    application = service.Skygen.to_asgi(is_main=True)
    with listening(application) as (host, port):
        assert httpx.get(f"http://{host}:{port}{path}").json() == {"error": "the service has not started"}


def test_make_serve_leaves_another_service_alone(tmp_path: Path) -> None:
    """A second one in the clone, even where it fails since the port is taken, removes neither code nor metrics."""
    shutil.copytree(ROOT, tmp_path / "clone", ignore=shutil.ignore_patterns(*LEFT))
    clone, port = tmp_path / "clone", free_port()
    (clone / ".venv").symlink_to(ROOT / ".venv")
    command = ["make", "--old-file=.venv/.installed", "serve", f"PORT={port}"]
    variables = os.environ | {"SKYGEN_DEVICE": "cpu", "HOME": str(tmp_path)}
    log = tmp_path / "log"
    with (
        log.open("wb") as written,
        subprocess.Popen(command, cwd=clone, env=variables, stdout=written, stderr=written, process_group=0) as first,
    ):
        try:
            url = f"http://127.0.0.1:{port}"
            await_ready(url, first, log)
            [own] = (clone / ".bento").iterdir()
            second = subprocess.run(command, cwd=clone, env=variables, capture_output=True, text=True, check=False)
            assert second.returncode != 0
            assert "Address already in use" in second.stderr
            assert list((clone / ".bento").iterdir()) == [own]
            assert httpx.get(f"{url}/v1/tile/r64/7.npy").status_code == 200
        finally:
            os.killpg(first.pid, signal.SIGINT)
            first.wait(timeout=120)
    assert list((clone / ".bento").iterdir()) == []
