"""A power cut at any moment leaves the old or the new whole: what is done to the disk is recorded, and replayed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from skygen import files
from skygen.files import copy_folder, replace_folder, resume_folder, write_atomically, write_json
from skygen.training.checkpoints import read_newest, write_checkpoint
from tests.crashes import Tree, crashes, lay_out, recorded, tree_of

OLD, NEW = {"a": b"old", "sub": {"b": b"old b"}}, {"a": b"new", "sub": {"b": b"new b"}, "c": b"more"}


def write_file(root: Path, tell: Callable[[Path], None]) -> None:
    with write_atomically(root / "out" / "file") as temporary:
        temporary.write_bytes(b"new content")
        tell(temporary)


def fill(building: Path) -> None:
    """As stages do: each file whole, in folders that are made on the way."""
    for path, content in (("a", b"new"), ("sub/b", b"new b"), ("c", b"more")):
        with write_atomically(building / path) as temporary:
            temporary.write_bytes(content)


def replace(root: Path, _tell: Callable[[Path], None]) -> None:
    with replace_folder(root / "out") as building:
        fill(building)


def resume(root: Path, _tell: Callable[[Path], None]) -> None:
    with resume_folder(root / "out", "k" * 64) as building:
        fill(building)


def copy(root: Path, _tell: Callable[[Path], None]) -> None:
    copy_folder(root / "source", root / "out")


@pytest.mark.parametrize("old", [None, b"old content"])
def test_a_file_is_the_old_or_the_new(tmp_path: Path, old: bytes | None) -> None:
    root = tmp_path / "root"
    lay_out({} if old is None else {"out": {"file": old}}, root)
    with recorded(root) as recorder:
        write_file(root, recorder.wrote)
    seen = [tree.get("out", {}).get("file") for _, tree in crashes(recorder)]
    assert set(seen) == {old, b"new content"}
    last = [tree["out"] for end, tree in crashes(recorder) if end == len(recorder.log)]
    assert all(tree["file"] == b"new content" for tree in last)  # what has returned is on the disk


@pytest.mark.parametrize("make", [replace, resume])
@pytest.mark.parametrize("old", [None, OLD])
@pytest.mark.parametrize("at_once", [True, False])
def test_a_folder_is_the_old_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[..., None], old: Tree | None, at_once: bool
) -> None:
    """Where the file system cannot let two folders change places, the next run finds the old one and puts it back."""
    root = tmp_path / "root"
    lay_out({} if old is None else {"out": old}, root)
    if not at_once:
        monkeypatch.setattr(files, "_exchange", lambda *_: False)
    with recorded(root) as recorder:
        make(root, recorder.wrote)
    outcomes = []
    for number, (end, tree) in enumerate(crashes(recorder)):
        if not at_once and old and "out" not in tree:
            lay_out(tree, tmp_path / str(number))
            with pytest.raises(StopIteration), replace_folder(tmp_path / str(number) / "out"):
                raise StopIteration
            tree = tree_of(tmp_path / str(number))  # noqa: PLW2901
        outcomes.append(tree.get("out"))
        if end == len(recorder.log):
            assert tree["out"] == NEW  # what has returned is on the disk
    assert [outcome for outcome in outcomes if outcome not in (old, NEW)] == []
    assert NEW in outcomes
    assert old in outcomes


def test_a_copy_is_whole_or_not_there(tmp_path: Path) -> None:
    root = tmp_path / "root"
    lay_out({"source": OLD}, root)
    with recorded(root) as recorder:
        copy(root, recorder.wrote)
    seen = [tree.get("out") for _, tree in crashes(recorder)]
    assert [found for found in seen if found not in (None, OLD)] == []
    assert seen[-1] == OLD


def test_a_generation_is_the_old_or_the_new(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    for content in (b"1", b"2"):
        write_checkpoint(root / "x.pt", content)
    with recorded(root) as recorder:
        write_checkpoint(root / "x.pt", b"3")
    for number, (end, tree) in enumerate(crashes(recorder)):
        lay_out(tree, tmp_path / str(number))
        newest = read_newest(tmp_path / str(number) / "x.pt")
        assert newest == b"3" if end == len(recorder.log) else newest in (b"2", b"3")


def test_json_is_the_old_or_the_new(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    write_json(root / "x.json", 1)
    with recorded(root) as recorder:
        write_json(root / "x.json", 2)
    assert {tree["x.json"] for _, tree in crashes(recorder)} == {b"1\n", b"2\n"}
