"""What `make` and the image that trains say before they start: one sentence where they cannot, and nothing is lost."""

import json
import os
import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOBODY = 65534


def make(folder, *arguments):
    """`make` with a Makefile of ours, in a folder where everything is installed already."""
    (folder / ".venv/bin").mkdir(parents=True)
    for program in ("python", "dvc", "mlflow", "skygen"):  # no links: a linked python would not find our packages
        (folder / ".venv/bin" / program).write_text(f'#!/bin/sh\nexec "{ROOT}/.venv/bin/{program}" "$@"\n')
        (folder / ".venv/bin" / program).chmod(0o755)
    shutil.copy(ROOT / "Makefile", folder)
    for name in ("requirements.lock", "pyproject.toml", ".venv/.installed"):
        (folder / name).touch()
    return subprocess.run(["make", *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def test_a_port_that_is_taken_ends_make_ui_with_a_sentence(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = make(tmp_path, "ui", f"UI_PORT={port}")
    assert run.returncode != 0
    assert run.stderr.startswith(
        f"127.0.0.1:{port} is taken, or no address: end what listens there, or say make ui UI_PORT=5001\n"
    )
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize("port", ["99999", "five"])
def test_a_port_that_is_none_ends_make_ui_with_a_sentence(tmp_path, port):
    run = make(tmp_path, "ui", f"UI_PORT={port}")
    assert run.returncode != 0
    assert run.stderr.startswith(f"127.0.0.1:{port} is taken, or no address")


def test_a_copy_without_git_ends_make_repro_with_a_sentence(tmp_path):
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").touch()
    run = make(tmp_path, "repro")
    assert run.returncode != 0
    assert run.stderr.startswith(f"{tmp_path} has no git, which DVC asks for: say git init, or ")


def pipeline(folder):
    """Our parameters and our check of them, with a pipeline of one stage."""
    for name in ("params.yaml", "pipelines/frames.py", "data/local/README.md"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    (folder / "dvc.yaml").write_text("stages: {say: {cmd: echo done > out, outs: [out]}}\n")


@pytest.mark.parametrize("remedy", ["git init --quiet", ".venv/bin/dvc config --local core.no_scm true"])
def test_what_it_says_helps(tmp_path, remedy):
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").touch()
    pipeline(tmp_path)
    make(tmp_path, "help")
    subprocess.run(remedy.split(), cwd=tmp_path, check=True, capture_output=True)
    run = subprocess.run(["make", "repro"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert (tmp_path / "out").read_text() == "done\n"


@pytest.mark.parametrize(
    ("former", "wrong", "words"),
    [
        (
            "folder: data/local",
            "folder: ~/frames",
            "frames.folder = '~/frames': Value error, DVC does not know ~; write /",
        ),
        ("ema_half_life: null", "ema_half_life: -2.0", "ema_half_life = -2.0: "),
        ("folder: data/local", "folder: nowhere", "frames.folder = 'nowhere': there is no such folder"),
    ],
)
def test_make_repro_says_what_is_wrong_in_params_yaml_before_dvc_starts(tmp_path, former, wrong, words):
    """DVC would end with an error of its own, or after hours with one of ours."""
    pipeline(tmp_path)
    (tmp_path / ".git").mkdir()
    (tmp_path / "params.yaml").write_text((tmp_path / "params.yaml").read_text().replace(former, wrong, 1))
    run = make(tmp_path, "repro")
    assert run.returncode != 0
    assert words in run.stderr.splitlines()[0]
    assert "dvc" not in run.stderr
    assert not (tmp_path / "out").exists()


def entered(folder, *command, **changes):
    """A command, begun as the image `train` begins it, by a user that owns nothing."""
    stage = (ROOT / "Dockerfile").read_text().partition(" AS trainer\n")[2].replace("\\\n", "")
    (entry,) = re.findall(r"^ENTRYPOINT (\[.*\])$", stage, re.MULTILINE)
    return subprocess.run(
        [*json.loads(entry), *command],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": "/", **changes},
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def clone(open_to_all):
    """A clone that its user alone can write to, below folders that all can enter."""
    (open_to_all / ".dvc/tmp").mkdir(parents=True)
    return open_to_all


needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can act for another user")


@needs_root
@pytest.mark.parametrize(("own", "place"), [([], "."), (["."], ".dvc"), ([".", ".dvc"], ".dvc/tmp")])
def test_a_clone_of_another_user_is_named_with_the_remedy(clone, own, place):
    for name in own:
        os.chown(clone / name, NOBODY, NOBODY)
    run = entered(clone, "dvc", "repro")
    assert run.returncode == 1
    assert run.stderr == f"{clone}/{place} is not writable for user {NOBODY}: say docker run --user 0:0\n"


@needs_root
def test_any_user_gets_a_home_and_an_index_that_it_can_write_to(clone):
    os.chown(clone, NOBODY, NOBODY)
    run = entered(
        clone, "sh", "-c", 'mkdir -p "$DVC_SITE_CACHE_DIR" && touch "$HOME/.cache/here" && echo "$HOME $*"', "a", "b"
    )
    assert (run.stdout, run.stderr) == ("/tmp b\n", "")  # noqa: S108  # in an image of one user
