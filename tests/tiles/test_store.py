import resource

import numpy as np
import pytest

from skygen.files import read_json, sha256_file, write_json
from skygen.sky.conditions import BandConditions, Density
from skygen.sky.stretch import Stretch
from skygen.tiles.store import CARD, HEADER_BYTES, SPLITS, TileStore
from skygen.tiles.writer import data_hash, write_shard


def tiles(train=10, validation=4, test=3, seed=0):
    rng = np.random.default_rng(seed)
    counts = {"train": train, "validation": validation, "test": test}
    return {split: rng.normal(0, 1, (counts[split], 2, 8, 8)).astype(np.float32) for split in SPLITS}


def test_tiles_come_back_over_several_shards(tmp_path, write_store):
    written = tiles()
    store = write_store(tmp_path / "r64", written, a_shard=4)

    assert [shard.tiles for shard in store.card.shards["train"]] == [4, 4, 2]
    for split in SPLITS:
        read = store.split(split)
        assert len(read) == len(written[split])
        assert np.array_equal(read.array(), written[split])
        assert all(np.array_equal(read[index], written[split][index]) for index in range(len(read)))
    assert store.split("train").array().dtype == np.float32


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_a_batch_is_its_tiles_in_the_order_asked_for(tmp_path, write_store, dtype):
    written = tiles()["train"].astype(dtype)
    split = write_store(tmp_path / "r64", tiles(), dtype=dtype, a_shard=4).split("train")
    indices = [9, 0, 3, 4, 3, 8]

    assert split.batch(indices).dtype == split[2].dtype == split.array().dtype == np.float32
    assert np.array_equal(split.batch(indices), written[indices].astype(np.float32))
    assert np.array_equal(split.batch(np.array(indices)), split.batch(indices))
    assert split.batch([]).shape == (0, 2, 8, 8)


def test_what_is_on_disk_is_the_type_asked_for(tmp_path, write_store):
    flux = {
        **tiles(),
        "test": np.array([0.02345678, -0.1, 291.9, 6e4], np.float32)[:, None, None, None] * np.ones((1, 2, 8, 8)),
    }
    for dtype, digits in (("float16", 2**-11), ("float32", 0)):
        store = write_store(tmp_path / dtype, flux, dtype=dtype)
        on_disk = np.load(store.folder / store.card.shards["test"][0].name)
        assert on_disk.dtype == np.dtype(dtype)
        assert np.array_equal(store.split("test").array(), on_disk.astype(np.float32))
        assert np.abs(on_disk / flux["test"] - 1).max() <= digits + 1e-7


def test_a_shard_is_a_plain_npy_file_written_readout_by_readout(tmp_path):
    flux = tiles()["train"]
    with write_shard(tmp_path / "x.npy", (2, 8, 8), "float32") as writer:
        writer.add("94-1-12/left", flux[:3])
        writer.add("94-1-12/right", flux[:0])
        writer.add("94-1-14/left", flux[3:7])
        writer.add("94-1-14/left", flux[7:])
        assert not (tmp_path / "x.npy").exists()

    assert np.array_equal(np.load(tmp_path / "x.npy"), flux)
    assert writer.readouts == {"94-1-12/left": 3, "94-1-12/right": 0, "94-1-14/left": 7}
    np.save(tmp_path / "numpys.npy", flux)
    assert (tmp_path / "x.npy").read_bytes() == (tmp_path / "numpys.npy").read_bytes()
    assert (tmp_path / "x.npy").stat().st_size == HEADER_BYTES + flux.nbytes


@pytest.mark.parametrize(
    ("flux", "message"),
    [
        (np.full((1, 2, 8, 8), 7e4), r"1-1-1/left: fluxes from 70000\.0 to 70000\.0 nmgy; float16 holds .* 65504"),
        (np.full((1, 2, 8, 8), -np.inf), "1-1-1/left: fluxes from -inf"),
        (np.full((1, 2, 8, 8), np.nan), "1-1-1/left: fluxes from nan"),
        (np.zeros((1, 1, 8, 8)), r"1-1-1/left: tiles of shape \(1, 8, 8\) for a shard of \(2, 8, 8\)"),
    ],
)
def test_tiles_that_a_shard_cannot_hold_are_refused_and_leave_nothing(tmp_path, flux, message):
    with pytest.raises(ValueError, match=message), write_shard(tmp_path / "x.npy", (2, 8, 8), "float16") as writer:
        writer.add("1-1-1/left", flux)
    assert list(tmp_path.iterdir()) == []


