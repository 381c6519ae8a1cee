"""Champions whose files are damaged, processes at once, kills between two writes, registries that are away."""

import json
import shutil
import signal
import subprocess
import sys

import pytest

from skygen import tracking
from tests.tracking.project import WHY, audit, standing

HOLD = """
import sys
from skygen import tracking
with tracking.contest():
    print("held", flush=True)
    sys.stdin.read()
"""
KILLED = """
import os, signal, sys
from mlflow import MlflowClient
from skygen import tracking
name, call, when = sys.argv[1:]
real, left = getattr(MlflowClient, name), int(call)
def killed(*args, **kwargs):
    global left
    left -= 1
    if left or when == "after":
        real(*args, **kwargs)
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
setattr(MlflowClient, name, killed)
tracking.promote("r64", "2", "1")
"""


@pytest.mark.parametrize("damage", ["lost", "changed"])
def test_no_way_to_files_that_are_not_whole(damage, skygen, versions, registry, project, tmp_path):
    versions("bright", "perfect")
    tracking.promote("r64", "2", "1")
    source = registry.get_model_version("skygen-r64", "1").source.removeprefix("models:/")
    (kept,) = project.glob(f"ml*/**/{source}/artifacts")
    kept.rename(tmp_path / "artifacts")
    try:
        if damage == "changed":
            shutil.copytree(tmp_path / "artifacts", kept)
            next(kept.rglob("card.json")).write_text("{}")
        for command in (["rollback", "r64"], ["promote", "r64", "1", "--anyway"]):
            status, _, said = skygen(*command, *WHY)
            assert status == 1
            assert "the files of version 1 (bright, seed 0) of skygen-r64 are " in said
    finally:
        shutil.rmtree(kept, ignore_errors=True)
        (tmp_path / "artifacts").rename(kept)

    assert standing(registry) == "perfect"
    assert audit() == [("promoted", "1"), ("promoted", "2")]
    assert skygen("rollback", "r64", *WHY)[0] == 0


def test_a_second_process_is_told_and_changes_nothing(skygen, versions, registry):
    versions("bright", "perfect")
    with subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"held\n"
        for arguments in (("promote", "r64", "2", "--anyway"), ("refuse", "r64", "2"), ("rollback", "r64")):
            status, _, said = skygen(*arguments, *WHY)
            assert status == 1
            assert f"another run, process {other.pid}, is making it" in said
        other.stdin.close()

    assert audit() == [("promoted", "1")]
    assert skygen("promote", "r64", "2", "--anyway", *WHY)[0] == 0


@pytest.mark.parametrize(
    ("name", "call", "when", "moved"),
    [
        ("set_registered_model_tag", 1, "before", False),
        ("set_registered_model_alias", 1, "before", False),
        ("set_registered_model_alias", 1, "after", True),
        ("set_registered_model_tag", 2, "after", True),
    ],
)
def test_a_kill_at_any_moment_leaves_an_audit_that_says_who_stands(name, call, when, moved, skygen, versions, registry):
    versions("bright", "perfect")
    command = [sys.executable, "-c", KILLED, name, str(call), when]
    assert subprocess.run(command, check=False, capture_output=True).returncode == -signal.SIGKILL

    assert standing(registry) == ("perfect" if moved else "bright")
    assert audit() == [("promoted", "1")] + [("promoted", "2")] * moved
    if moved:
        assert skygen("rollback", "r64", *WHY)[0] == 0
        assert audit()[2:] == [("rolled back", "2")]
    else:
        assert skygen("promote", "r64", "2", *WHY)[0] == 0
        assert audit()[1:] == [("promoted", "2")]
    texts = registry.get_registered_model("skygen-r64").tags.values()
    assert not [text for text in texts if json.loads(text).get("state") == "begun"]


def test_without_a_registry_a_sentence_says_so_and_none_is_made(skygen, monkeypatch, tmp_path):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'none.db'}")
    status, _, said = skygen("models")

    assert status == 1
    assert said.startswith(f"Error: there is no registry: {tmp_path / 'none.db'} is missing; run dvc repro")
    assert not (tmp_path / "none.db").exists()


def test_a_registry_that_does_not_answer_is_said(skygen, monkeypatch, nobody, little_patience):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", nobody)
    for arguments in (
        ("models",),
        ("promote", "r64", "1", *WHY),
        ("refuse", "r64", "1", *WHY),
        ("rollback", "r64", *WHY),
    ):
        status, _, said = skygen(*arguments)
        assert status == 1
        assert said.startswith(f"Error: the registry at {nobody} does not answer as it should")
