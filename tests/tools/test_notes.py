"""The notes of a release are what CHANGELOG.md says about its version; how to cite it names the same version."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tools.notes import ROOT, main, notes

CHANGELOG = """# Changelog

## [Unreleased]

- Next.

## [1.2.3] - 2026-11-30

### Added
- This.

## [1.2.30]

## [1.2.2] - 2026-11-01

- Before.
"""


def test_notes_are_those_of_one_version():
    assert notes(CHANGELOG, "1.2.3") == "### Added\n- This."
    assert notes(CHANGELOG, "1.2.2") == "- Before."


@pytest.mark.parametrize("version", ["1.2.30", "1x2.3", "2.0.0"])
def test_a_version_without_notes_is_refused(version):
    with pytest.raises(ValueError, match=f"CHANGELOG.md says nothing about {version}"):
        notes(CHANGELOG, version)


def test_a_tag_of_another_version_ends_with_a_sentence():
    with pytest.raises(SystemExit, match=r"^the tag is v99\.0\.0, and pyproject\.toml has version "):
        main("v99.0.0")


def test_the_citation_follows_its_schema_and_names_this_version():
    checker = Path(sys.executable).parent / "check-jsonschema"
    schema = ["--builtin-schema", "vendor.citation-file-format"]
    subprocess.run([checker, *schema, ROOT / "CITATION.cff"], check=True, capture_output=True)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    cited = YAML(typ="safe").load(ROOT / "CITATION.cff")
    assert (cited["version"], cited["license"]) == (project["version"], project["license"])
