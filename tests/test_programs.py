"""Tests that need a program: one list of what is installed for them, and none left out in silence in CI."""

import re
import shutil
from pathlib import Path

import pytest

from tests.programs import PACKAGES, program

ROOT = Path(__file__).parents[1]
REASON = "fitsverify is not installed: it comes with Debian's package fitsverify"


@pytest.mark.parametrize(
    ("ci", "outcome"), [("true", "failed"), ("1", "failed"), ("false", "skipped"), ("0", "skipped"), ("", "skipped")]
)
def test_in_ci_a_test_without_its_program_fails(monkeypatch, tmp_path, ci, outcome):
    monkeypatch.setenv("CI", ci)
    which = shutil.which
    monkeypatch.setattr("shutil.which", lambda name, path: which(name, path=str(tmp_path)))
    left = {"failed": pytest.fail.Exception, "skipped": pytest.skip.Exception}[outcome]
    with pytest.raises(left, match=REASON):
        program("fitsverify")
    (tmp_path / "fitsverify").touch(0o755)
    assert program("fitsverify") == str(tmp_path / "fitsverify")


def test_ci_installs_what_tests_start():
    (installed,) = re.findall(r'^programs="(.*)"$', (ROOT / ".ci/run").read_text(), re.MULTILINE)
    assert set(installed.split()) == set(PACKAGES.values())


def test_nobody_looks_for_a_program_and_skips_by_itself():
    looking = {path.name for path in ROOT.glob("tests/**/*.py") if "shutil.which(" in path.read_text()}
    assert looking <= {"programs.py", "test_programs.py"}
