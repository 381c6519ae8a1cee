import numpy as np
import pytest

from skygen.evaluation.neighbours import closest, closest_pairs
from skygen.tiles.store import TileStore


def test_the_closest_are_found_nearest_first_with_their_training_tile_and_distance():
    train = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]], np.float32)
    generated = np.array([[3.0, 4.0], [10.0, 1.0], [100.0, 0.0], [0.0, 10.0]], np.float32)

    pairs = closest(generated, train, 3)
    assert [(pair.generated, pair.training) for pair in pairs] == [(3, 2), (1, 1), (0, 0)]
    assert [pair.distance for pair in pairs] == pytest.approx([0, 1, 5])


@pytest.fixture
def store(tmp_path, write_store, sky) -> TileStore:
    return write_store(tmp_path, "r", {"train": {94: sky(0, 30)}, "test": {95: sky(1, 8)}})


def features(tiles):
    """A tile's mean, and its brightest pixel."""
    return np.stack([tiles.mean(axis=(1, 2, 3)), tiles.max(axis=(1, 2, 3))], axis=1)


def test_a_copy_stands_beside_the_tile_that_it_is_a_copy_of(store, sky):
    train = store.split("train").array()
    tiles = np.concatenate([sky(5, 11), train[7:8]])
    page = closest_pairs(
        tiles, features(tiles), features(store.split("test").array()), store.split("train"), features(train), "r"
    )
    pixels = np.asarray(page.convert("L"))

    top, tile, seam, pair = 48, 128, 4, 276  # px: of a row of pairs, of tiles, between them, from pair to pair

    def halves_agree(left):
        row = pixels[top : top + tile]
        return np.array_equal(row[:, left : left + tile], row[:, left + tile + seam : left + 2 * tile + seam])

    assert halves_agree(16)
    assert not halves_agree(16 + pair)


@pytest.mark.parametrize(("size", "bands"), [(64, "r"), (128, "gri")])
def test_the_picture_holds_ten_pairs_and_fits_the_page(tmp_path, write_store, sky, size, bands):
    train, test = sky(0, 20, size, len(bands)), sky(1, 12, size, len(bands))
    store = write_store(tmp_path, bands, {"train": {94: train}, "test": {95: test}})
    page = closest_pairs(test, features(test), features(test), store.split("train"), features(train), bands)

    assert 500 < page.width < 640
    assert 5 * 128 < page.height < 900
    assert len(np.unique(np.asarray(page.convert("L")))) > 50


def test_fewer_tiles_than_pairs_are_all_shown(store, sky):
    few = sky(3, 3)
    args = (few, features(few), features(few), store.split("train"), features(store.split("train").array()), "r")

    assert closest_pairs(*args).height < 400