def test_the_tiles_of_a_readout_lie_together(tmp_path):
    with write_shard(tmp_path / "x.npy", (2, 8, 8), "float16") as writer:
        writer.add("1-1-1/left", tiles()["test"])
        writer.add("1-1-1/right", tiles()["test"])
        with pytest.raises(ValueError, match="1-1-1/left is in the shard already, before 1-1-1/right"):
            writer.add("1-1-1/left", tiles()["test"])


def test_every_tile_knows_its_readout_and_its_field(tmp_path, write_fields):
    flux = tiles()["train"]
    train = {"94-1-12/left": flux[:2], "94-1-12/right": flux[2:5], "94-1-13/right": flux[5:]}
    store = write_fields(
        tmp_path / "r64", "rg", {"train": train, "validation": {}, "test": {"94-1-14": flux[:2]}}, a_shard=3
    )

    assert store.split("train").fields() == ["94-1-12"] * 5 + ["94-1-13"] * 5
    assert store.split("train").readouts() == ["94-1-12/left"] * 2 + ["94-1-12/right"] * 3 + ["94-1-13/right"] * 5
    assert store.split("validation").readouts() == store.split("validation").fields() == []
    first, second = store.card.shards["train"][:2]
    assert list(first.readouts.items()) == [("94-1-12/left", 2), ("94-1-12/right", 1)]
    assert list(first.fields.items()) == [("94-1-12", 3)]
    assert list(second.fields.items()) == [("94-1-12", 2), ("94-1-13", 1)]


