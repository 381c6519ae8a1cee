import re

import numpy as np
import pytest

from skygen.files import read_json, sha256_file, write_json
from skygen.sky.stretch import Stretch
from skygen.tiles.split import SPLITS
from skygen.tiles.store import CARD, ShardWriter, TileStore


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr("skygen.tiles.store.TILES_A_SHARD", 4)


def tiles(train=10, validation=4, test=3, seed=0):
    rng = np.random.default_rng(seed)
    counts = {"train": train, "validation": validation, "test": test}
    return {split: rng.normal(0, 1, (counts[split], 2, 8, 8)).astype(np.float32) for split in SPLITS}


def test_tiles_come_back_over_several_shards(tmp_path, write_store, small_shards):
    written = tiles()
    store = write_store(tmp_path / "r64", written)

    assert [shard.tiles for shard in store.card.shards["train"]] == [4, 4, 2]
    for split in SPLITS:
        read = store.split(split)
        assert len(read) == len(written[split])
        assert np.array_equal(read.array(), written[split])
        assert all(np.array_equal(read[index], written[split][index]) for index in range(len(read)))
    assert store.split("train").array().dtype == np.float32


def test_a_tile_is_read_without_its_shard(tmp_path, write_store):
    store = write_store(tmp_path / "r64", tiles())

    assert isinstance(store.split("train")[0].base, np.memmap)


@pytest.mark.parametrize("index", [-1, 10, 11])
def test_an_index_outside_the_split_is_refused(tmp_path, write_store, small_shards, index):
    split = write_store(tmp_path / "r64", tiles()).split("train")

    with pytest.raises(IndexError, match=f"tile {index} of a split of 10"):
        split[index]


def test_a_split_can_be_walked(tmp_path, write_store, small_shards):
    written = tiles()["train"]
    split = write_store(tmp_path / "r64", tiles()).split("train")

    assert np.array_equal(np.stack(list(split)), written)


def test_the_manifest_has_a_row_a_tile_that_leads_to_it(tmp_path, write_store, small_shards):
    written = tiles()
    store = write_store(tmp_path / "r64", written)
    rows = store.manifest()

    assert len(rows) == 17
    for row in rows:
        shard = np.load(store.folder / row["shard"])
        assert np.array_equal(shard[int(row["index"])], written[row["split"]][int(row["x"])])


def test_shards_carry_their_hashes(tmp_path, write_store, small_shards):
    store = write_store(tmp_path / "r64", tiles())

    for split in SPLITS:
        for shard in store.card.shards[split]:
            assert shard.sha256 == sha256_file(store.folder / shard.name)


def test_the_data_hash_is_that_of_the_tiles(tmp_path, write_store):
    def data_hash(name, content):
        return write_store(tmp_path / name, content).card.data_hash

    changed = tiles()
    changed["test"][0, 0, 0, 0] += 1
    moved = tiles()
    moved["train"], moved["validation"] = moved["train"][:9], np.concatenate([moved["train"][9:], moved["validation"]])

    assert data_hash("first", tiles()) == data_hash("again", tiles())
    assert len({data_hash("0", tiles()), data_hash("1", changed), data_hash("2", moved)}) == 3


def test_the_card_says_how_networks_see_the_tiles(tmp_path, write_store):
    store = write_store(tmp_path / "r64", tiles())

    assert store.card.stretch == Stretch(0.2, 100.0)
    assert TileStore.open(store.folder).card == store.card


def test_every_tile_needs_its_row(tmp_path, write_store):
    with pytest.raises(ValueError, match="shorter"):
        ShardWriter(tmp_path).add("train", tiles()["train"], [{"x": 1}])


def test_where_there_is_no_store_the_stage_is_named(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"r64/tiles\.json: no tile store here; make it with the stage tiles@r64"
    ):
        TileStore.open(tmp_path / "r64")


def test_a_missing_shard_is_named(tmp_path, write_store, small_shards):
    store = write_store(tmp_path / "r64", tiles())
    (store.folder / "train-00001.npy").unlink()

    with pytest.raises(FileNotFoundError, match=r"train-00001\.npy: the shard is missing"):
        TileStore.open(store.folder)


@pytest.mark.parametrize("spoil", [lambda raw: raw[:-100], lambda raw: raw[:5], lambda raw: b""])
def test_a_damaged_shard_is_named(tmp_path, write_store, spoil):
    store = write_store(tmp_path / "r64", tiles())
    path = store.folder / "train-00000.npy"
    path.write_bytes(spoil(path.read_bytes()))

    with pytest.raises(ValueError, match=re.escape("train-00000.npy")):
        TileStore.open(store.folder).split("train")


def test_a_damaged_card_is_named(tmp_path, write_store):
    store = write_store(tmp_path / "r64", tiles())
    card = read_json(store.folder / CARD)
    write_json(store.folder / CARD, {**card, "size": "64"})
    with pytest.raises(ValueError, match=r"tiles\.json: size = '64'"):
        TileStore.open(store.folder)

    (store.folder / CARD).write_text("{")
    with pytest.raises(ValueError, match=r"tiles\.json is not JSON"):
        TileStore.open(store.folder)
