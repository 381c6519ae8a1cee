from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from skygen.tiles.split import SPLITS, Split
from skygen.tiles.store import ShardWriter, TileStore

WriteStore = Callable[..., TileStore]


@pytest.fixture
def write_store(finish_store: WriteStore) -> WriteStore:
    """Writes a store of given tiles [N, bands, H, W], which lie in a field per run."""

    def write(folder: Path, bands: str, tiles: Mapping[Split, Mapping[int, np.ndarray]]) -> TileStore:
        writer = ShardWriter(folder)
        for split, runs in tiles.items():
            for run, flux in runs.items():
                writer.add(split, flux, [{"run": run, "camcol": 1, "field": 1}] * len(flux))
        fields = {split: [f"{run}-1-1" for run in tiles.get(split, {})] for split in SPLITS}
        return finish_store(folder, writer, folder.name, flux.shape[-1], bands, fields)

    return write
