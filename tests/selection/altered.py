"""Bundles whose place in a ranking is known: one that is the sky of its test, and what changes make of it."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from skygen.bundle.bundle import Bundle
from skygen.files import read_json, write_json
from skygen.gan.card import CARD, WEIGHTS
from skygen.measure.pixels import STRETCH
from skygen.tiles.store import TileStore

SKY = (("train", 1, 60), ("validation", 2, 80), ("test", 3, 8))  # split, seed and number of its tiles
Weights = dict[str, torch.Tensor]
Change = Callable[[Weights], None]


@dataclass(frozen=True)
class Eye:
    """An encoder that sees the mean and the spread of each quarter of a tile."""

    sha256: str = "eye"

    @staticmethod
    def encode(tiles: NDArray[np.floating]) -> NDArray[np.float32]:
        size = tiles.shape[-1] // 2
        seen = STRETCH.stretch(tiles).reshape(len(tiles), -1, 2, size, 2, size)
        return np.concatenate([of(axis=(1, 3, 5)).reshape(len(tiles), 4) for of in (seen.mean, seen.std)], 1)


def collapse(weights: Weights) -> None:
    """The latents have no say, so that every tile is the same."""
    weights["layers.0.weight"].zero_()


def deal_anew(weights: Weights) -> None:
    """The latents change places: tiles of the same distribution, and other ones."""
    weights["layers.0.weight"].copy_(weights["layers.0.weight"].roll(1, 0))


def brighten(weights: Weights) -> None:
    """Everything is a little brighter than the sky."""
    weights["layers.12.bias"].add_(0.02)


def spoil(weights: Weights) -> None:
    """No pixel is a number."""
    weights["layers.12.bias"].fill_(float("nan"))


def altered(original: Path, folder: Path, change: Change = lambda _: None, **card: object) -> Path:
    """The bundle `original` copied to `folder`, with a change to its weights and to its card, and another hash."""
    shutil.copytree(original, folder)
    weights = load_file(folder / WEIGHTS)
    change(weights)
    save_file(weights, folder / WEIGHTS)
    write_json(folder / CARD, read_json(folder / CARD) | {"commit": folder.name} | card)
    return folder


def write_sky(
    folder: Path, bundle: Path, write_fields: Callable[..., TileStore]
) -> tuple[TileStore, Eye, NDArray[np.float32]]:
    """A store in `folder` of tiles of the `bundle`, 80 of validation, an encoder, and the training tiles' features."""
    sky = Bundle.load(bundle)
    store = write_fields(folder, "r", {split: {f"94-1-{seed}": sky.generate(seed, n)} for split, seed, n in SKY})
    return store, Eye(), Eye.encode(store.split("train").array())
