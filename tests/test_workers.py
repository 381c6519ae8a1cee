import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import psutil
import pytest

from skygen.cores import cores
from skygen.sky.frame import FrameError
from skygen.workers import WAITING_A_WORKER, WorkersError, processes, work_on


def square(number):
    return number**2


def square_slowly(number):
    time.sleep(0.3 if number % 4 == 0 else 0)
    return number**2


def refuse(number):
    if number == 3:
        raise FrameError(Path("frame-r.fits"), "it is the third", "leave it")
    return number


def note(folder, number):
    (folder / str(number)).touch()
    return os.getpid()


def kill_once(folder, number):
    """Killed at its first try, as a worker that runs out of memory is."""
    if number == 5:
        try:
            (folder / "killed").touch(exist_ok=False)
        except FileExistsError:
            return number**2
        os.kill(os.getpid(), signal.SIGKILL)
    return number**2


def kill(number):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture
def two_processes(monkeypatch):
    monkeypatch.setenv("SKYGEN_PROCESSES", "2")


@pytest.fixture(params=["one process", "two processes", "a scheduler"])
def scheduler(request, monkeypatch):
    """What `work_on` takes, for each of the ways to work."""
    monkeypatch.setenv("SKYGEN_PROCESSES", "1" if request.param == "one process" else "2")
    return request.getfixturevalue("cluster") if request.param == "a scheduler" else None


def done(items, work, scheduler=None):
    return list(work_on(items, work, scheduler, "working", "item"))


def test_results_come_in_the_order_of_the_items(scheduler):
    assert done(range(12), square_slowly, scheduler) == [number**2 for number in range(12)]
    assert done([], square, scheduler) == []


def test_what_the_work_raises_is_raised_here(scheduler):
    results = work_on(range(9), refuse, scheduler, "working", "item")
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(FrameError, match=r"frame-r\.fits: it is the third; leave it") as caught:
        next(results)
    assert caught.value.remedy == "leave it"


def test_few_items_are_handed_out_before_their_results_are_taken(tmp_path, scheduler):
    results = work_on(range(60), partial(note, tmp_path), scheduler, "working", "item")
    next(results)
    time.sleep(1)
    assert 1 <= len(list(tmp_path.iterdir())) <= 2 * WAITING_A_WORKER + 1
    assert len(list(results)) == len(list(tmp_path.iterdir())) - 1 == 59


def test_an_iterator_that_is_left_ends_its_processes(tmp_path, two_processes):
    results = work_on(range(60), partial(note, tmp_path), None, "working", "item")
    worker = psutil.Process(next(results))
    results.close()
    assert not worker.is_running()
    assert len(list(tmp_path.iterdir())) <= 2 * WAITING_A_WORKER + 1


def test_two_processes_share_the_work_and_one_item_needs_none(tmp_path, two_processes):
    assert os.getpid() not in done(range(8), partial(note, tmp_path))
    assert done([0], partial(note, tmp_path)) == [os.getpid()]


@pytest.mark.parametrize(("value", "count"), [("1", 1), ("2", 2), ("64", 64), (None, cores()), ("", cores())])
def test_the_number_of_processes_is_what_the_environment_says_or_the_cores(monkeypatch, value, count):
    monkeypatch.delenv("SKYGEN_PROCESSES")
    if value is not None:
        monkeypatch.setenv("SKYGEN_PROCESSES", value)
    assert processes() == count


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5", " ", "²"])
def test_a_number_of_processes_that_is_none_is_refused(monkeypatch, value):
    monkeypatch.setenv("SKYGEN_PROCESSES", value)
    with pytest.raises(WorkersError, match=r"SKYGEN_PROCESSES is .*; it must be a whole number, 1 or more"):
        done(range(2), square)


def test_a_killed_process_is_said_to_be(two_processes):
    with pytest.raises(WorkersError, match="a worker process was killed, most often for want of memory; run again"):
        done(range(4), kill)


def test_processes_end_with_the_one_that_started_them(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from functools import partial; "
        "from tests.test_workers import note; from skygen.workers import work_on; "
        "results = work_on(range(9), partial(note, Path(sys.argv[1])), None, 'x', 'x'); next(results); "
        "print('ready', flush=True); time.sleep(60)"
    )
    root = Path(__file__).parents[1]
    environment = {**os.environ, "SKYGEN_PROCESSES": "2", "PYTHONPATH": str(root)}
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], env=environment, cwd=root, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout.readline() == "ready\n"
        children = psutil.Process(parent.pid).children(recursive=True)
        assert len(children) >= 2
        parent.kill()
    _, alive = psutil.wait_procs(children, timeout=20)
    assert alive == []


def test_a_worker_of_a_scheduler_that_is_killed_changes_nothing(tmp_path, cluster):
    assert done(range(12), partial(kill_once, tmp_path), cluster) == [number**2 for number in range(12)]
    assert (tmp_path / "killed").exists()


def test_work_that_kills_every_worker_of_a_scheduler_is_said_to(cluster):
    with pytest.raises(WorkersError, match=r"the workers of tcp://.* were lost"):
        done([1], kill, cluster)


def test_where_no_scheduler_answers_is_said(monkeypatch):
    monkeypatch.setattr("skygen.workers.SCHEDULER_TIMEOUT_S", 1)
    with pytest.raises(WorkersError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:1 .*start one there"):
        done(range(2), square, "tcp://127.0.0.1:1")
    with pytest.raises(WorkersError, match="no Dask scheduler answers at nonsense://x"):
        done(range(2), square, "nonsense://x")


def test_a_scheduler_without_workers_is_said_to_have_none(tmp_path, monkeypatch):
    monkeypatch.setattr("skygen.workers.SCHEDULER_TIMEOUT_S", 5)
    place = tmp_path / "scheduler.json"
    arguments = ["--host", "tcp://127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(place)]
    with subprocess.Popen([sys.executable, "-m", "dask", "scheduler", *arguments], stderr=subprocess.DEVNULL) as alone:
        try:
            while not place.is_file():
                assert alone.poll() is None
                time.sleep(0.1)
            address = json.loads(place.read_text())["address"]
            with pytest.raises(WorkersError, match=r"has no workers; start some with `dask worker --nthreads 1 tcp://"):
                done(range(2), square, address)
        finally:  # or a failure would wait for it for ever
            alone.terminate()
