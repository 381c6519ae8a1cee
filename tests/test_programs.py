"""Tests that need a program: one list of what is installed for them, and none left out in silence in CI."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.programs import PACKAGES

ROOT = Path(__file__).parents[1]
TEST = """
from tests.programs import program

def test_of_a_program():
    assert program("fitsverify")
"""


@pytest.mark.parametrize(
    ("ci", "there", "outcome"),
    [
        ("true", False, "1 failed"),
        ("1", False, "1 failed"),
        ("false", False, "1 skipped"),
        ("", False, "1 skipped"),
        ("true", True, "1 passed"),
    ],
)
def test_in_ci_a_test_without_its_program_fails(tmp_path, ci, there, outcome):
    (tmp_path / "test_it.py").write_text(TEST)
    if there:
        (tmp_path / "fitsverify").touch(0o755)
    code = "import shutil, sys, pytest; which = shutil.which; " + (
        "shutil.which = lambda name, path: which(name, path=sys.argv[2]); sys.exit(pytest.main(['-qrs', sys.argv[1]]))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "test_it.py"), str(tmp_path)],
        env={**os.environ, "CI": ci, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome in run.stdout, run.stdout + run.stderr
    assert there or "fitsverify is not installed: it comes with Debian's package fitsverify" in run.stdout


def test_ci_installs_what_tests_start():
    (installed,) = re.findall(r'^programs="(.*)"$', (ROOT / ".ci/run").read_text(), re.MULTILINE)
    assert set(installed.split()) == set(PACKAGES.values())


def test_nobody_looks_for_a_program_and_skips_by_itself():
    looking = {path.name for path in ROOT.glob("tests/**/*.py") if "shutil.which(" in path.read_text()}
    assert looking <= {"programs.py", "test_programs.py"}
