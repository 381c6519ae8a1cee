import hashlib
import math

import pytest

from skygen.files import (
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


@pytest.mark.parametrize("renamed", [False, True])
def test_a_run_killed_between_its_last_renames_is_mended(tmp_path, monkeypatch, renamed):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "old").write_text("1")
    steps = []
    rename = type(folder).rename

    def rename_or_stop(path, target):
        steps.append(target)
        if len(steps) == 2 and not renamed:
            raise StopError
        return rename(path, target)

    monkeypatch.setattr(type(folder), "rename", rename_or_stop)
    monkeypatch.setattr("shutil.rmtree", lambda path: (_ for _ in ()).throw(StopError))
    with pytest.raises(StopError), resume_folder(folder, "a" * 64) as building:
        (building / "new").write_text("2")
    monkeypatch.undo()
    assert folder.exists() == renamed
    with pytest.raises(StopError), resume_folder(folder, "a" * 64):
        assert names(folder) == ["new" if renamed else "old"]  # there is always a whole one
        raise StopError
    with resume_folder(folder, "a" * 64) as building:
        (building / "new").write_text("2")
    assert names(folder) == ["new"]
    assert names(tmp_path) == ["out"]


def test_a_folders_hash_can_be_that_of_some_files(tmp_path):
    (tmp_path / "code.py").write_text("1")
    (tmp_path / "code.pyc").write_text("2")
    whole, code = sha256_folder(tmp_path), sha256_folder(tmp_path, "*.py")
    (tmp_path / "code.pyc").write_text("3")

    assert sha256_folder(tmp_path, "*.py") == code
    assert sha256_folder(tmp_path) != whole
