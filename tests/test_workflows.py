"""The workflows: their schema, what zizmor finds in them, and that they run what there is."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.test_house import TARGETS

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
SCHEMAS = [*((path, "github-workflows") for path in WORKFLOWS), (ROOT / ".github/dependabot.yml", "dependabot")]
TEXT = "".join(path.read_text(encoding="utf-8") for path in WORKFLOWS)


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """A program of the environment that tests run in, without the network."""
    program = Path(sys.executable).parent / command[0]
    environment = {**os.environ, "NO_COLOR": "1"}
    return subprocess.run([program, *command[1:]], check=False, capture_output=True, text=True, env=environment)


def test_workflows_and_dependabot_follow_their_schemas():
    for schema in {schema for _, schema in SCHEMAS}:
        files = [path for path, its in SCHEMAS if its == schema]
        checked = run("check-jsonschema", "--builtin-schema", f"vendor.{schema}", *files)
        assert checked.returncode == 0, checked.stdout + checked.stderr


def test_zizmor_finds_nothing():
    found = run("zizmor", "--offline", "--persona=pedantic", "--quiet", ROOT / ".github")
    assert found.returncode == 0, found.stdout + found.stderr


def test_each_action_is_one_commit_with_its_version_beside_it():
    used = re.findall(r"uses: (?!\.)(.*)", TEXT.replace("uses: $/", "uses: ./"))
    assert len(used) > 10
    assert [line for line in used if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)] == []
    assert len({line.partition("@")[0] for line in used}) == len(set(used))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_each_job_ends_by_itself_and_may_do_no_more_than_it_says(path):
    workflow = YAML(typ="safe").load(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert "concurrency" in workflow
    assert [name for name, job in workflow["jobs"].items() if not {"uses", "timeout-minutes"} & job.keys()] == []


def test_workflows_run_targets_and_tools_that_there_are():
    code = re.sub(r"^ *(#|- ?name:|name:).*|\s#.*", "", TEXT, flags=re.MULTILINE)
    said = re.findall(r"\bmake ((?:[a-z-]+ ?)+)", code)
    targets = {target for words in said for target in words.split()}
    targets |= {target for listed in re.findall(r"target: \[(repro.*)\]", TEXT) for target in listed.split(", ")}
    assert {"fresh", "repro", "setup", "sbom", "test-slow", "audit", "bench", "wheel"} <= targets <= TARGETS
    tools = re.findall(r"python -m tools\.(\w+)", TEXT)
    assert tools
    assert [name for name in tools if not (ROOT / f"tools/{name}.py").exists()] == []
