"""The README, the Makefile, continuous integration and the lock agree with the project."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", MAKEFILE, re.MULTILINE))
CAPTIONED = ("src/skygen", "pipelines", "serving")


def tree() -> dict[str, str]:
    """Path → caption, read from the README's code block that has a line for the Makefile.

    A line is a name, two or more spaces and a caption; a folder's name ends with a slash, and its files stand indented
    below it.
    """
    blocks = re.findall(r"^```\w*\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    (block,) = [block for block in blocks if re.search(r"^Makefile ", block, re.MULTILINE)]
    captions: dict[str, str] = {}
    folders: list[tuple[int, str]] = []
    for line in filter(str.strip, block.splitlines()):
        indent = len(line) - len(line.lstrip())
        name, _, caption = line.strip().partition("  ")
        while folders and folders[-1][0] >= indent:
            folders.pop()
        path = (folders[-1][1] if folders else "") + name
        captions[path.rstrip("/")] = caption.strip()
        if name.endswith("/"):
            folders.append((indent, path))
    return captions


def source_files() -> set[str]:
    found = (path for folder in CAPTIONED for path in (ROOT / folder).rglob("*") if path.is_file())
    return {
        path.relative_to(ROOT).as_posix()
        for path in found
        if path.name != "__init__.py" and "__pycache__" not in path.parts
    }


def pins() -> dict[str, str]:
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pairs = (tuple(line.split("==")) for line in lines if not line.startswith("#"))
    return dict(pairs)


def requirements() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [need for extra in project["optional-dependencies"].values() for need in extra]
    return [Requirement(need) for need in project["dependencies"] + extras]


def test_tree_names_every_source_file() -> None:
    assert source_files() - set(tree()) == set()


def test_tree_names_only_what_exists_and_captions_it() -> None:
    captions = tree()
    assert [path for path in captions if not (ROOT / path).exists()] == []
    assert [path for path, caption in captions.items() if not caption] == []


def test_every_make_target_is_phony_and_in_the_readme() -> None:
    (phony,) = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert set(phony.split()) == TARGETS
    assert {target for target in TARGETS if not re.search(rf"\bmake {target}\b(?!-)", README)} == set()


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_pages_name_only_make_targets_that_exist(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    assert set(re.findall(r"`make ([a-z-]+)", text)) <= TARGETS


def test_workflow_runs_what_developers_run() -> None:
    """One script for both, so that neither has a program or a check that the other lacks."""
    workflow = YAML(typ="safe").load(ROOT / ".github/workflows/ci.yml")
    steps = {step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step}
    local = set(re.findall(r"^make .*$", (ROOT / ".ci/run").read_text(encoding="utf-8"), re.MULTILINE))
    assert local == {"make check", "make test"}
    assert ".ci/run" in steps
    assert not [step for step in steps if "make " in step or "apt-get" in step]


def test_links_between_pages_lead_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
    broken = [
        f"{page.name}: {link}"
        for page in pages
        for link in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
        if "://" not in link and not (page.parent / link).exists()
    ]
    assert broken == []


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
