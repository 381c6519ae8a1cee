"""Frames by field and band from a real HTTP server: what is kept, reported, resumed by another process, and asked."""

import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from skygen.locks import alone
from skygen.sky.archive.download import LOCK, STRIKES, SurveyError, UnreachableError, download_frames
from skygen.sky.archive.sums import SUMS
from skygen.sky.archive.transfer import memo_of, part_of
from skygen.sky.field import FieldId, frame_name
from tests.sky.archive.survey_server import CONTENT, FIELD, NAME, URL, cut, frame_path, small_frame, stall, status

ROOT = Path(__file__).parents[3]
REAL = ROOT.parent / "shared" / "sdss"
PAUSE_S = 0.001


def test_frames_arrive_where_the_survey_has_them_with_their_hashes(server, fetch, tmp_path):
    fields = [FieldId(94, 1, 12), FieldId(1035, 6, 17)]
    names = [frame_name(band, field) for field in fields for band in "gr"]
    server.files = {frame_path(name): small_frame(seed, 8) for seed, name in enumerate(names)}
    paths, missing = fetch(fields, "gr")
    assert missing == []
    assert paths == [tmp_path / "downloads" / frame_path(name)[1:] for name in names]
    assert [path.read_bytes() for path in paths] == [server.files[frame_path(name)] for name in names]
    left = {path.name for path in (tmp_path / "downloads").rglob("*") if path.is_file()}
    assert left == {*names, SUMS}
    checked = subprocess.check_output(["sha256sum", "--check", SUMS], cwd=tmp_path / "downloads", text=True)
    assert checked.count(": OK") == 4


@pytest.mark.skipif(not REAL.is_dir(), reason="the real frames are not here")
def test_a_real_frame_arrives_bit_for_bit_over_a_cut_line(server, fetch):
    content = server.files[URL] = (REAL / NAME).read_bytes()
    server.faults[URL].append(cut(2_000_000))
    (path,), _ = fetch()
    recorded = dict(line.split()[::-1] for line in (REAL / "SHA256SUMS").read_text().splitlines())
    assert hashlib.sha256(path.read_bytes()).hexdigest() == recorded[NAME]
    assert server.sent[URL] == len(content)


def test_a_second_run_asks_nothing_and_leaves_everything(server, fetch):
    (path,), _ = fetch()
    before = path.stat()
    server.requests.clear()
    assert fetch() == ([path], [])
    assert server.requests == []
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


@pytest.mark.parametrize("recorded", [True, False])
def test_a_file_that_changed_on_disk_is_fetched_again(server, fetch, recorded):
    (path,), _ = fetch()
    path.write_bytes(CONTENT[:-1])
    if not recorded:
        (path.parents[4] / SUMS).unlink()
    assert fetch() == ([path], [])
    assert path.read_bytes() == CONTENT


def test_a_finished_file_that_was_not_recorded_is_kept_and_recorded(server, fetch):
    (path,), _ = fetch()
    sums = path.parents[4] / SUMS
    written = sums.read_text()
    sums.write_text("torn")
    server.requests.clear()
    fetch()
    assert server.requests == []
    assert sums.read_text() == written


@pytest.mark.parametrize("code", [404, 410, 403])
def test_a_file_that_the_server_will_not_give_is_reported_at_once(server, fetch, code):
    server.faults[URL] += [status(code)] * 9
    paths, (missing,) = fetch()
    assert paths == []
    assert f"HTTP {code}" in missing.cause
    assert len(server.requests) == 1


def test_many_absent_files_do_not_stop_the_run(server, fetch):
    absent = [FieldId(94, 2, number) for number in range(STRIKES + 2)]
    paths, missing = fetch([*absent, FIELD], connections=1)
    assert [file.field_id for file in missing] == absent
    assert [path.name for path in paths] == [NAME]


def test_failure_after_failure_stops_the_run(server, fetch):
    fields = server.add(2 * STRIKES)
    for field in fields:
        server.faults[frame_path(frame_name("r", field))] += [status(503)] * 9
    with pytest.raises(SurveyError, match=f"{STRIKES} files in a row .* HTTP 503; try later"):
        fetch(fields, attempts=1, connections=1)
    assert len(server.requests) == STRIKES


