import re
import subprocess

import pytest
import torch

from skygen import provenance
from skygen.provenance import choose_device, device_name, git_commit, versions


@pytest.fixture
def repository(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "none"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    (tmp_path / "work" / "file").write_text("1")
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    for command in (["init", "-q"], ["add", "file"], [*identity, "commit", "-q", "-m", "first"]):
        subprocess.run(["git", *command], check=True)
    return tmp_path / "work"


@pytest.mark.parametrize(
    ("wanted", "gpu", "device"),
    [
        ("cpu", True, "cpu"),
        ("auto", False, "cpu"),
        ("auto", True, "cuda"),
        ("cuda", True, "cuda"),
        (None, True, "cuda"),
    ],
)
def test_the_device_is_the_one_asked_for(monkeypatch, wanted, gpu, device):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.delenv("SKYGEN_DEVICE", raising=False)
    if wanted:
        monkeypatch.setenv("SKYGEN_DEVICE", wanted)

    assert choose_device() == torch.device(device)


@pytest.mark.parametrize(
    ("wanted", "words"), [("gpu", "SKYGEN_DEVICE is 'gpu'; it must be auto, cpu or cuda"), ("cuda", "sees no GPU")]
)
def test_a_device_that_cannot_be_had_is_refused(monkeypatch, wanted, words):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("SKYGEN_DEVICE", wanted)

    with pytest.raises(ValueError, match=words):
        choose_device()


def test_a_gpu_is_named_by_its_product(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"product of {device}")

    assert device_name(torch.device("cuda")) == "product of cuda"
    assert device_name(torch.device("cpu")) == "cpu"


def test_versions_are_those_that_run():
    assert versions()["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert set(versions()) == set(provenance.PACKAGES)


def test_the_commit_is_named_in_full(repository):
    head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()

    assert re.fullmatch("[0-9a-f]{40}", head)
    assert git_commit() == head


def test_a_tag_does_not_hide_the_commit(repository):
    clean = git_commit()
    subprocess.run(["git", "-c", "user.name=A", "-c", "user.email=a@e.org", "tag", "-a", "v1", "-m", "1"], check=True)

    assert git_commit() == clean


def test_a_lock_that_dvc_rewrote_leaves_the_commit_clean(repository):
    (repository / "dvc.lock").write_text("1")
    subprocess.run(["git", "add", "dvc.lock"], check=True)
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    subprocess.run(["git", *identity, "commit", "-q", "-m", "lock"], check=True)
    clean = git_commit()
    (repository / "dvc.lock").write_text("2")

    assert git_commit() == clean


def test_a_changed_file_makes_the_commit_dirty(repository):
    clean = git_commit()
    (repository / "file").write_text("2")

    assert git_commit() == f"{clean}-dirty"


def test_outside_git_the_commit_is_unknown(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    (tmp_path / "bare").mkdir()
    monkeypatch.chdir(tmp_path / "bare")

    assert git_commit() == "unknown"


def test_without_git_the_commit_is_unknown(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))

    assert git_commit() == "unknown"
