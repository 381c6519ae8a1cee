import errno
import hashlib
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from skygen.files import (
    copy_folder,
    read_json,
    replace_folder,
    resume_folder,
    sha256_file,
    sha256_folder,
    write_atomically,
    write_json,
)


class StopError(Exception):
    pass


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_when_it_is_whole(tmp_path):
    target = tmp_path / "new" / "file.txt"
    with write_atomically(target) as temporary:
        temporary.write_text("half")
        assert not target.exists()
        temporary.write_text("whole")

    assert target.read_text() == "whole"
    assert names(target.parent) == ["file.txt"]
    assert target.stat().st_mode & 0o777 == 0o644


def test_a_write_that_fails_leaves_the_former_file_and_nothing_else(tmp_path):
    target = tmp_path / "file.txt"
    target.write_text("former")
    with pytest.raises(StopError), write_atomically(target) as temporary:
        temporary.write_text("half")
        raise StopError

    assert target.read_text() == "former"
    assert names(tmp_path) == ["file.txt"]


def test_a_folder_is_replaced_whole(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "old").write_text("1")
    with replace_folder(folder) as building:
        (building / "new").write_text("2")
        assert names(folder) == ["old"]

    assert names(folder) == ["new"]
    assert names(tmp_path) == ["out"]
    assert folder.stat().st_mode & 0o777 == 0o755


def test_a_folder_is_made_where_there_was_none(tmp_path):
    with replace_folder(tmp_path / "models" / "out") as building:
        (building / "new").write_text("2")

    assert names(tmp_path / "models") == ["out"]
    assert names(tmp_path / "models" / "out") == ["new"]


def test_a_replacement_that_fails_leaves_the_former_folder_and_nothing_else(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "old").write_text("1")
    with pytest.raises(StopError), replace_folder(folder) as building:
        (building / "new").write_text("2")
        raise StopError

    assert names(folder) == ["old"]
    assert names(tmp_path) == ["out"]


def test_json_comes_back(tmp_path):
    content = {"a": [1, 2.5, None, "ä"], "b": {"c": True}}
    write_json(tmp_path / "x.json", content)

    assert read_json(tmp_path / "x.json") == content


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_json_holds_no_number_that_it_cannot_say(tmp_path, value):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", [value])
    assert names(tmp_path) == []


@pytest.mark.parametrize("content", [b'{"a": ', b"", b"\xff\xff", b"NaN and more"])
def test_what_is_not_json_is_named(tmp_path, content):
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.json is not JSON"):
        read_json(tmp_path / "x.json")
    with pytest.raises(FileNotFoundError, match=r"y\.json"):
        read_json(tmp_path / "y.json")


def test_a_files_hash_is_that_of_its_bytes(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")

    assert sha256_file(tmp_path / "x") == hashlib.sha256(b"abc").hexdigest()


def test_a_folders_hash_knows_names_and_bytes_and_neither_place_nor_order(tmp_path):
    def folder(name, files):
        for file, content in files.items():
            path = tmp_path / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return sha256_folder(tmp_path / name)

    files = {"a": b"1", "sub/b": b"2"}
    first = folder("first", files)
    assert folder("second", dict(reversed(files.items()))) == first
    others = [
        {"a": b"1", "sub/b": b"3"},
        {"a": b"1", "sub/c": b"2"},
        {"a": b"1", "b": b"2"},
        {"a": b"2", "sub/b": b"1"},
        {"a": b"1"},
    ]
    assert len({first, *(folder(f"other{index}", content) for index, content in enumerate(others))}) == 6


def test_a_folder_takes_its_place_when_it_is_whole(tmp_path):
    folder = tmp_path / "made" / "out"
    for content in "12":
        with resume_folder(folder, "a" * 64) as building:
            assert names(building) == []
            (building / "new").write_text(content)
        assert (folder / "new").read_text() == content
        assert names(folder.parent) == ["out"]
    assert folder.stat().st_mode & 0o777 == 0o755


def stop_within(folder, key):
    with pytest.raises(StopError), resume_folder(folder, key) as building:
        (building / "done").write_text("1")
        raise StopError


def test_what_a_stopped_run_finished_is_found_again(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "old").write_text("1")
    stop_within(folder, "a" * 64)
    assert names(folder) == ["old"]
    with resume_folder(folder, "a" * 64) as building:
        assert names(building) == ["done"]
    assert names(folder) == ["done"]
    assert names(tmp_path) == ["out"]


def test_what_was_stopped_under_another_key_is_not_found(tmp_path):
    folder = tmp_path / "out"
    stop_within(folder, "a" * 64)
    stop_within(tmp_path / "other", "a" * 64)
    with resume_folder(folder, "b" * 64) as building:
        assert names(building) == []
    assert names(folder) == []
    assert len(names(tmp_path)) == 2  # that of another folder is not ours to remove


def test_a_folders_hash_can_be_that_of_some_files(tmp_path):
    (tmp_path / "code.py").write_text("1")
    (tmp_path / "code.pyc").write_text("2")
    whole, code = sha256_folder(tmp_path), sha256_folder(tmp_path, "*.py")
    (tmp_path / "code.pyc").write_text("3")

    assert sha256_folder(tmp_path, "*.py") == code
    assert sha256_folder(tmp_path) != whole


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_modes_follow_the_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        write_json(tmp_path / "x.json", 1)
        with replace_folder(tmp_path / "replaced"):
            pass
        with resume_folder(tmp_path / "resumed", "a" * 64):
            pass
    finally:
        os.umask(before)
    assert (tmp_path / "x.json").stat().st_mode & 0o777 == 0o666 & ~umask
    assert {(tmp_path / name).stat().st_mode & 0o777 for name in ("replaced", "resumed")} == {0o777 & ~umask}


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666, 0o444])
def test_a_file_keeps_its_mode(tmp_path, mode):
    write_json(tmp_path / "x.json", 1)
    (tmp_path / "x.json").chmod(mode)
    write_json(tmp_path / "x.json", 2)
    assert read_json(tmp_path / "x.json") == 2
    assert (tmp_path / "x.json").stat().st_mode & 0o777 == mode