def test_no_connection_is_told_from_a_server_that_fails(server, params, tmp_path):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        survey = params.frames.sdss.model_copy(
            update={"frames_url": f"http://127.0.0.1:{closed.getsockname()[1]}", "attempts": 2}
        )
        with pytest.raises(UnreachableError, match=r"no connection to http://127\.0\.0\.1.*frames\.sdss.*run again"):
            download_frames(survey, [FIELD], ["r"], tmp_path, PAUSE_S)


@pytest.mark.parametrize("value", ["localhost,127.0.0.1,::1,[::1]", "fe80::/10,127.0.0.0/8"])
def test_odd_exceptions_from_proxies_do_no_harm(server, fetch, monkeypatch, value):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", value)
    assert fetch()[1] == []


@pytest.mark.parametrize(
    ("proxy", "error", "sentence"),
    [
        (
            "http://ann:s3cret@127.0.0.1:9",
            UnreachableError,
            "through the proxy http://127.0.0.1:9 that HTTP_PROXY names",
        ),
        ("socks4://127.0.0.1:9", SurveyError, "the proxy socks4://127.0.0.1:9 that HTTP_PROXY names is none"),
    ],
)
def test_a_proxy_that_is_at_fault_is_named(server, fetch, monkeypatch, proxy, error, sentence):
    for name in ("http_proxy", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", proxy)
    with pytest.raises(error, match=sentence):
        fetch()


def test_failures_between_files_that_arrive_do_not_stop_the_run(server, fetch):
    fields = server.add(2 * STRIKES + 2)
    for field in fields[::2]:
        server.faults[frame_path(frame_name("r", field))] += [status(503)] * 9
    paths, missing = fetch(fields, attempts=1, connections=1)
    assert [file.field_id for file in missing] == fields[::2]
    assert len(paths) == len(fields[1::2])


@pytest.mark.parametrize("address", ["ftp://data.sdss.org/", "data.sdss.org", "", "https://", "http://[::1"])
def test_an_address_that_is_none_is_refused_before_anything_is_asked(params, tmp_path, address):
    survey = params.frames.sdss.model_copy(update={"frames_url": address})
    with pytest.raises(SurveyError, match=r"frames\.sdss\.frames_url"):
        download_frames(survey, [FIELD], ["r"], tmp_path, PAUSE_S)
    assert list(tmp_path.iterdir()) == []


def test_no_more_connections_than_asked_for(server, fetch):
    fields = server.add(12)
    together = threading.Barrier(3, timeout=5)  # breaks unless three are served at once
    under_way, most, lock = 0, 0, threading.Lock()

    def count(handler, content):
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        together.wait()
        with lock:
            under_way -= 1
        handler.file(content)

    for field in fields:
        server.faults[frame_path(frame_name("r", field))].append(count)
    paths, _ = fetch(fields, connections=3)
    assert len(paths) == 12
    assert most == 3


def test_no_thread_is_left(server, fetch):
    fields = server.add(5)
    server.faults[URL].append(status(404))
    before = set(threading.enumerate())
    fetch([FIELD, *fields])
    left = [thread.name for thread in threading.enumerate() if thread not in before]
    assert [name for name in left if "process_request_thread" not in name] == []  # those are the server's own


def test_one_bar_tells_bytes_files_and_time_left(server, fetch, capsys):
    fields = server.add(3)
    server.faults[URL].append(cut(100_000))
    fetch([FIELD, *fields])
    last = capsys.readouterr().err.split("\r")[-1]
    assert "downloading: 100%" in last
    assert "4 of 4 files" in last
    total_kib = sum(server.sent.values()) / 1024
    assert f"{total_kib:.0f}k/{total_kib:.0f}k" in last


PROGRAM = """
import os, resource, signal, sys, threading, time
from pathlib import Path
from skygen.params import load
from skygen.sky.archive.download import SurveyError, download_frames
from skygen.sky.field import FieldId
root, url, folder, limit, *fields = sys.argv[1:]
if int(limit):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
if os.environ.get("SIGNALS_TO") == "another thread":
    threading.Thread(target=time.sleep, args=[600], daemon=True).start()
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
survey = load(Path(root) / "params.yaml").frames.sdss.model_copy(update={"frames_url": url, "connections": 1})
try:
    download_frames(survey, [FieldId.parse(field) for field in fields], ["r"], Path(folder), 0.001)
except SurveyError as error:
    sys.exit(f"frames: {error}")
"""


def start(server, folder, *fields, limit=0, **changes):
    """Another process that downloads."""
    command = [sys.executable, "-c", PROGRAM, ROOT, f"{server.url}/frames", folder, str(limit), *map(str, fields)]
    environment = {**os.environ, "NO_PROXY": "127.0.0.1", **changes}
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)


