"""The two locks: each pin has hashes, they agree with each other, and each has its own build of torch."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools import locks

ENTRY = re.compile(r"^(\S+)==(\S+)((?: \\\n +--hash=sha256:[0-9a-f]{64})*)$", re.MULTILINE)
OLD, NEW = "a" * 64, "b" * 64


def entries(lock: Path) -> dict[str, tuple[str, set[str]]]:
    """Versions and hashes of a lock, by name."""
    text = lock.read_text(encoding="utf-8")
    return {name: (version, set(re.findall(r"[0-9a-f]{64}", hashes))) for name, version, hashes in ENTRY.findall(text)}


@pytest.mark.parametrize("lock", [locks.LOCK, locks.CUDA_LOCK], ids=lambda path: path.name)
def test_a_lock_has_nothing_but_pins_with_hashes(lock):
    rest = ENTRY.sub("", lock.read_text(encoding="utf-8")).splitlines()
    assert [line for line in rest if line and not line.startswith("#")] == []
    assert [name for name, (_, hashes) in entries(lock).items() if not hashes] == []
    assert len(entries(lock)) > 100


def test_the_locks_agree_and_differ_in_what_cuda_needs():
    every, cuda = entries(locks.LOCK), entries(locks.CUDA_LOCK)
    assert {name: pin[0] for name, pin in cuda.items() if name in every and every[name][0] != pin[0]} == {}
    alone = cuda.keys() - every.keys()
    assert {"triton", "nvidia-cudnn-cu13"} <= alone
    assert [name for name in alone if not name.startswith(("cuda-", "nvidia-")) and name != "triton"] == []
    assert not cuda.keys() & {"pytest", "ruff", "mypy", "zizmor", "openvino", "sphinx"}
    assert not every["torch"][1] & cuda["torch"][1], "requirements.lock lets in a build that needs CUDA"


def test_what_is_shipped_is_in_the_cuda_lock():
    project = tomllib.loads((locks.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needs = [need for extra in locks.SHIPPED for need in project["optional-dependencies"][extra]]
    cuda = entries(locks.CUDA_LOCK)
    needed = {canonicalize_name(Requirement(need).name) for need in [*project["dependencies"], *needs]}
    assert needed - cuda.keys() == set()


def lock(version: str, *hashes: str) -> str:
    """A lock of three pins."""
    lines = [f"torch=={version}", *(f"    --hash=sha256:{each}" for each in hashes)]
    other = f"\n    --hash=sha256:{'c' * 64}\n".join(["{}==1 \\"] * 2 + [""])
    return other.format("tifffile", "torchmetrics").replace("torchmetrics", " \\\n".join(lines) + "\ntorchmetrics")


@pytest.mark.parametrize(
    ("held", "found", "kept"),
    [
        (lock("2.0", OLD), {NEW}, [OLD, NEW]),
        (lock("2.0", OLD), set(), [OLD]),
        (lock("1.0", OLD), {NEW}, [NEW]),
        ("", {NEW}, [NEW]),
    ],
)
def test_hashes_of_the_public_index_give_way_to_those_of_the_cpu_builds(held, found, kept):
    compiled = lock("2.0", "d" * 64, "e" * 64)
    assert locks.with_cpu_torch(compiled, held, found) == lock("2.0", *kept)


@pytest.mark.parametrize("held", [lock("1.0", OLD), ""])
def test_a_torch_without_a_known_cpu_build_is_refused(held):
    with pytest.raises(ValueError, match=r"pip finds no torch 2\.0\+cpu.*PIP_EXTRA_INDEX_URL"):
        locks.with_cpu_torch(lock("2.0", "d" * 64), held, set())