def test_a_name_may_be_as_long_as_names_may_be(tmp_path):
    write_json(tmp_path / ("ä" * 125 + ".json"), 1)
    with replace_folder(tmp_path / ("x" * 255)):
        pass
    assert len(names(tmp_path)) == 2


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("make", [replace_folder, lambda folder: resume_folder(folder, "a" * 64)])
def test_of_a_linked_folder_the_target_is_replaced(tmp_path, make, there):
    """Data lie on a larger disk, often: no other file system is involved in a rename there."""
    far = tmp_path / "disk" / "out"
    if there:
        far.mkdir(parents=True)
        (far / "old").touch()
    (tmp_path / "out").symlink_to(far)
    with make(tmp_path / "out") as building:
        (building / "new").touch()
    assert (tmp_path / "out").is_symlink()
    assert names(far) == ["new"]
    assert names(far.parent) == ["out"]


WRITERS = {
    "file": "write_atomically(Path('out'))",
    "replaced": "replace_folder(Path('out'))",
    "resumed": "resume_folder(Path('out'), 'a' * 64)",
}


def writer(folder, what):
    """A process that writes `out` in `folder` until its input ends, and says when it has begun."""
    code = f"""
import sys
from pathlib import Path
from skygen.files import *
with {WRITERS[what]} as new:
    (new / "half" if new.is_dir() else new).write_text("half")
    print("begun", flush=True)
    sys.stdin.read()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return process, process.stdout.readline()


def killed(folder, what):
    process, begun = writer(folder, what)
    assert begun == "begun\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()


def remains(folder):
    return [name for name in names(folder) if name.startswith(".")]


@pytest.mark.parametrize("what", WRITERS)
def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path, what):
    killed(tmp_path, what)
    assert remains(tmp_path)
    process, _ = writer(tmp_path, what)
    process.communicate()
    assert process.returncode == 0
    assert names(tmp_path) == ["out"]


def test_what_living_runs_are_writing_stays(tmp_path):
    """Each appears whole, and the last that ends stands."""
    killed(tmp_path, "file")
    first, second = (writer(tmp_path, "file")[0] for _ in range(2))
    write_json(tmp_path / "out", "third")
    assert len(remains(tmp_path)) == 2
    for process in (second, first):
        process.communicate()
        assert process.returncode == 0
    assert (tmp_path / "out").read_text() == "half"
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("first", ["replaced", "resumed"])
@pytest.mark.parametrize("second", ["replaced", "resumed"])
def test_the_second_run_of_two_is_told_and_changes_nothing(tmp_path, first, second):
    one, _ = writer(tmp_path, first)
    two, begun = writer(tmp_path, second)
    assert begun == ""
    _, said = two.communicate()
    assert two.returncode == 1
    assert said.endswith(
        f"out: another run, process {one.pid}, is making it; wait until it ends, or end it, and run again\n"
    )
    one.communicate()
    assert one.returncode == 0
    assert names(tmp_path) == ["out"]
    assert names(tmp_path / "out") == ["half"]


@pytest.mark.parametrize("what", ["replaced", "resumed"])
def test_a_kill_frees_the_lock(tmp_path, what):
    killed(tmp_path, what)
    process, begun = writer(tmp_path, what)
    process.communicate()
    assert (begun, process.returncode) == ("begun\n", 0)


def test_who_would_rather_wait_waits(tmp_path):
    one, _ = writer(tmp_path, "replaced")
    code = "from pathlib import Path; from skygen.files import *\n"
    code += "with replace_folder(Path('out'), wait=True) as new: (new / 'second').touch()"
    two = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    assert two.stderr.readline() == f"out: another run, process {one.pid}, is making it: waiting for its end\n"
    assert two.poll() is None
    one.communicate()
    assert two.wait(30) == 0
    two.stderr.close()
    assert names(tmp_path / "out") == ["second"]
    assert names(tmp_path) == ["out"]


def test_temporaries_do_not_count_for_a_hash(tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "a").write_text("1")
    before = sha256_folder(tmp_path / "x")
    for what in ("file", "replaced"):
        killed(tmp_path / "x", what)
    assert sha256_folder(tmp_path / "x") == before


def test_a_copy_takes_the_place_of_what_was_there(tmp_path):
    for name, content in (("source", "new"), ("out", "old")):
        (tmp_path / name / "sub").mkdir(parents=True)
        (tmp_path / name / "sub" / content).write_text(content)
    copy_folder(tmp_path / "source", tmp_path / "out")
    assert names(tmp_path / "out" / "sub") == ["new"]
    assert names(tmp_path) == ["out", "source"]


def test_dvc_does_not_see_what_is_being_written(tmp_path):
    """A killed training leaves a folder within models/r64, on which the stage compare depends."""
    root = Path(__file__).parents[1]
    dvc = [Path(sys.executable).parent / "dvc"]
    subprocess.run([*dvc, "init", "--no-scm", "--quiet"], cwd=tmp_path, check=True)
    (tmp_path / ".dvcignore").write_text((root / ".dvcignore").read_text())
    models = tmp_path / "models"
    models.mkdir()
    (models / "whole").write_text("1")
    (tmp_path / "dvc.yaml").write_text("stages: {compare: {cmd: touch out, deps: [models], outs: [out]}}\n")
    subprocess.run([*dvc, "repro", "--quiet"], cwd=tmp_path, check=True)
    killed(models, "file")
    killed(models, "replaced")
    (models / "sub").mkdir()
    killed(models / "sub", "resumed")
    assert [len(remains(models)), len(remains(models / "sub"))] == [3, 2]
    status = subprocess.run([*dvc, "status"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert "up to date" in status.stdout


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS])
@pytest.mark.parametrize("wait", [False, True])
def test_a_file_system_without_locks_is_named_with_the_remedy(tmp_path, monkeypatch, code, wait):
    def flock(_handle, _how):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("skygen.locks.fcntl.flock", flock)
    with pytest.raises(BlockingIOError) as caught, replace_folder(tmp_path / "out", wait=wait):
        pass
    assert str(caught.value) == (
        f"{tmp_path / 'out'}: the file system of {tmp_path} cannot lock files ({os.strerror(code)}), so that two runs "
        "could spoil each other's work; move the project to a local disk, or mount this one with locks"
    )
    assert not (tmp_path / "out").exists()


def by_nobody(folder, code):
    """What a user says and how it ends who owns nothing, but can enter `folder` and read the code."""
    code = f"import os\nfrom pathlib import Path\nfrom skygen.files import *\nos.setuid(65534)\n{code}"
    run = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    return run.returncode, run.stderr.strip().splitlines()[-1]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can leave a file to another user")
def test_a_lock_that_another_user_left_is_named_with_the_remedy(open_to_all):
    (open_to_all / ".skygen-lock-out").touch(mode=0o644)
    status, said = by_nobody(open_to_all, "with replace_folder(Path('out')): pass")
    assert status == 1
    assert said == (
        f"skygen.locks.NoLockError: out: the lock {open_to_all}/.skygen-lock-out cannot be opened (Permission denied); "
        "another user's run left it, such as root's in a container: remove it when that run has ended"
    )


@pytest.mark.skipif(os.getuid() != 0, reason="only root can leave a folder to another user")
def test_a_folder_in_which_no_lock_can_be_made_is_named(open_to_all):
    status, said = by_nobody(open_to_all, "with resume_folder(Path('out'), 'a' * 64): pass")
    assert status == 1
    assert said.endswith(
        f".skygen-lock-out cannot be opened (Permission denied); see to the permissions of {open_to_all}"
    )
