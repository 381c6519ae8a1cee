"""Where a result comes from: commit, versions and the device it ran on."""

import os
import subprocess
from importlib import metadata

import torch

PACKAGES = ("skygen", "torch", "numpy")


def git_commit() -> str:
    """The commit of the working tree, with `-dirty` where tracked files differ from it.

    `dvc.lock` does not count: DVC itself rewrites it between two stages. Outside git it is what the environment
    variable `SKYGEN_COMMIT` says, which images carry; `unknown` without it.
    """
    try:
        commit = _git("rev-parse", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", ":/", ":(exclude,top)dvc.lock")
    except (OSError, subprocess.CalledProcessError):
        return os.environ.get("SKYGEN_COMMIT") or "unknown"
    return f"{commit}-dirty" if changed else commit


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout.strip()


def versions() -> dict[str, str]:
    """The versions of the packages that decide what a generator computes."""
    return {name: metadata.version(name) for name in PACKAGES}


def choose_device() -> torch.device:
    """The device that `SKYGEN_DEVICE` names: `cpu`, `cuda`, or `auto` (the default: a GPU where there is one).

    Raises `ValueError` for another value, or for `cuda` where torch sees no GPU.
    """
    wanted = os.environ.get("SKYGEN_DEVICE") or "auto"
    if wanted not in ("auto", "cpu", "cuda"):
        raise ValueError(f"SKYGEN_DEVICE is {wanted!r}; it must be auto, cpu or cuda")
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ValueError("SKYGEN_DEVICE is cuda, but torch sees no GPU; unset it, or set it to cpu")
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(wanted)


def device_name(device: torch.device) -> str:
    """The device in words, such as `cpu` or the GPU's product name."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
