"""The features of a run's training tiles, on disk: generated tiles are held against them, lest they be copies.

A safetensors file, whose header names the encoder and the tiles by their hashes.
"""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from tqdm import tqdm

from skygen.encoder.network import Encoder
from skygen.files import write_atomically
from skygen.tiles.store import TileStore

_AT_ONCE = 500  # tiles in memory
_NAME, _ORIGIN = "train", "origin"  # one key, since the header's have no order of their own


def features_path(tiles: str) -> Path:
    """Where the stage controls leaves those of a tile set."""
    return Path("data/features") / f"{tiles}.safetensors"


def write_features(path: Path, encoder: Encoder, store: TileStore) -> None:
    """Write the features of every training tile of `store`, in the split's order, to `path`: whole or not at all."""
    split = store.split("train")
    features = np.empty((len(split), encoder.card.features), np.float32)
    with tqdm(total=len(split), desc="describing training tiles", unit="tile") as bar:
        for start in range(0, len(split), _AT_ONCE):
            indices = range(start, min(start + _AT_ONCE, len(split)))
            features[start : indices.stop] = encoder.encode(split.batch(indices))
            bar.update(len(indices))
    with write_atomically(path) as temporary:
        temporary.write_bytes(save({_NAME: features}, {_ORIGIN: json.dumps(_origin(encoder, store))}))


def read_features(path: Path, encoder: Encoder, store: TileStore) -> NDArray[np.float32]:
    """The features [tiles, features] of the training tiles of `store` by `encoder`.

    Raises `FileNotFoundError` where `path` is missing, `ValueError` where it is damaged or was written with another
    encoder or other tiles.
    """
    remedy = f"run the stage controls@{store.card.name}"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no features of the training tiles; {remedy}")
    try:
        with safe_open(path, "numpy") as file:
            origin = json.loads(file.metadata()[_ORIGIN])
            features: NDArray[np.float32] = file.get_tensor(_NAME)
    except (OSError, SafetensorError, TypeError, KeyError) as error:
        raise ValueError(f"{path}: not the features of training tiles ({error}); {remedy}") from error
    for what, ours in _origin(encoder, store).items():
        if origin[what] != ours:
            raise ValueError(f"{path} was made with the {what} {origin[what][:12]}, not {ours[:12]}; {remedy}")
    wanted = (len(store.split("train")), encoder.card.features)
    if features.dtype != np.float32 or features.shape != wanted:
        raise ValueError(f"{path} holds {features.dtype} {features.shape}, not float32 {wanted}; {remedy}")
    return features


def _origin(encoder: Encoder, store: TileStore) -> dict[str, str]:
    return {"encoder": encoder.sha256, "tiles": store.card.data_hash}
