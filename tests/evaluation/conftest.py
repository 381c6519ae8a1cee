from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from skygen.tiles.split import SPLITS, Split
from skygen.tiles.store import ShardWriter, TileSetCard, TileStore, write_card

WriteStore = Callable[..., TileStore]


@pytest.fixture
def write_store() -> WriteStore:
    """Writes a store of given tiles [N, bands, H, W], which lie in a field per run."""

    def write(folder: Path, bands: str, tiles: Mapping[Split, Mapping[int, np.ndarray]]) -> TileStore:
        writer = ShardWriter(folder)
        for split, runs in tiles.items():
            for run, flux in runs.items():
                writer.add(split, flux, [{"run": run, "camcol": 1, "field": 1}] * len(flux))
        writer.close()
        card = TileSetCard(
            name=folder.name,
            size=flux.shape[-1],
            bands=list(bands),
            softening_nmgy=0.2,
            limit_nmgy=100.0,
            pixel_scale_arcsec=0.396,
            fields={split: [f"{run}-1-1" for run in tiles.get(split, {})] for split in SPLITS},
            survival=dict.fromkeys(SPLITS, 1.0),
            shards=writer.shards,
            data_hash=writer.data_hash(),
        )
        write_card(folder, card)
        return TileStore.open(folder)

    return write
