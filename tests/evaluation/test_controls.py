import numpy as np
import pytest

from skygen.evaluation.controls import apart, between_fields, collapse, evenly, held_out
from skygen.tiles.store import TileStore


@pytest.fixture
def store(tmp_path, write_store) -> TileStore:
    """Tiles of 8 px of fields that differ by their run, each of a flux that is its run and a number.

    12 and 9 test tiles of two fields, and 2, 30 and 40 training tiles of three.
    """

    def flux(tiles: dict[int, int]) -> dict[int, np.ndarray]:
        return {run: np.full((count, 1, 8, 8), run, np.float32) + _numbers(count) for run, count in tiles.items()}

    return write_store(tmp_path, "r", {"train": flux({300: 2, 400: 30, 500: 40}), "test": flux({100: 12, 200: 9})})


def _numbers(count: int) -> np.ndarray:
    return np.arange(count, dtype=np.float32)[:, None, None, None]


def test_every_halving_has_disjoint_halves_with_the_same_mix_of_fields(store):
    held = held_out(store, "test", 0, 30)
    is_second_field = np.array(store.split("test").fields()) == "200-1-1"

    assert (held.split, held.fields, held.readouts) == ("test", 2, store.split("test").readouts())
    for ours, theirs in zip(*held.weights, strict=True):
        assert ours.sum() == theirs.sum() == 10  # of 21 tiles one is left over
        assert not (ours * theirs).any()
        assert abs(ours @ is_second_field - theirs @ is_second_field) <= 1


def test_the_seed_of_the_evaluation_and_the_split_halve_the_tiles_anew(store):
    once, again, other = (held_out(store, "test", seed, 5).weights[0] for seed in (0, 0, 1))

    np.testing.assert_array_equal(once, again)
    assert (once != other).any(axis=1).all()
    assert len(np.unique(once, axis=0)) == 5


def test_between_fields_are_as_many_training_tiles_of_each_field_as_it_has(store):
    chosen = between_fields(store.split("train"), 10, 0)
    runs = store.split("train").batch(chosen)[:, 0, 0, 0] // 100 * 100

    assert len(set(chosen.tolist())) == 10
    assert {run: int((runs == run).sum()) for run in (300, 400, 500)} == {300: 2, 400: 4, 500: 4}
    assert set(between_fields(store.split("train"), 10, 1)) != set(chosen)


def test_too_few_training_tiles_are_named(store):
    with pytest.raises(ValueError, match=r"holds 72 tiles, but a held-out split holds 73; raise train_a_field"):
        between_fields(store.split("train"), 73, 0)


@pytest.mark.parametrize("count", [1, 3, 7, 12])
def test_groups_are_drawn_evenly_and_no_member_twice(count):
    groups = ["b"] * 4 + ["a"] * 4 + ["c"] * 4
    chosen = evenly(groups, count, 2019)
    number = [sum(groups[index] == name for index in chosen) for name in "abc"]

    assert len(set(chosen.tolist())) == len(chosen) == sum(number) == count
    assert max(number) - min(number) <= 1


def test_tiles_that_share_a_pixel_with_a_chosen_one_are_not_apart(store, write_places):
    """Of three fields at the same places, the second: tiles of 8 px at 7 and 8 px from the chosen one, and across."""
    corners = [(0, 0), (500, 0)]
    corners += [
        (100, 100),
        (107, 100),
        (108, 100),
        (93, 107),
        (92, 93),
        (100, 108),
        *[(0, 8 * row) for row in range(24)],
    ]
    corners += [(100, 100)] * 40
    write_places(store.folder, corners)

    shared = np.flatnonzero(~apart(store, np.array([2])))
    np.testing.assert_array_equal(shared, [2, 3, 5])


def test_without_a_chosen_tile_all_are_apart_and_a_chosen_one_is_not(store):
    assert apart(store, np.array([], dtype=np.int64)).all()
    np.testing.assert_array_equal(np.flatnonzero(~apart(store, np.array([0, 50]))), [0, 50])  # they lie on a grid


def test_training_tiles_of_which_none_is_apart_are_refused(store):
    with pytest.raises(ValueError, match=r"all training tiles share pixels with 72 of them; raise train_a_field"):
        apart(store, np.arange(72))


def test_a_manifest_of_other_tiles_is_refused(store, write_places):
    write_places(store.folder, [(0, 0)] * 71)

    with pytest.raises(ValueError, match=r"manifest.parquet lists 71 training tiles, the shards hold 72"):
        apart(store, np.array([0]))


def test_the_collapsed_control_is_one_tile_that_is_stored_once():
    tile = np.arange(12, dtype=np.float32).reshape(3, 2, 2)
    tiles = collapse(tile, 1000)

    assert tiles.shape == (1000, 3, 2, 2)
    assert (tiles == tile).all()
    assert np.shares_memory(tiles[999], tile)