def wait_for(condition, process):
    for _ in range(3000):
        if condition():
            return
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    pytest.fail("it did not come about in 30 s")


@pytest.mark.parametrize(
    ("how", "to"), [(signal.SIGKILL, "it"), (signal.SIGINT, "it"), (signal.SIGINT, "another thread")]
)
def test_a_stopped_run_ends_at_once_and_is_gone_on_with_where_it_stopped(server, fetch, tmp_path, how, to):
    (done,) = server.add(1)
    folder = tmp_path / "downloads"
    server.faults[URL].append(stall(100_000))
    path = folder / URL[1:]
    with start(server, folder, done, FIELD, SIGNALS_TO=to) as process:
        wait_for(lambda: part_of(path).exists() and part_of(path).stat().st_size == 100_000, process)
        process.send_signal(how)
        said = process.communicate(timeout=8)[1]  # a read's time-out is 30 s
    assert process.returncode == -how
    assert ("download stopped: what has arrived is kept; run again to go on" in said) == (how == signal.SIGINT)
    assert (folder / SUMS).exists() == (how == signal.SIGINT)
    server.requests.clear()
    server.sent.clear()
    paths, missing = fetch([done, FIELD])
    assert missing == []
    assert paths[1].read_bytes() == CONTENT
    assert server.requests == [(URL, "bytes=100000-")]
    assert server.sent[URL] == len(CONTENT) - 100_000
    assert not part_of(path).exists()
    assert not memo_of(part_of(path)).exists()


def test_after_a_download_ctrl_c_is_heard_as_before(server, fetch):
    before = signal.getsignal(signal.SIGINT)
    fetch()
    assert signal.getsignal(signal.SIGINT) is before


def test_a_disk_that_takes_no_more_loses_nothing_that_was_finished(server, fetch, tmp_path):
    (done,) = server.add(1)
    folder = tmp_path / "downloads"
    with start(server, folder, done, FIELD, limit=150_000) as process:  # the system refuses to write beyond it
        said = process.communicate(timeout=90)[1]
    assert process.returncode == 1
    assert "File too large; see to the disk and run again: what has arrived is kept" in said
    assert "Traceback" not in said
    assert (folder / SUMS).read_text().count("\n") == 1
    server.requests.clear()
    paths, missing = fetch([done, FIELD])
    assert missing == []
    assert paths[1].read_bytes() == CONTENT
    assert server.requests == [(URL, "bytes=150000-")]


def test_a_run_waits_for_the_one_before_and_takes_over_what_it_fetched(server, tmp_path):
    path = tmp_path / URL[1:]
    with alone(tmp_path / LOCK, "downloads"):
        process = start(server, tmp_path, FIELD)
        said = f"{tmp_path}: another run, process {os.getpid()}, is making it: waiting for its end\n"
        assert process.stderr.readline() == said
        for _ in range(50):
            assert server.requests == []
            time.sleep(0.01)
        path.parent.mkdir(parents=True)
        path.write_bytes(CONTENT)
    process.communicate(timeout=90)
    assert process.returncode == 0
    assert server.requests == []


def test_fields_and_bands_asked_for_twice_are_fetched_once(server, fetch):
    paths, _ = fetch([FIELD, FIELD], ["r", "r"])
    assert len(paths) == len(server.requests) == 1