def test_many_shards_need_few_open_files(tmp_path, write_store):
    flux = tiles(train=600)
    split = write_store(tmp_path / "r64", flux, a_shard=1).split("train")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (550, hard))
    try:
        assert np.array_equal(split.batch(range(600)), flux["train"])
        assert np.array_equal(split.batch(range(599, -1, -1)), flux["train"][::-1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_changing_what_was_read_leaves_the_store(tmp_path, write_store):
    split = write_store(tmp_path / "r64", tiles()).split("train")
    split[0][:] = 0
    split.batch([1])[:] = 0

    assert np.array_equal(split.array(), tiles()["train"])


@pytest.mark.parametrize("index", [-1, 10, 11])
def test_an_index_outside_the_split_is_refused(tmp_path, write_store, index):
    split = write_store(tmp_path / "r64", tiles(), a_shard=4).split("train")

    with pytest.raises(IndexError, match=f"tile {index} of a split of 10"):
        split[index]
    with pytest.raises(IndexError, match=f"tile {index} of a split of 10"):
        split.batch([0, index])


def test_a_split_can_be_walked(tmp_path, write_store):
    split = write_store(tmp_path / "r64", tiles(), a_shard=4).split("train")

    assert np.array_equal(np.stack(list(split)), tiles()["train"])


def test_shards_carry_their_hashes(tmp_path, write_store):
    store = write_store(tmp_path / "r64", tiles(), a_shard=4)

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


def test_the_data_hash_is_that_of_the_conditions_too(tmp_path, write_fields):
    def data_hash(name, noise):
        observed = [BandConditions(sky_noise_nmgy=noise, nmgy_per_electron=0.001, psf_fwhm_arcsec=1.3)] * 2
        fields = {split: {f"94-1-{number}": tiles()[split]} for number, split in enumerate(SPLITS)}
        conditions = {f"94-1-{number}": observed for number in range(3)}
        return write_fields(tmp_path / name, "rg", fields, conditions=conditions).card.data_hash

    assert data_hash("first", 0.03) == data_hash("again", 0.03) != data_hash("noisier", 0.031)


def test_the_data_hash_is_that_of_the_densities_too(tmp_path, write_store):
    card = write_store(tmp_path / "r64", tiles()).card
    denser = card.densities | {"94-1-0": Density(stars=9.0, galaxies=0.7)}

    assert data_hash(card.shards, card.conditions, card.densities) == card.data_hash
    assert data_hash(card.shards, card.conditions, denser) != card.data_hash


def test_the_card_keeps_the_conditions_of_every_readout_that_gave_tiles(tmp_path, write_store):
    card = TileStore.open(write_store(tmp_path / "r64", tiles()).folder).card

    assert list(card.conditions) == ["94-1-0/left", "94-1-1/left", "94-1-2/left"]
    assert all(len(bands) == len(card.bands) for bands in card.conditions.values())
    with pytest.raises(ValueError, match=r"tiles\.json: conditions\.94-1-0/left\.0\.sky_noise_nmgy = 0\.0"):
        raw = read_json(tmp_path / "r64" / CARD)
        raw["conditions"]["94-1-0/left"][0]["sky_noise_nmgy"] = 0.0
        write_json(tmp_path / "r64" / CARD, raw)
        TileStore.open(tmp_path / "r64")


def test_the_card_says_how_networks_see_the_tiles(tmp_path, write_store):
    store = write_store(tmp_path / "r64", tiles())

    assert store.card.stretch == Stretch(0.2, 100.0)
    assert TileStore.open(store.folder).card == store.card


def test_where_there_is_no_store_the_stage_is_named(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"r64/tiles\.json: no tile store here; make it with the stage tiles@r64"
    ):
        TileStore.open(tmp_path / "r64")


def test_a_missing_shard_is_named(tmp_path, write_store):
    store = write_store(tmp_path / "r64", tiles(), a_shard=4)
    (store.folder / "train-1.npy").unlink()

    with pytest.raises(FileNotFoundError, match=r"train-1\.npy: the shard is missing"):
        TileStore.open(store.folder)


@pytest.mark.parametrize(
    "spoil", [lambda raw: raw[:-100], lambda raw: raw[:5], lambda raw: b"", lambda raw: raw + b"1"]
)
def test_a_shard_of_another_size_is_named(tmp_path, write_store, spoil):
    store = write_store(tmp_path / "r64", tiles())
    path = store.folder / "train-0.npy"
    path.write_bytes(spoil(path.read_bytes()))

    with pytest.raises(ValueError, match=r"train-0\.npy is damaged \(\d+ bytes, not 5248\); make the tile store anew"):
        TileStore.open(store.folder).split("train")


@pytest.mark.parametrize(
    ("old", "new"), [(b"NUMPY", b"NUMPI"), (b"<f4", b"<i4"), (b"(10, 2,", b"(20, 1,"), (b"'<f4'", b"'<f4 ")]
)
def test_a_shard_with_a_damaged_header_is_named(tmp_path, write_store, old, new):
    store = write_store(tmp_path / "r64", tiles())
    path = store.folder / "train-0.npy"
    path.write_bytes(path.read_bytes().replace(old, new))

    with pytest.raises(ValueError, match=r"train-0\.npy .*make the tile store anew"):
        store.split("train")[0]


def test_a_damaged_card_is_named(tmp_path, write_store):
    store = write_store(tmp_path / "r64", tiles())
    card = read_json(store.folder / CARD)
    write_json(store.folder / CARD, {**card, "size": "64"})
    with pytest.raises(ValueError, match=r"tiles\.json: size = '64'"):
        TileStore.open(store.folder)

    (store.folder / CARD).write_text("{")
    with pytest.raises(ValueError, match=r"tiles\.json is not JSON"):
        TileStore.open(store.folder)


def test_a_card_whose_readouts_do_not_add_up_is_refused(tmp_path, write_store):
    store = write_store(tmp_path / "r64", tiles())
    card = read_json(store.folder / CARD)
    card["shards"]["test"][0]["readouts"] = {"94-1-2/left": 2}
    write_json(store.folder / CARD, card)

    with pytest.raises(ValueError, match=r"tiles\.json: shards\.test\.0.*its readouts give 2 tiles, not 3"):
        TileStore.open(store.folder)
