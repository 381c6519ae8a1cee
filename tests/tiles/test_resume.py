"""A tile set made in spite of kills, a full disk and lost workers: the same bytes as by an undisturbed run."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from distributed import Client
from PIL import Image
from ruamel.yaml import YAML

from pipelines.tiles import main
from skygen.files import sha256_folder
from skygen.params import load
from skygen.sky.field import FieldId
from skygen.sky.frame import SHAPE
from skygen.tiles.build import build_tile_set
from skygen.tiles.store import TileStore

ROOT = Path(__file__).parents[2]
FIELDS = [FieldId(94, 1, number) for number in range(12, 20)]
SHARDS = 8  # one a field: each training field gives 667 tiles, each held-out one up to 736


@pytest.fixture(scope="module")
def frames(tmp_path_factory, write_frames):
    """Whole frames of eight fields in r."""
    folder = tmp_path_factory.mktemp("whole") / "frames"
    return write_frames(folder, [(field, "r") for field in FIELDS], stars=400, shape=SHAPE)


@pytest.fixture
def project(tmp_path, frames):
    """A folder like the project's, with the frames and a params.yaml of which a test may change values."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "frames").symlink_to(frames)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    set_param(tmp_path, "tiles", "r64", "dtype", value="float32")
    return tmp_path


def set_param(project, *keys, value):
    yaml, path = YAML(), project / "params.yaml"
    content = yaml.load(path)
    section = content
    for key in keys[:-1]:
        section = section[key]
    section[keys[-1]] = value
    yaml.dump(content, path)


def set_seeds(project, seed):
    """Let all tile sets, which hold out the same fields, have `seed`."""
    for name in load(project / "params.yaml").tiles.sets:
        set_param(project, "tiles", name, "seed", value=seed)


def start(project, code="", processes=1):
    """The stage tiles@r64 in `project`, as a process."""
    code += "; from pipelines.tiles import main; main('r64')"
    environment = {**os.environ, "SKYGEN_PROCESSES": str(processes), "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", code.lstrip("; ")],
        cwd=project,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(project):
    """How the stage ends in this process: with None, or with what it says."""
    with contextlib.chdir(project):
        try:
            main("r64")
        except SystemExit as ended:
            return ended.code
    return None


def wait_for(condition, process=None):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        assert process is None or process.poll() is None, process.communicate()[1]
        time.sleep(0.002)


def parts(folder):
    return sorted(folder.glob(".r64.*.part/[a-z]*.part.parquet"))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, params, frames):
    """The hash of the store that `project` asks for, made in this process."""
    folder, asked = tmp_path_factory.mktemp("undisturbed") / "r64", params.tiles["r64"]
    asked = asked.model_copy(update={"dtype": "float32"})
    build_tile_set(frames, folder, "r64", asked, params.chosen.tiles["r64"])
    return sha256_folder(folder)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_run_that_was_killed_goes_on_to_the_same_bytes(project, undisturbed, processes):
    tiles = project / "data" / "tiles"
    process = start(project, processes=processes)
    wait_for(lambda: len(parts(tiles)) >= 2, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    finished = parts(tiles)
    assert process.returncode == -signal.SIGKILL
    assert 2 <= len(finished) < SHARDS
    assert not (tiles / "r64").exists()
    made = {path.name.removesuffix(".part.parquet"): shard_of(path).stat().st_ino for path in finished}
    (finished[0].parent / ".leftover.npy").write_bytes(b"half a shard")

    assert run(project) is None
    assert sha256_folder(tiles / "r64") == undisturbed
    assert {name: (tiles / "r64" / f"{name}.npy").stat().st_ino for name in made} == made  # not made again
    assert [path.name for path in tiles.iterdir()] == ["r64"]
    reports = project / "reports" / "tiles"
    assert (reports / "r64.csv").read_text().count("\n") == 1 + len(FIELDS)
    with Image.open(reports / "r64.png") as panel:
        assert panel.size == (12 * 66 - 2, 8 * 66 - 2)


def shard_of(part):
    return part.with_name(part.name.replace(".part.parquet", ".npy"))


def test_other_parameters_do_not_go_on_with_what_was_left(project, undisturbed):
    tiles = project / "data" / "tiles"
    process = start(project)
    wait_for(lambda: parts(tiles), process)
    process.kill()
    process.communicate()
    set_seeds(project, 7)

    assert run(project) is None
    assert [path.name for path in tiles.iterdir()] == ["r64"]
    after_the_kill = sha256_folder(tiles / "r64")
    shutil.rmtree(tiles)
    assert run(project) is None
    assert sha256_folder(tiles / "r64") == after_the_kill != undisturbed


@pytest.mark.parametrize("other", [False, True])
def test_a_second_run_is_told_and_takes_nothing_from_the_first(project, undisturbed, other):
    """Neither what the first builds, where other parameters are asked for meanwhile, nor the store that it finished."""
    tiles = project / "data" / "tiles"
    first = start(project)
    wait_for(lambda: parts(tiles), first)
    first.send_signal(signal.SIGSTOP)  # it has its lock, and does not end before the second begins
    if other:
        set_seeds(project, 7)
    errors = run(project)
    first.send_signal(signal.SIGCONT)
    _, said = first.communicate(timeout=120)
    assert errors == (
        f"tiles r64: {tiles / 'r64'}: another run, process {first.pid}, is making it; "
        "wait until it ends, or end it, and run again"
    )
    assert first.returncode == 0, said
    assert sha256_folder(tiles / "r64") == undisturbed
    assert [path.name for path in tiles.iterdir()] == ["r64"]


def test_a_full_disk_leaves_the_former_store_and_says_so(project, undisturbed):
    tiles = project / "data" / "tiles"
    assert run(project) is None
    assert sha256_folder(tiles / "r64") == undisturbed
    set_seeds(project, 7)
    full = start(project, "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, 3_000_000))")
    _, errors = full.communicate(timeout=120)
    assert full.returncode == 1
    last = errors.strip().splitlines()[-1]
    assert last.startswith("tiles r64: no room to write in data/tiles (File too large); make some")
    assert "Traceback" not in errors
    assert sha256_folder(tiles / "r64") == undisturbed
    assert TileStore.open(tiles / "r64").split("train").array().size
    assert run(project) is None
    assert sha256_folder(tiles / "r64") != undisturbed
    assert [path.name for path in tiles.iterdir()] == ["r64"]


def build_over(cluster, project, frames):
    params = load(project / "params.yaml")
    folder = project / "data" / "tiles" / "r64"
    return build_tile_set(frames, folder, "r64", params.tiles["r64"], params.chosen.tiles["r64"], cluster)


def test_the_workers_of_a_scheduler_make_the_same_bytes(project, frames, undisturbed, cluster):
    build_over(cluster, project, frames)

    assert sha256_folder(project / "data" / "tiles" / "r64") == undisturbed


def test_a_worker_that_is_killed_in_mid_run_changes_nothing(project, frames, undisturbed, cluster):
    with Client(cluster, set_as_default=False) as client:
        workers = client.run(os.getpid)
    tiles = project / "data" / "tiles"
    building = threading.Thread(target=build_over, args=(cluster, project, frames))
    building.start()
    wait_for(lambda: parts(tiles))
    psutil.Process(next(iter(workers.values()))).kill()
    killed_in_mid_run = len(parts(tiles)) < SHARDS
    building.join(120)

    assert killed_in_mid_run
    assert sha256_folder(tiles / "r64") == undisturbed
    assert [path.name for path in tiles.iterdir()] == ["r64"]
