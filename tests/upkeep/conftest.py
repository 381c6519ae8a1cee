"""A tiny clone that DVC ran, a teammate's clone of it, and the servers that remotes lie on: sshd, and moto's S3."""

import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import boto3
import numpy as np
import pytest

from tests.conftest import ROOT
from tests.harness.commands import called
from tests.programs import program
from tools.rehearse.programs import free_port

# Of the shipped pipeline: a folder of shards, a folder of folders, and a file.
STAGES = """\
stages:
  tiles:
    cmd: mkdir -p data/tiles && cp -r given/r64 data/tiles/r64
    deps: [given/r64]
    outs: [data/tiles/r64]
  train:
    cmd: mkdir -p models/r64/gan && cp -r given/model models/r64/gan/0
    deps: [given/model]
    outs: [models/r64/gan/0]
  compare:
    cmd: mkdir -p reports && cp given/comparison.md reports
    deps: [given/comparison.md]
    outs: [reports/comparison.md]
"""
OUTPUTS = ("data/tiles/r64", "models/r64/gan/0", "reports/comparison.md")
MAY_DO_ALL = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}'
IGNORED = "/data\n/models\n/reports\n/mlflow.db\n/mlartifacts\n/.checkpoints\n/.experiments\n/.folds\n/.bento\n"


@dataclass
class Project:
    """A project's folder and what is typed in it."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)

    def run(self, *command):
        """What a command prints; the test fails with it where the command does."""
        done = self.begin(*command)
        assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def begin(self, *command):
        """How a command ends."""
        if command[0] == "dvc":
            command = [sys.executable, "-m", *command]
        return subprocess.run(
            command, cwd=self.folder, env=os.environ | self.variables, capture_output=True, text=True, check=False
        )

    def skygen(self, *arguments):
        """The exit status of `skygen ARGUMENTS` and what it said, on stdout and on stderr without progress bars."""
        done = called(arguments, self.folder)
        said = [line for line in done.stderr.decode().splitlines() if line.startswith("Error: ")]
        return done.returncode, done.stdout.decode(), "\n".join(said)

    def contents(self):
        """The bytes of all outputs, by their paths."""
        places = (place for output in OUTPUTS for place in ((self.folder / output), *(self.folder / output).rglob("*")))
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in places if path.is_file()}

    def object(self, path):
        """The cache's object of a file of an output."""
        md5 = subprocess.run(["md5sum", self.folder / path], capture_output=True, text=True, check=True).stdout[:32]
        return self.folder / ".dvc/cache/files/md5" / md5[:2] / md5[2:]


@pytest.fixture(autouse=True, scope="session")
def _nobody_s_settings(tmp_path_factory):
    """Neither DVC's, git's, SSH's nor S3's settings of whoever runs the tests; a store of the project's own."""
    home = tmp_path_factory.mktemp("home")
    (home / ".ssh").mkdir()
    values = {
        "HOME": str(home),
        "DVC_NO_ANALYTICS": "1",
        "DVC_SITE_CACHE_DIR": str(home / "site"),
        "GIT_CONFIG_COUNT": "2",
        "GIT_CONFIG_KEY_0": "user.name",
        "GIT_CONFIG_VALUE_0": "test",
        "GIT_CONFIG_KEY_1": "user.email",
        "GIT_CONFIG_VALUE_1": "test@example.org",
        "AWS_MAX_ATTEMPTS": "1",
        "MLFLOW_TRACKING_URI": "",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in values.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="session")
def ran(tmp_path_factory, write_store, write_bundle):
    """The folder of a project after `dvc repro`, all of it committed."""
    folder = tmp_path_factory.mktemp("ran") / "skygen"
    rng = np.random.default_rng(0)
    tiles = {split: rng.normal(0, 1, (4, 1, 64, 64)).astype(np.float32) for split in ("train", "validation", "test")}
    write_store(folder / "given/r64", tiles)
    write_bundle(folder / "given/model/bundle")
    (folder / "given/comparison.md").write_text("A report.\n")
    (folder / "dvc.yaml").write_text(STAGES)
    (folder / ".gitignore").write_text(IGNORED)
    shutil.copy(ROOT / "params.yaml", folder)
    project = Project(folder)
    project.run("git", "init", "--quiet", "--initial-branch=main")
    project.run("dvc", "init", "--quiet")
    project.run("dvc", "repro", "--quiet")
    project.run("git", "add", ".")
    project.run("git", "commit", "--quiet", "-m", "ran")
    return folder


@pytest.fixture
def project(ran, tmp_path):
    """A project like it, to do with as one likes."""
    folder = tmp_path / "skygen"
    shutil.copytree(ran, folder, symlinks=True)
    return Project(folder)


@pytest.fixture
def teammate(tmp_path):
    """A function: the git clone of a project, with DVC's settings of another user."""

    def clone(project, variables=None):
        project.run("git", "commit", "--quiet", "--all", "--allow-empty", "-m", "remote")
        project.run("git", "clone", "--quiet", str(project.folder), str(tmp_path / "teammate"))
        return Project(tmp_path / "teammate", variables or {})

    return clone


@dataclass
class Sshd:
    """A real sshd, which lets in the key `user` of its folder, and not `stranger`."""

    folder: Path
    port: int


@pytest.fixture(scope="session")
def sshd(tmp_path_factory):
    """An sshd of Debian's on a port of its own, with its own host key, configuration and authorized_keys."""
    command, folder, port = program("sshd"), tmp_path_factory.mktemp("sshd"), free_port()
    for name in ("host", "user", "stranger"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    (folder / "config").write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {folder / 'host'}\nAuthorizedKeysFile {folder / 'user.pub'}\n"
        "PidFile none\nUsePAM no\nStrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        "PermitRootLogin prohibit-password\nSubsystem sftp internal-sftp\n"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # what its service would make
    with running([command, "-D", "-e", "-f", folder / "config"], folder / "log") as log:
        wait_for(lambda: "Server listening" in log.read_text())
        yield Sshd(folder, port)


@dataclass
class S3:
    """A bucket behind S3's API, and the credentials of the one user who may use it."""

    url: str
    credentials: dict[str, str]


@pytest.fixture(scope="session")
def s3(tmp_path_factory):
    """moto's S3 on a port of its own, which asks for credentials as S3 does."""
    folder, port = tmp_path_factory.mktemp("s3"), free_port()
    url, command = f"http://127.0.0.1:{port}", [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with running(command, folder / "log", INITIAL_NO_AUTH_ACTION_COUNT="3"):
        wait_for(lambda: listens(port))
        server = {"endpoint_url": url, "region_name": "us-east-1"}
        users = boto3.client("iam", **server, aws_access_key_id="nobody", aws_secret_access_key="no")  # noqa: S106
        users.create_user(UserName="team")
        users.put_user_policy(UserName="team", PolicyName="all", PolicyDocument=MAY_DO_ALL)
        key = users.create_access_key(UserName="team")["AccessKey"]  # from here on it asks who calls
        own = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
        boto3.client("s3", **server, **own).create_bucket(Bucket="sky")
        yield S3(url, {name.upper(): value for name, value in own.items()})


def rot(path):
    """Change one bit of a file, and nothing that a listing shows."""
    before = path.stat()
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    path.chmod(before.st_mode)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@contextmanager
def running(command, log, **variables):
    """The log of a process that runs within."""
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream, env=os.environ | variables)
    try:
        yield log
    finally:
        process.terminate()
        process.wait(30)


def listens(port):
    """Whether anyone listens at a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_for(condition, seconds=60):
    """Wait until it is so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
