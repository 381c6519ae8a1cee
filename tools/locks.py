"""Compile the locks from pyproject.toml, with hashes: `make lock`. Pins and hashes that they hold stay where they can.

requirements.lock has all extras and torch's CPU builds, with the hashes of those that pip finds as it is configured
here. requirements-cuda.lock has what trains and serves, with the public index's torch and the CUDA libraries it needs.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
LOCK, CUDA_LOCK = ROOT / "requirements.lock", ROOT / "requirements-cuda.lock"
OLDEST, PYTHONS = "3.11", ("3.11", "3.12", "3.13")
SHIPPED = ("build", "pipeline", "remotes", "serve")  # the extras that images with CUDA are made of
TORCH = re.compile(r"^torch==(?P<version>\S+)(?P<hashes>(?: \\\n +--hash=sha256:[0-9a-f]{64})+)$", re.MULTILINE)


def main() -> None:
    """Write both locks; ends with a sentence where no CPU build of torch is known."""
    held = LOCK.read_text(encoding="utf-8") if LOCK.exists() else ""
    _compile(LOCK, "--all-extras")
    compiled = LOCK.read_text(encoding="utf-8")
    try:
        LOCK.write_text(with_cpu_torch(compiled, held, cpu_builds(version_of_torch(compiled))), encoding="utf-8")
    except ValueError as error:
        LOCK.write_text(held, encoding="utf-8")
        sys.exit(str(error))
    # Without pyproject.toml's own words on torch, which are those of its CPU builds.
    extras = [word for extra in SHIPPED for word in ("--extra", extra)]
    _compile(CUDA_LOCK, "--no-config", *extras, "--constraint", LOCK.name)


def version_of_torch(lock: str) -> str:
    """The version of torch that a lock names; raises ValueError where it names none with hashes."""
    if found := TORCH.search(lock):
        return found["version"]
    raise ValueError("the lock names no torch with hashes")


def with_cpu_torch(compiled: str, held: str, found: set[str]) -> str:
    """The lock `compiled` with the hashes of torch's CPU builds: those of the lock `held`, and those `found` now.

    The public index's builds for Linux need CUDA libraries, which this lock leaves out. Raises ValueError where there
    is no hash for this version.
    """
    version, before = version_of_torch(compiled), TORCH.search(held)
    hashes = found | (set(_hashes(before["hashes"])) if before and before["version"] == version else set())
    if not hashes:
        raise ValueError(
            f"pip finds no torch {version}+cpu, and requirements.lock has no hash of one: "
            "name an index that has it in PIP_EXTRA_INDEX_URL, then say make lock"
        )
    lines = "".join(f" \\\n    --hash=sha256:{each}" for each in sorted(hashes))
    return TORCH.sub(lambda _: f"torch=={version}{lines}", compiled)


def cpu_builds(version: str) -> set[str]:
    """The SHA-256 of each CPU build of torch that pip finds for this machine and the Pythons of the project."""
    found = set()
    for python in PYTHONS:
        with TemporaryDirectory() as folder:
            report = Path(folder) / "report.json"
            wanted = ["--python-version", python, "--target", folder, "--only-binary", ":all:", f"torch=={version}+cpu"]
            options = ["--quiet", "--quiet", "--dry-run", "--no-deps", "--ignore-installed", "--report", str(report)]
            command = [sys.executable, "-m", "pip", "install", *options, *wanted]
            if subprocess.run(command, check=False, capture_output=True).returncode == 0:
                (build,) = json.loads(report.read_text(encoding="utf-8"))["install"]
                found.add(build["download_info"]["archive_info"]["hashes"]["sha256"])
    return found


def _compile(lock: Path, *options: str) -> None:
    same = ["--python-version", OLDEST, "--no-annotate", "--generate-hashes", "--custom-compile-command", "make lock"]
    command = [sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", "--quiet", *same, *options]
    subprocess.run([*command, "--output-file", lock.name], check=True, cwd=ROOT)


def _hashes(block: str) -> list[str]:
    return re.findall(r"sha256:([0-9a-f]{64})", block)


if __name__ == "__main__":
    main()
