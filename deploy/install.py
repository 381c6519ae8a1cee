"""Install into /opt/venv what an image needs of a lock, and nothing else: in the Dockerfile's build stages.

Usage: python install.py LOCK WORD ...

A word is an extra of pyproject.toml, `skygen` for the project's own requirements, or a distribution. pip says what they
need in turn; versions and hashes come from the lock alone. Where one line of it has hashes, pip asks for those of all.
The lock's setuptools builds what has no wheel, and then goes: torch asks for it too, to compile, which is not done.
"""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory

VENV = "/opt/venv/bin/python"
ENTRY = re.compile(r"^([\w.-]+)(==[^\s;]+[^\\\n]*)((?:\\\n[^\\\n]*)*)$", re.MULTILINE)  # name, version, hashes


def main(lock: str, *words: str) -> None:
    """Have pip install the lines of `lock` that are needed; ends with a sentence where one is missing."""
    entries = {_canonical(entry[1]): entry for entry in ENTRY.finditer(Path(lock).read_text(encoding="utf-8"))}
    pins = "".join(f"{entry[1]}{entry[2].strip()}\n" for entry in entries.values())
    names = _closure(_requirements(words), pins)
    if missing := sorted(names - entries.keys()):
        sys.exit(f"{lock} lacks {', '.join(missing)}: say make lock, or name an index with the lock's build of torch")
    for chosen in ({"setuptools"} & entries.keys(), names - {"setuptools"}):
        _install([entries[name][0] for name in sorted(chosen)])
    _pip("--python", VENV, "uninstall", "--yes", "setuptools")


def _install(lines: list[str]) -> None:
    with TemporaryDirectory() as folder:
        chosen = Path(folder) / "chosen.lock"
        chosen.write_text("\n".join(lines), encoding="utf-8")
        _pip("--python", VENV, "install", "--no-deps", "--no-build-isolation", "--requirement", str(chosen))


def _requirements(words: tuple[str, ...]) -> str:
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    known = project["optional-dependencies"] | {project["name"]: project["dependencies"]}
    return "".join(f"{need}\n" for word in words for need in known.get(word, [word]))


def _closure(needs: str, pins: str) -> set[str]:
    """The names of all that `needs` ask for, at the versions of `pins`, on this platform."""
    with TemporaryDirectory() as folder:
        wanted, constraints, report = (Path(folder) / name for name in ("wanted", "constraints", "report"))
        wanted.write_text(needs, encoding="utf-8")
        constraints.write_text(pins, encoding="utf-8")
        files = ["--requirement", str(wanted), "--constraint", str(constraints), "--report", str(report)]
        _pip("install", "--dry-run", "--ignore-installed", *files)
        found = json.loads(report.read_text(encoding="utf-8"))["install"]
    return {_canonical(item["metadata"]["name"]) for item in found}


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _pip(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", "--quiet", *arguments], check=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
