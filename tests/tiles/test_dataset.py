import pytest
import torch
from torch.utils.data import DataLoader

from skygen.tiles.dataset import ResidentTiles, TileDataset, draw_batch, draw_places, fits, turn

TILE = torch.arange(2 * 5 * 5, dtype=torch.float32).reshape(2, 5, 5)
ALL = [turn(TILE, symmetry) for symmetry in range(8)]


@pytest.fixture
def dataset(noise_store):
    return TileDataset(noise_store.split("train"))


def place(tile):
    """Which of the eight `tile` is."""
    return [index for index, other in enumerate(ALL) if torch.equal(tile, other)]


def test_the_eight_symmetries_are_distinct():
    assert [place(tile) for tile in ALL] == [[index] for index in range(8)]
    assert torch.equal(ALL[0], TILE)


def test_four_quarter_turns_and_two_mirrorings_change_nothing():
    turned = TILE
    for _ in range(4):
        turned = turn(turned, 1)

    assert torch.equal(turned, TILE)
    assert all(torch.equal(turn(ALL[mirroring], mirroring), TILE) for mirroring in range(4, 8))


def test_the_symmetries_are_a_group():
    for first in range(8):
        products = {place(turn(ALL[first], second))[0] for second in range(8)}
        assert products == set(range(8))


@pytest.mark.parametrize("symmetry", range(8))
def test_every_flux_is_kept(symmetry):
    assert torch.equal(ALL[symmetry].flatten(1).sort().values, TILE.flatten(1).sort().values)


def test_items_are_the_split_s_tiles(noise_store, dataset):
    tiles = torch.from_numpy(noise_store.split("train").array())

    assert len(dataset) == 24
    assert torch.equal(dataset[7], tiles[7])
    assert torch.equal(dataset.__getitems__([3, 0, 3]), tiles[[3, 0, 3]])


def test_a_loader_reads_it(noise_store, dataset):
    batches = list(DataLoader(dataset, batch_size=10, collate_fn=lambda batch: batch))

    assert torch.equal(torch.cat(batches), torch.from_numpy(noise_store.split("train").array()))


def test_an_item_can_be_changed_and_the_store_stays(dataset):
    dataset[0].zero_()

    assert dataset[0].abs().sum() > 0


def test_a_batch_depends_on_its_generator_alone(dataset):
    def draw(seed):
        return draw_batch(dataset, 6, torch.Generator().manual_seed(seed))

    assert draw(1).shape == (6, 1, 64, 64)
    assert torch.equal(draw(1), draw(1))
    assert not torch.equal(draw(1), draw(2))


def test_a_batch_is_of_tiles_of_the_split_in_every_symmetry(dataset):
    known = {turn(dataset[index], symmetry).numpy().tobytes() for index in range(24) for symmetry in range(8)}
    drawn = [tile.contiguous().numpy().tobytes() for tile in draw_batch(dataset, 600, torch.Generator().manual_seed(0))]

    assert len(known) == 24 * 8
    assert set(drawn) <= known
    assert len(set(drawn)) > 0.9 * 24 * 8  # of 192, 600 draws with replacement reach 95 %


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_resident_tiles_are_those_that_are_streamed_bit_for_bit(noise_store, tmp_path, write_store, dtype):
    tiles = {split: noise_store.split(split).array() for split in ("train", "validation", "test")}
    split = write_store(tmp_path / dtype, {**tiles, "train": tiles["train"].repeat(2, 1)}, dtype, a_shard=7).split(
        "train"
    )
    resident, rng = ResidentTiles(split, dtype, torch.device("cpu")), torch.Generator().manual_seed(3)
    dealt = resident.deal(*draw_places(len(resident), 60, rng))
    streamed = draw_batch(TileDataset(split), 60, torch.Generator().manual_seed(3))

    assert len(resident) == len(split)
    assert dealt.is_contiguous()
    assert dealt.dtype == torch.float32
    assert torch.equal(dealt, streamed)


def test_resident_tiles_take_what_they_take_on_disk(noise_store, monkeypatch):
    """Of a GPU's free memory: there is none in a test, only what torch says of it is put in its place."""
    split, gpu = noise_store.split("train"), torch.device("cuda")
    size = len(split) * 64 * 64 * 4

    def fit(free, dtype="float32"):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 10 * size))
        return fits(split, dtype, gpu)

    assert fit(2 * size)
    assert not fit(2 * size - 2)
    assert fit(size, "float16")
    assert not fits(split, "float32", torch.device("cpu"))
