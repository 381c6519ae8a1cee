"""Writing a tile store: shards readout by readout, and the card, which makes the store whole."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from skygen.files import sha256_file, write_atomically, write_json
from skygen.sky.conditions import BandConditions, Density
from skygen.tiles.store import CARD, SPLITS, Shard, Split, TileSetCard


class ShardWriter:
    """Takes a shard's tiles readout by readout, straight to its file, so that memory stays flat; see `write_shard`."""

    def __init__(self, stream: BinaryIO, tile: tuple[int, int, int], dtype: str) -> None:
        self._stream, self._tile, self._dtype = stream, tile, np.dtype(dtype).newbyteorder("<")
        self.readouts: dict[str, int] = {}
        self._write_header()

    def add(self, readout: str, flux_nmgy: NDArray[np.floating]) -> None:
        """Append tiles [N, bands, H, W] of `readout`: a new one, or the one last added to.

        Raises `ValueError` where they are of another shape or of a readout before the last, or hold a flux that the
        shard's type cannot.
        """
        if flux_nmgy.shape[1:] != self._tile:
            raise ValueError(f"{readout}: tiles of shape {flux_nmgy.shape[1:]} for a shard of {self._tile}")
        if readout in self.readouts and readout != next(reversed(self.readouts)):
            raise ValueError(f"{readout} is in the shard already, before {next(reversed(self.readouts))}")
        limit = np.finfo(self._dtype).max
        if flux_nmgy.size and not max(-flux_nmgy.min(), flux_nmgy.max()) <= limit:
            raise ValueError(
                f"{readout}: fluxes from {flux_nmgy.min()} to {flux_nmgy.max()} nmgy; {self._dtype.name} holds "
                f"finite ones up to {limit}: set dtype to float32, or leave the frame out"
            )
        self._stream.write(np.ascontiguousarray(flux_nmgy, dtype=self._dtype).data)
        self.readouts[readout] = self.readouts.get(readout, 0) + len(flux_nmgy)

    def finish(self) -> None:
        """Write the number of tiles into the header: numpy leaves room for it."""
        self._stream.seek(0)
        self._write_header()

    def _write_header(self) -> None:
        np.lib.format.write_array_header_1_0(
            self._stream,
            {"descr": self._dtype.str, "fortran_order": False, "shape": (sum(self.readouts.values()), *self._tile)},
        )


@contextmanager
def write_shard(path: Path, tile: tuple[int, int, int], dtype: str) -> Iterator[ShardWriter]:
    """A writer of the shard at `path` for tiles shaped `tile` (bands, H, W): the file is there whole or not at all."""
    with write_atomically(path) as temporary, temporary.open("wb") as stream:
        writer = ShardWriter(stream, tile, dtype)
        yield writer
        writer.finish()


def describe_shard(path: Path, readouts: Mapping[str, int]) -> Shard:
    """The card's entry of the shard at `path`, whose tiles are of `readouts`."""
    return Shard(name=path.name, tiles=sum(readouts.values()), readouts=dict(readouts), sha256=sha256_file(path))


def data_hash(
    shards: Mapping[Split, Sequence[Shard]],
    conditions: Mapping[str, Sequence[BandConditions]],
    densities: Mapping[str, Density],
) -> str:
    """The SHA-256 over the hashes of all shards, in the order of splits and shards, over conditions and densities."""
    hashes = [shard.sha256 for split in SPLITS for shard in shards[split]]
    measured = [(readout, [band.model_dump() for band in bands]) for readout, bands in conditions.items()]
    dense = [(field, density.model_dump()) for field, density in densities.items()]
    return hashlib.sha256(json.dumps([hashes, measured, dense]).encode()).hexdigest()


def write_card(folder: Path, card: TileSetCard) -> None:
    """Write the card, which makes the store whole: call it last."""
    write_json(folder / CARD, card.model_dump())
