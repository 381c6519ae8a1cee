"""How many cores this process may use, by the affinity of its threads and the CPU limit of its cgroups; and fewer."""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def cores(process: Path = Path("/proc/self")) -> int:
    """The cores that may be used at once, 1 or more: those of the affinity, or fewer where a cgroup's limit is lower.

    A limit (`cpu.max` of cgroups version 2, `cpu.cfs_quota_us` of version 1) holds for all that lies below it, so that
    the lowest counts on the way from the cgroup of `process` up to the root that is mounted here. One of 1.5 cores
    allows 2. Where there are no cgroups the affinity alone counts; where there is no affinity, the machine's cores.
    """
    ours = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min([ours, *map(_limit, _cgroups(process))])))


def keep_to_cores() -> None:
    """Let torch compute on no more threads than `cores`: by itself it follows affinity and `OMP_NUM_THREADS` alone."""
    import torch

    torch.set_num_threads(min(torch.get_num_threads(), cores()))


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread, for calls from this thread alone: with more, last bits would depend on the machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _cgroups(process: Path) -> Iterator[Path]:
    """The folders of the cgroups that may bound the CPU of `process`: its own, and those above it."""
    try:
        mounts, groups = ((process / name).read_text(errors="replace").splitlines() for name in ("mountinfo", "cgroup"))
    except OSError:
        return
    own = {kind: path for line in groups for _, kinds, path in [line.split(":", 2)] for kind in kinds.split(",")}
    for line in mounts:  # proc(5)
        before, after = line.split(" - ", 1)
        root, mounted = before.split(" ")[3:5]
        version, _, options = after.split(" ", 2)
        controller = {"cgroup": "cpu", "cgroup2": ""}.get(version)
        if controller in own and controller in {"", *options.split(",")}:
            # In a container the mount may begin at the process's cgroup, whose path is told from the machine's root.
            inside = Path(os.path.relpath(own[controller], root))
            for folder in (inside, *inside.parents):
                yield Path(mounted) / folder


def _limit(cgroup: Path) -> float:
    """How many cores a cgroup may use, as a number; infinity where it says nothing of them."""
    for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
        try:
            quota, period = " ".join((cgroup / name).read_text() for name in names).split()
            return int(quota) / int(period) if int(quota) > 0 else math.inf
        except (OSError, ValueError, ZeroDivisionError):  # no such file, or "max"
            continue
    return math.inf
