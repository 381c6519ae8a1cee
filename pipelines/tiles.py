"""DVC stage tiles@SET: frames → the tile store of one set. Usage: python pipelines/tiles.py SET"""

import sys
from pathlib import Path

from tqdm import tqdm

from skygen.params import load
from skygen.tiles.build import build_tile_set


def main(tiles: str) -> None:
    """Build the tile set `tiles` as params.yaml says."""
    params = load(Path("params.yaml"))
    card = build_tile_set(
        Path("data/frames"),
        Path("data/tiles") / tiles,
        tiles,
        params.tiles[tiles],
        params.chosen.tiles[tiles],
        progress=lambda work: tqdm(work, desc=f"tiles {tiles}", unit="field"),
    )
    for split, shards in card.shards.items():
        count = sum(shard.tiles for shard in shards)
        print(f"{split}: {count} tiles of {len(card.fields[split])} fields; {card.survival[split]:.0%} of places kept")


if __name__ == "__main__":
    main(*sys.argv[1:])
