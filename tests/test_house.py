"""The README, the documentation, the Makefile, continuous integration and the lock agree with the project."""

import operator
import os
import re
import shlex
import subprocess
import sys
import tomllib
from functools import reduce
from itertools import groupby
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from ruamel.yaml import YAML

from serving.settings import Settings
from skygen.cli import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", MAKEFILE, re.MULTILINE))
DOCS = ROOT / "docs"
# A Python that reaches no other host: of a build in it nothing can come from the network.
NO_NETWORK = """
import runpy, socket, sys
def refused(*_):
    raise OSError("the documentation is built without the network")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refused
sys.argv = ["sphinx-build", *sys.argv[1:]]
runpy.run_module("sphinx", run_name="__main__")
"""


def tree() -> list[str]:
    """The folders that the README's tree names: an indented one lies in the one above it."""
    (block,) = re.findall(r"^## The tree$.*?^```\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    folders: list[str] = []
    found = []
    for line in block.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        folders[depth:] = [line.split()[0]]
        found.append("".join(folders))
    return found


def pins() -> dict[str, str]:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    return dict(re.findall(r"^([\w.-]+)==(\S+)", lock, re.MULTILINE))


def requirements() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [need for extra in project["optional-dependencies"].values() for need in extra]
    return [Requirement(need) for need in project["dependencies"] + extras]


def test_readme_is_one_screen() -> None:
    assert len(README.splitlines()) <= 200
    assert len(README.encode()) <= 16 * 1024


def test_tree_names_folders_that_exist() -> None:
    folders = tree()
    assert 10 < len(folders) <= 40
    assert [folder for folder in folders if not (folder.endswith("/") and (ROOT / folder).is_dir())] == []


def test_every_make_target_is_phony_and_documented() -> None:
    (phony,) = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert set(phony.split()) == TARGETS
    documented = README + (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert {target for target in TARGETS if not re.search(rf"\bmake {target}\b(?!-)", documented)} == set()


def test_workflow_runs_what_developers_run() -> None:
    """One script for both, so that neither has a program or a check that the other lacks."""
    workflow = YAML(typ="safe").load(ROOT / ".github/workflows/ci.yml")
    steps = {step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step}
    local = set(re.findall(r"^make .*$", (ROOT / ".ci/run").read_text(encoding="utf-8"), re.MULTILINE))
    assert local == {"make check", "make test"}
    assert ".ci/run" in steps
    assert [step for step in steps if "make " in step or "apt-get" in step] == ["make fresh"]


def pages() -> list[Path]:
    return [*ROOT.glob("*.md"), *(page for page in DOCS.rglob("*.md") if not {"_build", "api"} & {*page.parts})]


def commands() -> list[tuple[str, list[str]]]:
    """Every command in the pages' shell blocks, with its page: its words, up to a pipe or a redirection."""
    found = []
    for page in pages():
        for block in re.findall(r"^```sh\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                lexer = shlex.shlex(line, posix=True, punctuation_chars="|>;")
                lexer.whitespace_split = True
                parts = [list(part) for stops, part in groupby(lexer, key={"|", ">", ";"}.__contains__) if not stops]
                found += [(page.name, part) for part in parts]
    return found


def test_pages_name_only_make_targets_that_exist() -> None:
    named = {target for page in pages() for target in re.findall(r"`make ([a-z-]+)", page.read_text(encoding="utf-8"))}
    assert named | {words[1] for _, words in commands() if words[0] == "make"} <= TARGETS


def test_skygen_understands_the_commands_of_the_pages() -> None:
    asked = [words[1:] for _, words in commands() if words[0] == "skygen"]
    assert len(asked) > 10
    for name, *arguments in asked:
        main.commands[name].make_context(name, arguments)  # raises what the command would say


def test_experiments_of_the_pages_set_keys_that_there_are() -> None:
    params = YAML(typ="safe").load(ROOT / "params.yaml")
    settings = [word.partition("=")[0] for _, words in commands() if words[0] == "dvc" for word in words if "=" in word]
    keys = [key for key in settings if not key.startswith("-")]
    assert len(keys) > 10
    for key in keys:
        reduce(operator.getitem, key.split("."), params)  # raises KeyError


def test_pages_name_only_settings_that_there_are() -> None:
    source = "".join(
        path.read_text(encoding="utf-8") for folder in ("src", "serving") for path in (ROOT / folder).rglob("*.py")
    )
    known = {f"SKYGEN_{name.upper()}" for name in Settings.model_fields} | set(re.findall(r"SKYGEN_[A-Z_]+", source))
    unknown = [
        f"{page.name}: {name}"
        for page in pages()
        if page.name != "CHANGELOG.md"
        for name in re.findall(r"`(SKYGEN_[A-Z_]+)\b", page.read_text(encoding="utf-8"))
        if name not in known
    ]
    assert unknown == []


def test_links_between_pages_lead_somewhere() -> None:
    broken = [
        f"{page.relative_to(ROOT)}: {link}"
        for page in pages()
        for link in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
        if "://" not in link and not (page.parent / link).exists()
    ]
    assert len(pages()) > 40
    assert broken == []


def test_architecture_names_files_that_exist() -> None:
    named = re.findall(
        r"`((?:src|serving|pipelines|benchmarks|tests|docs)/[\w/.]+)`", (DOCS / "architecture.md").read_text()
    )
    assert len(named) > 10
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_every_reference_page_is_made_from_the_code() -> None:
    """Each table of the extension has its place in a page, and no page asks for one that there is not."""
    asked = [
        name
        for page in DOCS.rglob("*.md")
        for name in re.findall(r"^<!-- from the code: (\w+) -->$", page.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    source = "".join(path.read_text(encoding="utf-8") for path in (DOCS / "_ext/reference").glob("*.py"))
    assert sorted(asked) == sorted(set(asked))
    assert [name for name in asked if f"\ndef {name}() -> str:" not in source] == []
    assert len(asked) > 10


@pytest.mark.slow
def test_the_documentation_is_built_without_the_network_and_asks_none_of_its_readers(tmp_path: Path) -> None:
    built = subprocess.run(
        [sys.executable, "-c", NO_NETWORK, "-EWq", "-d", tmp_path / "doctrees", DOCS, tmp_path / "site"],
        check=False,
        capture_output=True,
        text=True,
        timeout=600,
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert built.returncode == 0, built.stderr
    for page in (tmp_path / "site").rglob("*.html"):
        fetched = re.findall(r"<(?:script|img|link|iframe)\b[^>]*(?:src|href)=\"(https?:[^\"]*)", page.read_text())
        assert fetched == [], page


def test_lock_pins_exactly_and_names_no_build_of_torch() -> None:
    assert pins()["torch"] == "2.13.0"
    assert [version for version in pins().values() if not re.fullmatch(r"[0-9][0-9a-z.]*", version)] == []


def test_lock_satisfies_every_requirement() -> None:
    locked = pins()
    unmet = [
        str(need)
        for need in requirements()
        if not need.specifier.contains(locked.get(canonicalize_name(need.name), ""), prereleases=True)
    ]
    assert unmet == []


def test_every_promise_names_a_test_that_there_is() -> None:
    """`FILE::TEST`, or `FILE` for all of it, or `::TEST` of the file named before it."""
    rows = [row for row in (ROOT / "docs/promises.md").read_text(encoding="utf-8").splitlines() if row.startswith("| ")]
    file, missing = "", []
    for row in rows:
        for name in re.findall("`([^`]+)`", row.split("|")[-2]):
            path, _, test = name.partition("::")
            file = path or file
            known = ROOT / "tests" / file
            if not known.exists() or (test and f"def {test}(" not in known.read_text(encoding="utf-8")):
                missing.append(name)
    assert len(rows) > 50
    assert missing == []
