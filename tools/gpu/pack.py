"""A small part of each tile set as stores to carry to another machine: python -m tools.gpu.pack, or make gpu-pack.

Tiles are taken evenly from every readout, in float16, so that all stores together stay under 64 MiB.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from skygen.files import replace_folder
from skygen.sky.readout import field_of
from skygen.tiles.store import Shard, Split, TileSetCard, TileStore
from skygen.tiles.writer import data_hash, describe_shard, write_card, write_shard

MOST_MIB = 64
TILES: dict[str, dict[Split, int]] = {  # 8, 96 and 24 KiB each
    "r64": {"train": 1024, "validation": 128},
    "gri128": {"train": 192, "validation": 64},
    "sky": {"train": 768, "validation": 128},
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Pack the stores that are asked for; say how large they are."""
    parser = argparse.ArgumentParser(prog="python -m tools.gpu.pack", description="Pack small tile stores.")
    parser.add_argument("--tiles", type=Path, default=Path("data/tiles"), help="the folder of the tile sets")
    parser.add_argument("--out", type=Path, default=Path("data/gpu"), help="the folder to write to")
    asked = parser.parse_args(arguments)
    try:
        pack(asked.tiles, asked.out)
    except (ValueError, OSError) as error:
        sys.exit(f"gpu-pack: {error}")
    for name in TILES:
        print(f"{asked.out / name}: {_mib(asked.out / name):.1f} MiB")


def pack(tiles: Path, out: Path) -> None:
    """Write a part of each set in `tiles` to `out`; raises `ValueError` where together they are too large."""
    for name, most in TILES.items():
        store = TileStore.open(tiles / name)
        with replace_folder(out / name) as folder:
            _pack_set(store, folder, most)
    if (size := sum(_mib(out / name) for name in TILES)) > MOST_MIB:
        raise ValueError(f"the stores in {out} have {size:.0f} MiB, more than {MOST_MIB}")


def _pack_set(store: TileStore, folder: Path, most: dict[Split, int]) -> None:
    """Write a part of a store, and the card of that part."""
    shards: dict[Split, list[Shard]] = {"test": []}
    for split, number in most.items():
        shards[split] = [_pack_split(store, folder / f"{split}.npy", split, number)]
    names = dict.fromkeys(name for of_split in shards.values() for shard in of_split for name in shard.readouts)
    conditions = {name: store.card.conditions[name] for name in names}
    densities = {field: store.card.densities[field] for field in dict.fromkeys(map(field_of, names))}
    values = store.card.model_dump() | {"dtype": "float16", "left_out": {}}
    values |= {
        "fields": {split: list(dict.fromkeys(f for one in of for f in one.fields)) for split, of in shards.items()},
        "conditions": {name: [band.model_dump() for band in bands] for name, bands in conditions.items()},
        "densities": {field: density.model_dump() for field, density in densities.items()},
        "shards": {split: [shard.model_dump() for shard in of] for split, of in shards.items()},
        "data_hash": data_hash(shards, conditions, densities),
    }
    write_card(folder, TileSetCard.model_validate(values))


def _pack_split(store: TileStore, path: Path, split: Split, number: int) -> Shard:
    tiles = store.split(split)
    readouts = np.array(tiles.readouts())
    with write_shard(path, (len(store.card.bands), store.card.size, store.card.size), "float16") as writer:
        for name in dict.fromkeys(readouts.tolist()):
            of_readout = np.flatnonzero(readouts == name)
            wanted = -(-number * len(of_readout) // len(tiles))
            writer.add(name, tiles.batch(_evenly(of_readout, wanted)))
    return describe_shard(path, writer.readouts)


def _evenly(indices: NDArray[np.int64], number: int) -> NDArray[np.int64]:
    return np.unique(indices[np.linspace(0, len(indices) - 1, number).round().astype(int)])


def _mib(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.iterdir()) / 2**20


if __name__ == "__main__":
    main()
