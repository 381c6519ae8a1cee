"""What an operator sets: an empty variable is none, a path is meant where it was typed, a slip of a name is refused."""

import os
from pathlib import Path

import pytest
import torch

from serving.settings import Settings
from tests.serving.loaded import service


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("SKYGEN_")]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize("name", [*Settings.model_fields])
def test_an_empty_variable_is_as_one_that_is_not_set(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"SKYGEN_{name.upper()}", "")
    assert Settings.of_environment() == Settings()


def test_an_empty_device_is_chosen_as_without_one(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = service.choose_device()
    monkeypatch.setenv("SKYGEN_DEVICE", "")
    assert service.choose_device() == expected


def test_a_path_is_meant_where_it_was_typed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The workers run in another folder, so they are handed an absolute one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SKYGEN_BUNDLES", "mine/../bundles")
    monkeypatch.setenv("SKYGEN_API_KEYS_FILE", "~/keys")
    typed = Settings.of_environment()
    typed.export()
    monkeypatch.chdir("/")
    exported = Settings.of_environment()
    assert (exported.bundles, exported.api_keys_file) == (tmp_path / "mine/../bundles", tmp_path / "home/keys")


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("SKYGEN_API_KEY", "SKYGEN_API_KEYS"),
        ("SKYGEN_APIKEYS", "SKYGEN_API_KEYS"),
        ("SKYGEN_API_KEY_FILE", "SKYGEN_API_KEYS_FILE"),
        ("skygen_worker", "SKYGEN_WORKERS"),
    ],
)
def test_a_slip_of_a_name_is_refused(monkeypatch: pytest.MonkeyPatch, variable: str, meant: str) -> None:
    monkeypatch.setenv(variable, "anything")
    with pytest.raises(SystemExit, match=f"{variable}: there is no such setting; {meant} is meant"):
        Settings.of_environment()


@pytest.mark.parametrize("variable", ["SKYGEN_SERVICE_HOST", "SKYGEN_PORT_3000_TCP_ADDR", "SKYGEN_COMMIT"])
def test_variables_of_others_are_left_alone(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    """Kubernetes sets the first two where a service is named skygen."""
    monkeypatch.setenv(variable, "anything")
    assert Settings.of_environment() == Settings()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SKYGEN_BODY_SECONDS", "nan"),
        ("SKYGEN_HEAD_SECONDS", "0"),
        ("SKYGEN_METRICS", "perhaps"),
        ("SKYGEN_ENGINE", "gpu"),
        ("SKYGEN_WORKERS", "0"),
        ("SKYGEN_PAGE", "yes"),
    ],
)
def test_a_wrong_value_is_refused_by_its_variable(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit, match=variable):
        Settings.of_environment()


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (Settings(workers=4), "SKYGEN_WORKERS is 4, all of which would draw on one GPU; it must be 1 there"),
        (Settings(engine="onnx"), "engine is 'onnx' and device 'cuda'; onnx computes on the CPU"),
    ],
)
def test_what_a_gpu_cannot_do_is_refused(monkeypatch: pytest.MonkeyPatch, settings: Settings, reason: str) -> None:
    """The machine of the tests has no GPU: only the choice of the device is put in its place."""
    monkeypatch.setattr(service, "choose_device", lambda: torch.device("cuda"))
    monkeypatch.setattr(service, "SETTINGS", Settings())
    assert service.device().type == "cuda"
    monkeypatch.setattr(service, "SETTINGS", settings)
    with pytest.raises(ValueError, match=reason):
        service.device()
