"""What `make setup` gives to pip, with a CPU build of torch at hand and without."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# A Python that makes an environment of itself and writes down what pip is asked for, with the lines of the lock.
PYTHON = """#!/bin/sh
case "$*" in
    "-c "*) exit 0 ;;
    "-m venv .venv") mkdir -p .venv/bin; cp "$0" .venv/bin/python; cp /bin/true .venv/bin/dvc ;;
    *--dry-run*) echo "$*" >> asked; test -n "$CPU" ;;
    *--requirement*) for last; do :; done; echo "$*" >> asked; grep -o '^[a-z0-9.-]*==[^ ]*' "$last" >> asked ;;
    *) echo "$*" >> asked ;;
esac
"""


def setup(folder: Path, cpu: str) -> list[list[str]]:
    """What pip was asked for: the words of each command, then the pins that it was given."""
    (folder / "python").write_text(PYTHON)
    (folder / "python").chmod(0o755)
    for name in ("Makefile", "pyproject.toml", "requirements.lock", "requirements-cuda.lock"):
        shutil.copy(ROOT / name, folder)
    command = ["make", "setup", f"PYTHON={folder}/python"]
    subprocess.run(command, cwd=folder, env={**os.environ, "CPU": cpu}, check=True, capture_output=True)
    commands = re.split(r"^(?=-m pip )", (folder / "asked").read_text(), flags=re.MULTILINE)[1:]
    return [command.splitlines() for command in commands]


def pins(name: str) -> set[str]:
    return set(re.findall(r"^\S+==\S+", (ROOT / name).read_text(), re.MULTILINE))


@pytest.mark.parametrize("cpu", ["yes", ""])
def test_all_of_the_lock_is_installed_and_only_with_hashes(tmp_path, cpu):
    first, asked, *installs, project, check = setup(tmp_path, cpu)
    assert [pin.partition("==")[0] for pin in first[1:]] == ["setuptools"]
    assert asked[0].endswith("--dry-run --no-deps torch==2.13.0+cpu")
    for install in [first, *installs]:
        assert {"--require-hashes", "--no-deps", "--no-build-isolation"} <= set(install[0].split())
    given = [set(install[1:]) for install in installs]
    if cpu:
        assert given == [pins("requirements.lock")]
    else:
        torch = {"torch==2.13.0"}
        assert given == [pins("requirements-cuda.lock"), pins("requirements.lock") - torch]
        assert torch <= given[0]
    assert project[0].endswith("--no-deps --no-build-isolation --editable .")
    assert check == ["-m pip check"]
