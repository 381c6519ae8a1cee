"""Print what CHANGELOG.md says about a version, as the notes of its release: `python -m tools.notes v1.2.3`."""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def notes(changelog: str, version: str) -> str:
    """The section of a version; raises ValueError where there is none, or nothing in it."""
    sections = re.split(r"^## ", changelog, flags=re.MULTILINE)
    for section in sections[1:]:
        head, _, text = section.partition("\n")
        if re.match(rf"\[{re.escape(version)}\]", head) and text.strip():
            return text.strip()
    raise ValueError(f"CHANGELOG.md says nothing about {version}: move its lines from Unreleased to [{version}]")


def main(tag: str) -> None:
    """Print the notes; ends with a sentence where the tag is not that of the project's version."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    if tag != f"v{version}":
        sys.exit(f"the tag is {tag}, and pyproject.toml has version {version}: tag v{version}, or change the version")
    try:
        print(notes((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), version))
    except ValueError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(*sys.argv[1:])
