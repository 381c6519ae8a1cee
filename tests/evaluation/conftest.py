from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from skygen.tiles.store import Split, TileStore

WriteStore = Callable[..., TileStore]


@pytest.fixture
def write_store(write_fields: WriteStore) -> WriteStore:
    """Writes a store of given tiles [N, bands, H, W], which lie in a field per run."""

    def write(folder: Path, bands: str, tiles: Mapping[Split, Mapping[int, np.ndarray]]) -> TileStore:
        fields = {split: {f"{run}-1-1": flux for run, flux in runs.items()} for split, runs in tiles.items()}
        return write_fields(folder, bands, fields)

    return write
