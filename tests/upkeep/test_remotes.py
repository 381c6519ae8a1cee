"""Outputs reach a teammate through a folder, SSH and S3; a remote that is no use is told in one sentence."""

from pathlib import Path

import pytest

from tests.upkeep.conftest import rot
from tools.rehearse.programs import free_port


@pytest.fixture
def folder_remote(project, tmp_path):
    project.run("dvc", "remote", "add", "--default", "team", str(tmp_path / "shared"))
    return {}


@pytest.fixture
def ssh_remote(project, sshd, tmp_path):
    settings, wrong = Path.home() / ".ssh", (sshd.folder / "stranger.pub").read_text()
    (settings / "config").write_text(f"Host 127.0.0.1\n  IdentityFile {sshd.folder / 'user'}\n")
    (settings / "known_hosts").write_text(
        f"[127.0.0.1]:{sshd.port} {wrong}"
    )  # where DVC does not look: the page says so
    project.run("dvc", "remote", "add", "--default", "team", f"ssh://127.0.0.1:{sshd.port}{tmp_path}/far")
    return {}


@pytest.fixture
def s3_remote(project, s3, tmp_path):
    project.run("dvc", "remote", "add", "--default", "team", f"s3://sky/{tmp_path.name}")
    project.run("dvc", "remote", "modify", "team", "endpointurl", s3.url)
    return s3.credentials


@pytest.mark.parametrize("kind", ["folder", "ssh", "s3"])
def test_a_teammate_has_what_was_pushed(kind, project, teammate, request, monkeypatch):
    secrets = request.getfixturevalue(f"{kind}_remote")
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    project.run("dvc", "push")
    status, said, _ = project.skygen("verify", "--remote", "team")
    other = teammate(project)
    other.run("dvc", "pull")

    assert (status, said) == (0, "9 files and bundles are as they should be\n")
    assert other.contents() == project.contents()
    assert "up to date" in other.run("dvc", "status")
    assert not [value for value in secrets.values() if value in (project.folder / ".dvc/config").read_text()]


def one_sentence(project, name="team"):
    """What is said of a remote that is no use."""
    status, out, said = project.skygen("verify", "--remote", name)
    assert (status, out) == (1, "")
    assert len(said.splitlines()) == 1
    assert said.count(": ") <= 5
    return said.removeprefix("Error: ")


def test_without_a_remote_it_is_said_how_to_add_one(project):
    assert one_sentence(project) == (
        "no remote team: this clone has none; add one by `dvc remote add --default team URL`"
    )


def test_a_folder_that_is_not_mounted_is_named(project, folder_remote, tmp_path):
    assert f"there is no folder {tmp_path / 'shared'}; mount it" in one_sentence(project)
    assert one_sentence(project, "other") == "no remote is called other; there are: team"


def test_a_remote_that_nobody_pushed_to_is_said_to_be_empty(project, folder_remote, tmp_path):
    (tmp_path / "shared").mkdir()
    assert one_sentence(project).endswith(
        "is empty, or not there yet; say `dvc push -r team` where the pipeline was run"
    )


def test_what_a_remote_lost_is_found_though_dvc_sees_no_difference(project, folder_remote, tmp_path):
    project.run("dvc", "push")
    lost = project.object("data/tiles/r64/train-0.npy").relative_to(project.folder / ".dvc/cache")
    damaged = project.object("reports/comparison.md").relative_to(project.folder / ".dvc/cache")
    (tmp_path / "shared" / lost).unlink()
    rot(tmp_path / "shared" / damaged)
    assert "in sync" in project.run("dvc", "status", "--cloud")
    status, said, _ = project.skygen("verify", "--remote", "team")

    assert status == 1
    first, second = said.splitlines()
    assert first.startswith("data/tiles/r64: 1 of its ")
    assert first.endswith("are not in the remote team; say `dvc push -r team data/tiles/r64`")
    assert second.startswith(f"{tmp_path / 'shared' / damaged}: its MD5 is ")


def test_a_host_that_is_out_of_reach_or_lets_nobody_in_is_said(project, sshd, s3, monkeypatch, tmp_path):
    add = ("dvc", "remote", "add", "--force")
    project.run(*add, "team", f"ssh://127.0.0.1:{free_port()}/far")
    assert "does not let us in: [Errno 111] Connect call failed" in one_sentence(project)
    project.run(*add, "team", f"ssh://127.0.0.1:{sshd.port}/far")
    project.run("dvc", "remote", "modify", "--local", "team", "keyfile", str(sshd.folder / "stranger"))
    assert "Permission denied for user" in one_sentence(project)
    project.run(*add, "bucket", "s3://sky/x")
    project.run("dvc", "remote", "modify", "bucket", "endpointurl", s3.url)
    for name, value in s3.credentials.items():
        monkeypatch.setenv(name, value[::-1])
    assert "does not let us in: " in one_sentence(project, "bucket")
