"""skygen models, promote, refuse and rollback, with the stage package between them, in a real store."""

import json
import shutil
import signal
import subprocess
import sys

import pytest

from skygen import tracking
from skygen.files import sha256_folder
from skygen.selection.promotion import bundle_folder
from tests.harness.commands import called

WHY = ("--why", "a test")
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
from skygen.cli import main
name, call, when, *arguments = sys.argv[1:]
real, left = getattr(MlflowClient, name), int(call)
def killed(*args, **kwargs):
    global left
    left -= 1
    if left or when == "after":
        real(*args, **kwargs)
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
setattr(MlflowClient, name, killed)
main(arguments)
"""


@pytest.fixture
def skygen(registry, monkeypatch):
    """A function: exit status, stdout and stderr of `skygen ARGUMENTS`, typed by ana."""
    monkeypatch.setenv("SKYGEN_WHO", "ana")

    def run(*arguments):
        ended = called(arguments)
        return ended.returncode, ended.stdout.decode(), ended.stderr.decode()

    return run


@pytest.fixture
def versions(project, registry):
    """A function: registers a bundle of the project for each recipe; the first one stands."""

    def make(*recipes):
        for recipe in recipes:
            folder = bundle_folder("r64", recipe, 0)
            version = tracking.register("r64", recipe, 0, folder, sha256_folder(folder), {})
            if version == "1":
                tracking.promote("r64", version, None, "the first")

    return make


def standing(registry):
    return registry.get_model_version_by_alias("skygen-r64", "champion").tags["recipe"]


def audit():
    """What was done with which version, in order; what was broken off is not."""
    entries = tracking.registered("r64").audit.entries.values()
    return [(entry.action, entry.version) for entry in entries if entry.state == "done"]


def test_a_better_one_is_promoted_and_a_worse_one_refused_with_the_reason(skygen, versions, registry):
    versions("bright", "perfect", "dealt")
    status, said, _ = skygen("promote", "r64", "2", *WHY)
    assert status == 0
    assert said.startswith("version 2 (perfect, seed 0) is champion of r64 now: version 2 (perfect, seed 0) replaces ")
    assert standing(registry) == "perfect"

    status, _, said = skygen("promote", "r64", "1", *WHY)
    assert (status, standing(registry)) == (1, "perfect")
    assert "version 1 (bright, seed 0) does not replace version 2 (perfect, seed 0): kernel " in said
    assert audit() == [("promoted", "1"), ("promoted", "2"), ("not promoted", "1")]
    entry = list(tracking.registered("r64").audit.entries.values())[1]
    assert (entry.who, entry.over, entry.why, entry.anyway) == ("ana", "1", "a test", False)
    assert entry.sha256 == sha256_folder(bundle_folder("r64", "perfect", 0))
    assert "replaces version 1" in entry.verdict
    assert skygen("promote", "r64", "2", *WHY)[:2] == (
        0,
        "version 2 (perfect, seed 0) stands already; nothing changes\n",
    )
    assert len(audit()) == 3


def test_a_collapsed_one_is_promoted_anyway_and_the_audit_says_so(skygen, versions, registry):
    versions("perfect", "flat")
    status, _, said = skygen("promote", "r64", "2", *WHY)
    assert status == 1
    assert "for it collapsed" in said
    status, said, _ = skygen("promote", "r64", "2", *WHY, "--anyway")

    assert (status, standing(registry)) == (0, "flat")
    latest = tracking.registered("r64").audit.latest("2")
    assert (latest.action, latest.anyway) == ("promoted", True)
    assert "for it collapsed" in latest.verdict


def test_without_tiles_at_hand_only_anyway_promotes(skygen, versions, registry, project):
    versions("bright", "perfect")
    (project / "data").rename(project / "data-away")
    try:
        status, _, said = skygen("promote", "r64", "2", *WHY)
        assert (status, standing(registry)) == (1, "bright")
        assert "version 2 (perfect, seed 0) cannot be compared here: data/tiles/r64" in said
        assert "--anyway promotes without" in said
        assert skygen("promote", "r64", "2", *WHY, "--anyway")[0] == 0
    finally:
        (project / "data-away").rename(project / "data")

    assert standing(registry) == "perfect"
    assert tracking.registered("r64").audit.latest("2").verdict.startswith("not compared: data/tiles/r64")


def test_what_is_refused_is_not_promoted_by_the_stage_until_a_person_does(skygen, versions, registry, packaged):
    versions("bright", "perfect")
    status, said, _ = skygen("refuse", "r64", "2", *WHY)
    assert (status, said.split(":")[0]) == (0, "version 2 (perfect, seed 0) of r64 is refused")

    said = packaged("perfect")
    assert "perfect, seed 0 was refused as version 2 by ana (a test) and does not challenge version 1 (bright" in said
    assert standing(registry) == "bright"
    assert skygen("promote", "r64", "2", *WHY)[0] == 0
    assert standing(registry) == "perfect"
    assert tracking.registered("r64").audit.bar(sha256_folder(bundle_folder("r64", "perfect", 0))) is None


def test_the_champion_is_not_refused_but_rolled_back(skygen, versions, registry):
    versions("bright")
    status, _, said = skygen("refuse", "r64", "1", *WHY)

    assert status == 1
    assert "version 1 (bright, seed 0) is the champion of r64; roll back instead: skygen rollback r64" in said
    assert audit() == [("promoted", "1")]


def test_rollbacks_go_one_further_back_each_and_the_stage_does_not_undo_them(skygen, versions, registry, packaged):
    versions("flat")
    assert "replaces version 1" in packaged("bright")
    assert "replaces version 2" in packaged("perfect")

    assert skygen("rollback", "r64", *WHY)[:2] == (
        0,
        "version 2 (bright, seed 0) is champion of r64 again; version 3 (perfect, seed 0) is rolled back\n",
    )
    assert "perfect, seed 0 was rolled back as version 3 by ana (a test) and does not challenge" in packaged("perfect")
    assert standing(registry) == "bright"
    assert skygen("rollback", "r64", *WHY)[0] == 0
    assert standing(registry) == "flat"
    status, _, said = skygen("rollback", "r64", *WHY)
    assert (status, standing(registry)) == (1, "flat")
    assert "nothing stood before version 1 (flat, seed 0) of r64" in said
    assert audit()[3:] == [("rolled back", "3"), ("rolled back", "2")]


def test_a_rollback_passes_by_what_was_refused_meanwhile(skygen, versions, registry):
    versions("flat", "bright", "perfect")
    tracking.promote("r64", "2", "1")
    tracking.promote("r64", "3", "2")
    assert skygen("refuse", "r64", "2", *WHY)[0] == 0
    assert skygen("rollback", "r64", *WHY)[0] == 0

    assert standing(registry) == "flat"


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
    command = [sys.executable, "-c", KILLED, name, str(call), when, "promote", "r64", "2", *WHY, "--anyway"]
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


def test_models_says_what_became_of_each_version(skygen, versions):
    versions("bright", "perfect", "dealt", "flat")
    skygen("promote", "r64", "2", *WHY)
    skygen("refuse", "r64", "4", "--why", "it\n repeats itself")
    status, said, _ = skygen("models")
    content = json.loads(skygen("models", "--set", "r64", "--json")[1])["r64"]

    assert status == 0
    assert (
        f"* {2:>3}  {sha256_folder(bundle_folder('r64', 'perfect', 0))[:12]}  perfect, seed 0: promoted, stands" in said
    )
    assert "ana: it repeats itself" in said
    assert content["champion"] == "2"
    became = [(one["version"], one["became"], one["stands"], one["barred"]) for one in content["versions"]]
    assert became == [
        ("1", "promoted", False, False),
        ("2", "promoted", True, False),
        ("3", "never compared", False, False),
        ("4", "refused", False, True),
    ]
    assert content["versions"][1]["who"] == "ana"
    assert len(content["audit"]) == 3
    assert "ana  version 4 refused: it repeats itself" in skygen("models", "--audit")[1]


def test_a_set_or_version_that_is_not_there_is_named_with_those_that_are(skygen, versions):
    versions("bright")

    assert "no tile set of the registry is called r65; there are: r64" in skygen("models", "--set", "r65")[2]
    for command in ("promote", "refuse"):
        status, _, said = skygen(command, "r64", "7", *WHY)
        assert (status, said) == (1, "Error: skygen-r64 has no version 7; there are: 1\n")
    assert "r65 has no champion" in skygen("rollback", "r65", *WHY)[2]


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


def test_an_empty_registry_says_who_fills_it(skygen):
    assert skygen("models")[0::2] == (
        1,
        "Error: the registry holds no models yet; the stage package registers the first: dvc repro\n",
    )
