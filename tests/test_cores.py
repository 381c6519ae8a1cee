"""The number of cores: what affinity and cgroups say of made-up trees of both versions, and of a real cgroup."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from skygen.cores import cores
from skygen.workers import processes

ROOT = Path(__file__).parents[1]
V2 = "36 25 0:31 {root} {mounted} rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate"
V1 = "37 25 0:32 {root} {mounted} rw,nosuid - cgroup cgroup rw,cpu,cpuacct"
OTHER = "38 25 0:33 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory"


@pytest.fixture
def sixteen(monkeypatch):
    """Sixteen cores by affinity."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(16)))


@pytest.fixture
def process(tmp_path, sixteen):
    """A function: the folder of a process in `own`, where `mount` shows cgroups with these files (path → content)."""

    def make(mount, own, files, root="/"):
        mounted, proc = tmp_path / "cgroup", tmp_path / "proc"
        proc.mkdir()
        (proc / "mountinfo").write_text(f"{OTHER}\n{mount.format(root=root, mounted=mounted)}\n")
        (proc / "cgroup").write_text(own)
        for name, content in files.items():
            (mounted / name).parent.mkdir(parents=True, exist_ok=True)
            (mounted / name).write_text(f"{content}\n")
        return proc

    return make


@pytest.mark.parametrize(
    ("own", "files", "count"),
    [
        ("0::/\n", {"cpu.max": "200000 100000"}, 2),
        ("0::/\n", {"cpu.max": "150000 100000"}, 2),
        ("0::/\n", {"cpu.max": "10000 100000"}, 1),
        ("0::/\n", {"cpu.max": "25000 10000"}, 3),
        ("0::/\n", {"cpu.max": "max 100000"}, 16),
        ("0::/\n", {"cpu.max": "6400000 100000"}, 16),
        ("0::/\n", {}, 16),
        ("0::/\n", {"cpu.max": ""}, 16),
        ("0::/a/b\n", {"cpu.max": "max 100000", "a/cpu.max": "300000 100000", "a/b/cpu.max": "max 100000"}, 3),
        ("0::/a/b\n", {"a/cpu.max": "800000 100000", "a/b/cpu.max": "400000 100000"}, 4),
        ("0::/a/b\n", {"a/cpu.max": "400000 100000", "a/b/cpu.max": "800000 100000"}, 4),
        ("0::/a/b:c\n", {"a/b:c/cpu.max": "500000 100000", "other/cpu.max": "100000 100000"}, 5),
    ],
)
def test_the_lowest_limit_on_the_way_to_the_root_counts(process, own, files, count):
    assert cores(process(V2, own, files)) == count


@pytest.mark.parametrize(
    ("own", "quotas", "count"),
    [("/", {"": 250_000}, 3), ("/", {"": -1}, 16), ("/a/b", {"": -1, "a/": 200_000, "a/b/": -1}, 2), ("/gone", {}, 16)],
)
def test_version_1_has_its_own_files(process, own, quotas, count):
    files = {f"{place}cpu.cfs_quota_us": str(quota) for place, quota in quotas.items()}
    files |= {f"{place}cpu.cfs_period_us": "100000" for place in quotas}
    groups = f"9:memory:/elsewhere\n4:cpu,cpuacct:{own}\n0::/elsewhere\n"
    assert cores(process(V1, groups, files)) == count


def test_a_container_sees_its_own_cgroup_as_the_root(process):
    """Its path is told from the machine's root, but what is mounted begins at the container's."""
    groups = "4:cpu,cpuacct:/docker/0123/inner\n"
    files = {"cpu.cfs_quota_us": "300000", "cpu.cfs_period_us": "100000"}
    assert cores(process(V1, groups, files, root="/docker/0123")) == 3


def test_affinity_counts_where_it_is_lower_and_alone_without_cgroups(process, tmp_path, monkeypatch):
    proc = process(V2, "0::/\n", {"cpu.max": "400000 100000"})
    assert cores(tmp_path / "nothing") == 16
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {5})
    assert cores(proc) == 1


@pytest.fixture
def half_a_core():
    """A real cgroup that allows half a core: its folder."""
    for parent, name, content in (
        ("/sys/fs/cgroup", "cpu.max", "50000 100000"),
        ("/sys/fs/cgroup/cpu", "cpu.cfs_quota_us", "50000"),
    ):
        group = Path(parent) / f"skygen-test-{os.getpid()}"
        try:
            (group.parent / "cgroup.procs").stat()  # or it would be a folder like any other
            group.mkdir()
            (group / name).write_text(content)
        except OSError:
            if group.is_dir():
                group.rmdir()
            continue
        yield group
        for _ in range(100):  # a process that has ended is gone from its cgroup a little later
            try:
                return group.rmdir()
            except OSError:
                time.sleep(0.1)
    pytest.skip("no cgroup can be made here")


def test_a_process_in_a_real_cgroup_keeps_to_its_limit(half_a_core):
    """Its processes, and torch's threads in a training, though affinity and OMP_NUM_THREADS allow more."""
    code = (
        "import os, sys; from pathlib import Path; Path(sys.argv[1], 'cgroup.procs').write_text(str(os.getpid())); "
        "import torch; from skygen.cores import keep_to_cores; from skygen.workers import processes; "
        "keep_to_cores(); print(processes(), torch.get_num_threads())"
    )
    environment = {name: value for name, value in os.environ.items() if name != "SKYGEN_PROCESSES"}
    run = subprocess.run(
        [sys.executable, "-c", code, str(half_a_core)],
        env={**environment, "OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stdout == "1 1\n", run.stderr


def test_torch_keeps_to_fewer_threads_where_those_were_asked_for():
    code = "import torch; from skygen.cores import keep_to_cores; keep_to_cores(); print(torch.get_num_threads())"
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == "1\n"


def test_processes_are_as_many_as_the_cores(monkeypatch):
    monkeypatch.setattr("skygen.workers.cores", lambda: 7)
    monkeypatch.delenv("SKYGEN_PROCESSES")
    assert processes() == 7


@pytest.mark.parametrize("folder", ["src", "pipelines"])
def test_nobody_else_counts_cores(folder):
    """Each that did would forget a container's limit."""
    found = {
        path.name for path in (ROOT / folder).rglob("*.py") if re.search(r"cpu_count|getaffinity", path.read_text())
    }
    assert found - {"cores.py"} == set()
