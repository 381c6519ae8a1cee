"""The tile store: memory-mapped `.npy` shards of tiles in nanomaggies, a card, and a manifest row a tile."""

import csv
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skygen.files import read_json, sha256_file, write_atomically, write_json
from skygen.params import Section, validate
from skygen.sky.stretch import Stretch
from skygen.tiles.split import SPLITS, Split

TILES_A_SHARD = 1000
CARD, MANIFEST = "tiles.json", "manifest.csv"


class Shard(Section):
    """One `.npy` file of the store: its name, how many tiles it holds and its hash."""

    name: str
    tiles: int
    sha256: str


class TileSetCard(Section):
    """What a tile set is: enough to train on its shards and to say where they come from."""

    name: str
    size: int
    bands: list[str]
    softening_nmgy: float
    limit_nmgy: float
    pixel_scale_arcsec: float
    fields: dict[Split, list[str]]
    survival: dict[Split, float]  # share of the tried places that the tile set's rules kept
    shards: dict[Split, list[Shard]]
    data_hash: str  # SHA-256 over the shards' hashes

    @property
    def stretch(self) -> Stretch:
        """The stretch with which networks see this tile set."""
        return Stretch(self.softening_nmgy, self.limit_nmgy)


class ShardWriter:
    """Writes the tiles of a store in the order in which they come, and their manifest rows, a shard at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._waiting: dict[Split, list[NDArray[np.float32]]] = {split: [] for split in SPLITS}
        self._rows: list[dict[str, Any]] = []
        self._written: dict[Split, int] = dict.fromkeys(SPLITS, 0)
        self.shards: dict[Split, list[Shard]] = {split: [] for split in SPLITS}

    def add(self, split: Split, flux_nmgy: NDArray[np.float32], rows: Sequence[Mapping[str, Any]]) -> None:
        """Append tiles [N, bands, H, W] with a manifest row each; full shards go to disk."""
        for tile, row in zip(flux_nmgy, rows, strict=True):
            shard, index = divmod(self._written[split], TILES_A_SHARD)
            self._rows.append({"split": split, "shard": _shard_name(split, shard), "index": index, **row})
            self._waiting[split].append(tile)
            self._written[split] += 1
            if len(self._waiting[split]) == TILES_A_SHARD:
                self._flush(split)

    def close(self) -> None:
        """Write what is left and the manifest."""
        for split in SPLITS:
            if self._waiting[split]:
                self._flush(split)
        with write_atomically(self._folder / MANIFEST) as temporary, temporary.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, fieldnames=list(next(iter(self._rows), {})))
            writer.writeheader()
            writer.writerows(self._rows)

    def data_hash(self) -> str:
        """The SHA-256 over the hashes of all shards, in the order of splits and shards."""
        hashes = [shard.sha256 for split in SPLITS for shard in self.shards[split]]
        return hashlib.sha256("\n".join(hashes).encode()).hexdigest()

    def _flush(self, split: Split) -> None:
        tiles = np.stack(self._waiting[split])
        path = self._folder / _shard_name(split, len(self.shards[split]))
        with write_atomically(path) as temporary, temporary.open("wb") as stream:
            np.save(stream, tiles)
        self.shards[split].append(Shard(name=path.name, tiles=len(tiles), sha256=sha256_file(path)))
        self._waiting[split] = []


class TileSplit:
    """The tiles of one split, memory-mapped: indexing reads only the tiles asked for."""

    def __init__(self, folder: Path, shards: Sequence[Shard]) -> None:
        self._maps = [_map(folder / shard.name) for shard in shards]
        self._ends = np.cumsum([0] + [len(tiles) for tiles in self._maps])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, index: int) -> NDArray[np.float32]:
        """Tile `index` as flux [bands, H, W] in nmgy; raises `IndexError` outside the split."""
        if not 0 <= index < len(self):
            raise IndexError(f"tile {index} of a split of {len(self)}")
        shard = int(np.searchsorted(self._ends, index, side="right")) - 1
        return np.asarray(self._maps[shard][index - self._ends[shard]])

    def array(self) -> NDArray[np.float32]:
        """All tiles as one array [N, bands, H, W] in nmgy, read into memory."""
        return np.concatenate([np.asarray(tiles) for tiles in self._maps])


class TileStore:
    """A tile set on disk."""

    def __init__(self, folder: Path, card: TileSetCard) -> None:
        self.folder, self.card = folder, card

    @classmethod
    def open(cls, folder: Path) -> "TileStore":
        """The store in `folder`; raises `FileNotFoundError` where there is none, `ValueError` where it is damaged."""
        path = folder / CARD
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no tile store here; make it with the stage tiles@{folder.name}")
        card = validate(TileSetCard, read_json(path), str(path))
        for shards in card.shards.values():
            for shard in shards:
                if not (folder / shard.name).is_file():
                    raise FileNotFoundError(f"{folder / shard.name}: the shard is missing; make the tile store anew")
        return cls(folder, card)

    def split(self, split: Split) -> TileSplit:
        """The tiles of one split."""
        return TileSplit(self.folder, self.card.shards[split])

    def manifest(self) -> list[dict[str, str]]:
        """The manifest: a row a tile, values as text."""
        with (self.folder / MANIFEST).open(newline="") as stream:
            return list(csv.DictReader(stream))


def _map(path: Path) -> NDArray[np.float32]:
    try:
        return np.asanyarray(np.load(path, mmap_mode="r"))
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path} is damaged ({error}); make the tile store anew") from error


def write_card(folder: Path, card: TileSetCard) -> None:
    """Write the card, which makes the store whole: call it last."""
    write_json(folder / CARD, card.model_dump())


def _shard_name(split: Split, shard: int) -> str:
    return f"{split}-{shard:05d}.npy"
