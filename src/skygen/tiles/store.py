"""The tile store: memory-mapped `.npy` shards of tiles in nanomaggies, and the card that says what they are.

Training reads a store with this file alone; the manifest, a row a tile, is `skygen.tiles.manifest`'s.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from skygen.files import read_json
from skygen.params import Section, validate
from skygen.sky.conditions import BandConditions, Density
from skygen.sky.readout import field_of
from skygen.sky.stretch import Stretch

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
CARD = "tiles.json"
HEADER_BYTES = 128  # of a shard, however many tiles it holds
_OPEN_SHARDS = 400  # mapped at once by a split: each holds a file open, of which a process has about a thousand


class Shard(Section):
    """One `.npy` file of the store: its name, how many tiles it holds, how many of each readout in turn, its hash."""

    name: str
    tiles: int
    readouts: dict[str, int]
    sha256: str

    @property
    def fields(self) -> dict[str, int]:
        """How many tiles each field gives, in turn."""
        fields: Counter[str] = Counter()
        for readout, tiles in self.readouts.items():
            fields[field_of(readout)] += tiles
        return dict(fields)

    @model_validator(mode="after")
    def _readouts_add_up(self) -> Self:
        if sum(self.readouts.values()) != self.tiles:
            raise ValueError(f"its readouts give {sum(self.readouts.values())} tiles, not {self.tiles}")
        return self


class Survival(Section):
    """What became of the places tried: how many, the share kept, and the share that each cause spoils.

    A place may be spoilt by several causes, so that the shares add up to 1 or more.
    """

    tried: int
    kept: float
    spoilt: dict[str, float]


class TileSetCard(Section):
    """What a tile set is: enough to train on its shards and to say where they come from."""

    name: str
    size: int
    bands: list[str]
    dtype: Literal["float16", "float32"]  # on disk; read back as float32
    softening_nmgy: float
    limit_nmgy: float
    pixel_scale_arcsec: float
    fields: dict[Split, list[str]]
    left_out: dict[str, list[str]]  # fields in no split, by cause
    survival: dict[Split, Survival]
    conditions: dict[str, list[BandConditions]]  # of every readout that gave tiles, in the order of `bands`
    densities: dict[str, Density]  # of every field that gave tiles
    shards: dict[Split, list[Shard]]
    data_hash: str  # SHA-256 over the shards' hashes, the conditions and the densities

    @property
    def stretch(self) -> Stretch:
        """The stretch with which networks see this tile set."""
        return Stretch(self.softening_nmgy, self.limit_nmgy)


class TileSplit:
    """The tiles of one split, memory-mapped: indexing reads only the tiles asked for, as float32."""

    def __init__(self, folder: Path, shards: Sequence[Shard], tile: tuple[int, int, int], dtype: str) -> None:
        """Raises `ValueError` where a shard has not the size that the card says."""
        self._folder, self._shards, self._tile, self._dtype = folder, shards, tile, np.dtype(dtype)
        self._ends = np.cumsum([0] + [shard.tiles for shard in shards])
        self._open: dict[int, NDArray[Any]] = {}
        for shard in shards:
            self._check_size(shard)

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, index: int) -> NDArray[np.float32]:
        """Tile `index` as flux [bands, H, W] in nmgy; raises `IndexError` outside the split."""
        return np.asarray(self.batch([index])[0])

    def batch(self, indices: Sequence[int] | NDArray[np.integer]) -> NDArray[np.float32]:
        """The tiles at `indices` as flux [N, bands, H, W] in nmgy; raises `IndexError` outside the split."""
        wanted = np.asarray(indices, dtype=np.int64)
        outside = wanted[(wanted < 0) | (wanted >= len(self))]
        if outside.size:
            raise IndexError(f"tile {outside[0]} of a split of {len(self)}")
        shards = np.searchsorted(self._ends, wanted, side="right") - 1
        within = wanted - self._ends[shards]
        tiles = np.empty((len(wanted), *self._tile), dtype=np.float32)
        order = np.argsort(wanted, kind="stable")  # as they lie on disk
        for place, shard, index in zip(order.tolist(), shards[order].tolist(), within[order].tolist(), strict=True):
            # Looked up here, too: a call takes as long as copying a small tile.
            on_disk = self._open.get(shard)
            tiles[place] = (self._tiles(shard) if on_disk is None else on_disk)[index]
        return tiles

    def array(self) -> NDArray[np.float32]:
        """All tiles as one array [N, bands, H, W] in nmgy, read into memory."""
        tiles = np.empty((len(self), *self._tile), dtype=np.float32)
        for number, (start, end) in enumerate(zip(self._ends[:-1], self._ends[1:], strict=True)):
            tiles[start:end] = self._tiles(number)
        return tiles

    def fields(self) -> list[str]:
        """The field (run-camcol-field) of every tile, in the order of the tiles."""
        return [field_of(readout) for readout in self.readouts()]

    def readouts(self) -> list[str]:
        """The readout (run-camcol-field/half) of every tile, by which the card has its conditions."""
        return [name for shard in self._shards for name, tiles in shard.readouts.items() for _ in range(tiles)]

    def _tiles(self, number: int) -> NDArray[Any]:
        tiles = self._open.get(number)
        if tiles is None:
            if len(self._open) >= _OPEN_SHARDS:
                self._open.pop(next(iter(self._open)))  # the one opened first
            shard = self._shards[number]
            tiles = self._open[number] = _map(self._folder / shard.name, (shard.tiles, *self._tile), self._dtype)
        return tiles

    def _check_size(self, shard: Shard) -> None:
        path = self._folder / shard.name
        wanted = HEADER_BYTES + shard.tiles * int(np.prod(self._tile)) * self._dtype.itemsize
        if path.stat().st_size != wanted:
            raise ValueError(f"{path} is damaged ({path.stat().st_size} bytes, not {wanted}); make the tile store anew")


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
        """The tiles of one split; raises `ValueError` where a shard is damaged."""
        tile = (len(self.card.bands), self.card.size, self.card.size)
        return TileSplit(self.folder, self.card.shards[split], tile, self.card.dtype)


def _map(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    try:
        tiles = np.asarray(np.load(path, mmap_mode="r"))
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path} is damaged ({error}); make the tile store anew") from error
    if tiles.shape != shape or tiles.dtype != dtype:
        raise ValueError(f"{path} holds {tiles.dtype} {tiles.shape}, not {dtype} {shape}; make the tile store anew")
    return tiles
