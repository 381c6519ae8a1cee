"""Whether dvc.lock is stale, asked in a clone that has neither the data nor DVC's cache."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools import fresh

PIPELINE = """
stages:
  draw:
    cmd: cp draw.txt drawn.txt
    deps: [draw.txt]
    params: [size]
    outs: [drawn.txt]
  frame:
    cmd: cp drawn.txt framed.txt
    deps: [drawn.txt]
    outs: [framed.txt]
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A project whose pipeline of two stages was run, without what it wrote."""
    folder = tmp_path_factory.mktemp("ran")
    (folder / "dvc.yaml").write_text(PIPELINE)
    (folder / "params.yaml").write_text("size: 1\n")
    (folder / "draw.txt").write_text("a line")
    place = str(folder / "site")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_SITE_CACHE_DIR", place)
        patch.setenv("DVC_NO_ANALYTICS", "1")
        for arguments in (["init", "-q", "--no-scm"], ["repro", "-q"]):
            subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=folder, check=True, env=os.environ)
        for name in ("drawn.txt", "framed.txt"):
            (folder / name).unlink()
        shutil.rmtree(folder / ".dvc/cache")
        yield folder


@pytest.fixture
def clone(ran, tmp_path):
    return Path(shutil.copytree(ran, tmp_path / "clone"))


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def test_without_data_and_without_a_change_it_is_up_to_date(clone, capsys):
    fresh.main(clone)
    assert capsys.readouterr().out == "dvc.lock is up to date: 2 stages\n"


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("draw.txt", "a", "another", "draw: draw.txt modified"),
        ("params.yaml", "1", "2", "draw: params.yaml size"),
        ("dvc.yaml", "cp drawn.txt", "cp -f drawn.txt", "frame: changed command"),
    ],
)
def test_a_change_of_code_parameter_or_command_is_named(clone, file, old, new, said):
    change(clone / file, old, new)
    with pytest.raises(SystemExit) as ended:
        fresh.main(clone)
    assert ended.value.code == f"{said}\ndvc.lock is stale: say make repro, and commit dvc.lock"


def test_a_stage_that_was_not_run_again_is_named(clone):
    """As where somebody ran `dvc repro draw` alone, or resolved a conflict in dvc.lock by hand."""
    head, _, tail = (clone / "dvc.lock").read_text().partition("  frame:")
    md5 = head.rpartition("md5: ")[2].split()[0]
    (clone / "dvc.lock").write_text(f"{head}  frame:{tail.replace(md5, 'f' * 32, 1)}")
    with pytest.raises(SystemExit, match=r"^frame: drawn\.txt is of another run than that of draw\n"):
        fresh.main(clone)
