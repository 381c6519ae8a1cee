import errno
import resource
from contextlib import contextmanager

import numpy as np
import pytest

from skygen.training.checkpoints import mend, read_newest, remove, write_checkpoint

OLD, NEW = b"the state before" * 100, b"the newest state" * 100
FULL = 1000  # bytes that a file may have where the disk is full


@pytest.fixture
def kept(tmp_path):
    """A file of two generations."""
    path = tmp_path / "states" / "key.pt"
    write_checkpoint(path, OLD)
    write_checkpoint(path, NEW)
    return path


@contextmanager
def full_disk():
    """Files of this process stop growing, as on a full disk: a write fails in the kernel, of pytest's own log too."""
    former = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (FULL, former[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, former)


def names(path):
    return sorted(file.name for file in path.parent.iterdir())


def test_the_newest_of_two_generations_is_read(kept):
    assert read_newest(kept) == NEW
    assert names(kept) == ["key.previous.pt", "key.pt"]
    write_checkpoint(kept, b"a third")
    assert read_newest(kept) == b"a third"
    kept.unlink()
    assert read_newest(kept) == NEW


def test_nothing_is_read_where_nothing_was_kept(tmp_path):
    mend(tmp_path / "states" / "key.pt")

    assert read_newest(tmp_path / "states" / "key.pt") is None


@pytest.mark.parametrize("size", [0, 1, 31, 32, 33, len(NEW), len(NEW) + 31])
def test_a_newest_that_was_cut_short_leaves_the_one_before(kept, size):
    kept.write_bytes(kept.read_bytes()[:size])

    assert read_newest(kept) == OLD


def test_a_single_wrong_bit_anywhere_leaves_the_one_before(kept):
    whole = kept.read_bytes()
    for place in np.random.default_rng(0).integers(8 * len(whole), size=100):
        spoilt = bytearray(whole)
        spoilt[place // 8] ^= 1 << (place % 8)
        kept.write_bytes(spoilt)
        assert read_newest(kept) == OLD


def test_damage_is_removed_with_a_warning_so_that_it_never_takes_the_place_of_what_is_whole(kept, caplog):
    kept.write_bytes(b"damaged")
    mend(kept)

    assert f"{kept} is damaged" in caplog.text
    assert names(kept) == ["key.previous.pt"]
    write_checkpoint(kept, b"a third")
    kept.write_bytes(b"damaged")
    assert read_newest(kept) == OLD


def test_two_damaged_generations_are_none(kept, caplog):
    for file in kept.parent.iterdir():
        file.write_bytes(b"damaged")
    assert read_newest(kept) is None
    mend(kept)

    assert len(caplog.messages) == 2
    assert names(kept) == []


def test_what_a_kill_left_unfinished_is_removed(kept):
    (kept.parent / ".x1y2key.next.pt").write_bytes(b"half of")  # killed as it was written
    (kept.parent / "key.next.pt").write_bytes(NEW)  # killed as it was to take its place
    (kept.parent / "other.pt").write_bytes(b"another training's")
    mend(kept)

    assert names(kept) == ["key.previous.pt", "key.pt", "other.pt"]


def test_a_kill_between_the_two_renames_leaves_the_one_before(kept):
    kept.rename(kept.with_name("key.previous.pt"))
    mend(kept)

    assert read_newest(kept) == NEW


def test_a_full_disk_leaves_both_generations_and_says_where(kept):
    with pytest.raises(OSError, match="File too large") as caught, full_disk():
        write_checkpoint(kept, b"too large" * FULL)

    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, str(kept))
    assert read_newest(kept) == NEW
    assert names(kept) == ["key.previous.pt", "key.pt"]
    kept.unlink()
    assert read_newest(kept) == OLD


def test_every_generation_is_removed(kept):
    remove(kept)

    assert names(kept) == []
    remove(kept)
