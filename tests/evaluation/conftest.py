from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from skygen.encoder.network import Encoder
from skygen.encoder.training import train_encoder
from skygen.params import EncoderParams, EncoderTraining
from skygen.tiles.manifest import MANIFEST
from skygen.tiles.store import Split, TileStore

WriteStore = Callable[..., TileStore]
IN_A_ROW = 20  # tiles of a field, which lie beside each other


@pytest.fixture(scope="session")
def write_store(write_fields: WriteStore) -> WriteStore:
    """Writes a store of given tiles [N, bands, H, W], which lie in a field per run, on a grid."""

    def write(folder: Path, bands: str, tiles: Mapping[Split, Mapping[int, np.ndarray]]) -> TileStore:
        fields = {split: {f"{run}-1-1": flux for run, flux in runs.items()} for split, runs in tiles.items()}
        store = write_fields(folder, bands, fields)
        place = [
            (split, index) for split, runs in tiles.items() for flux in runs.values() for index in range(len(flux))
        ]
        split, index = (list(column) for column in zip(*place, strict=True))
        row, column = np.divmod(index, IN_A_ROW)
        size = store.card.size
        pq.write_table(pa.table({"split": split, "x": column * size, "y": row * size}), folder / MANIFEST)
        return store

    return write


@pytest.fixture(scope="session")
def sky() -> Callable[..., np.ndarray]:
    """A function: so many tiles of noise of 0.025 nmgy, each with one round source of random place, size and flux."""

    def draw(seed: int, count: int, size: int = 64, bands: int = 1) -> np.ndarray:
        rng = np.random.default_rng(seed)
        tiles = rng.normal(0, 0.025, (count, bands, size, size))
        rows, columns = np.mgrid[:size, :size]
        middle = (0.25 * size, 0.75 * size)
        limits = np.array([middle, middle, (1.2, 2.4), (1.6, 3.9)]).T  # x, y, width in px, log flux
        for index, (x, y, width, log_flux) in enumerate(rng.uniform(*limits, (count, 4))):
            spot = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * width**2))
            tiles[index] += np.exp(log_flux) * spot / spot.sum()
        return tiles.astype(np.float32)

    return draw


@pytest.fixture(scope="session")
def write_places() -> Callable[[Path, Sequence[tuple[int, int]]], None]:
    """A function: in the manifest in `folder`, these corners (x, y) of the training tiles, and of no others."""

    def write(folder: Path, corners: Sequence[tuple[int, int]]) -> None:
        x, y = zip(*corners, strict=True)
        pq.write_table(pa.table({"split": ["train"] * len(x), "x": x, "y": y}), folder / MANIFEST)

    return write


@pytest.fixture(scope="session")
def sky_store(tmp_path_factory, write_store: WriteStore, sky: Callable[..., np.ndarray]) -> TileStore:
    """A store of 300 training, 40 validation and 120 test tiles of `sky`, of four fields."""
    tiles = {
        "train": {94: sky(10, 150), 1035: sky(11, 150)},
        "validation": {1043: sky(12, 40)},
        "test": {1992: sky(13, 120)},
    }
    return write_store(tmp_path_factory.mktemp("sky") / "r64", "r", tiles)


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory, sky_store: TileStore) -> Encoder:
    """An encoder of `sky_store`, trained for a few steps."""
    training = EncoderTraining(train_a_field=150, iterations=60, batch=16, width=4)
    params = EncoderParams(fields=3, seed=0, features=16, lr=1e-3, sets={"r64": training})
    return train_encoder(tmp_path_factory.mktemp("encoder"), sky_store, params, training)


@pytest.fixture(scope="session")
def train_features(encoder: Encoder, sky_store: TileStore) -> np.ndarray:
    """The features of the training tiles of `sky_store`."""
    return encoder.encode(sky_store.split("train").array())
