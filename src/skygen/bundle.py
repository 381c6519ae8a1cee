"""The bundle: a generator's weights and its card, and from them tiles in flux by seed.

All that serving and the command line need. A bundle is a folder of two files, `generator.safetensors` and `card.json`;
its hash names it.
"""

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from skygen.files import read_json, sha256_folder, write_atomically, write_json
from skygen.gan.latents import latents_of
from skygen.gan.networks import Discriminator, Generator
from skygen.params import Section, Size, validate
from skygen.sky.stretch import Stretch

WEIGHTS, CARD = "generator.safetensors", "card.json"
_REMEDY = "train it anew, or fetch it again with dvc pull"
_TILES_A_PASS = 8  # the unit of work of one core; it does not change a tile's bytes


class BundleError(ValueError):
    """A folder is not a usable bundle; the message gives the file, the cause and what to do."""


class Card(Section):
    """Where a generator comes from and how to run it."""

    tiles: str
    recipe: str
    seed: int
    scale: str
    row: dict[str, Any]  # the recipe as it ran, the scale's factors applied
    size: Size
    bands: list[str]
    softening_nmgy: float
    limit_nmgy: float
    pixel_scale_arcsec: float
    latent_size: int
    latents: Literal["normal", "uniform"]
    width: int
    iteration: int
    images_seen: int
    validation: dict[str, float]  # the metrics by which this checkpoint was chosen
    data_hash: str
    commit: str
    trained_at: str  # ISO 8601, UTC
    versions: dict[str, str]


class Bundle:
    """A generator ready to draw tiles."""

    def __init__(self, card: Card, generator: Generator, sha256: str, device: torch.device) -> None:
        self.card, self.sha256 = card, sha256
        self._generator, self._device = generator.to(device).eval().requires_grad_(False), device
        self._stretch = Stretch(card.softening_nmgy, card.limit_nmgy)

    @classmethod
    def load(cls, folder: Path, device: torch.device | str = "cpu") -> "Bundle":
        """The bundle in `folder`; raises `BundleError` where a file is missing, damaged or does not fit the card."""
        for name in (WEIGHTS, CARD):
            if not (folder / name).is_file():
                raise BundleError(f"{folder / name}: missing; a bundle holds {WEIGHTS} and {CARD}")
        try:
            card = validate(Card, read_json(folder / CARD), str(folder / CARD))
        except ValueError as error:
            raise BundleError(f"{error}; {_REMEDY}") from error
        generator = Generator(card.size, len(card.bands), card.width, card.latent_size)
        _load_weights(generator, folder / WEIGHTS)
        return cls(card, generator, sha256_folder(folder), torch.device(device))

    def generate(self, seed: int, n: int, first: int = 0) -> NDArray[np.float32]:
        """Tiles `first` to `first + n - 1` of `seed` as flux [n, bands, H, W] in nmgy.

        Tile i of a seed is the same for every `n` and `first`, bit for bit on the same kind of device. On the CPU each
        pass runs on one thread, and passes run beside each other: with more threads, convolutions are split by batch
        size and number of cores, and a tile's last bits with them.
        """
        indices = range(first, first + n)
        passes = [indices[start : start + _TILES_A_PASS] for start in range(0, n, _TILES_A_PASS)]
        if self._device.type != "cpu" or len(passes) == 1:
            return np.concatenate([self._draw(seed, part) for part in passes])
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return np.concatenate(list(pool.map(partial(self._draw, seed), passes)))

    def _draw(self, seed: int, indices: range) -> NDArray[np.float32]:
        latents = latents_of(self.card.latents, self.card.latent_size, seed, indices).to(self._device)
        with _one_thread(), torch.inference_mode():
            flux = self._stretch.unstretch(self._generator(latents))
        return np.asarray(flux.cpu().numpy())


@contextmanager
def _one_thread() -> Iterator[None]:
    """Run torch on one thread, for calls from this thread alone: the number is a property of the caller's thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def save(folder: Path, weights: Mapping[str, torch.Tensor], card: Card) -> None:
    """Write a bundle of a generator's state and its card to `folder`; each file appears whole or not at all."""
    save_weights(folder / WEIGHTS, weights)
    write_json(folder / CARD, card.model_dump())


def save_weights(path: Path, weights: Mapping[str, torch.Tensor]) -> None:
    """Write a network's state as safetensors."""
    with write_atomically(path) as temporary:
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}, temporary)


def load_discriminator(path: Path, card: Card) -> Discriminator:
    """The discriminator that was trained with the bundle of `card`; raises `BundleError` where `path` is not it."""
    discriminator = Discriminator(card.size, len(card.bands), card.width, card.row["logit_slope"])
    _load_weights(discriminator, path)
    return discriminator


def _load_weights(network: Generator | Discriminator, path: Path) -> None:
    try:
        network.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise BundleError(f"{path}: {error}; {_REMEDY}") from error


def _load_pyfunc(path: str) -> "_PyFunc":
    """MLflow's entry for a bundle logged as a model: `predict({"seed": [7], "n": [4]})` gives [4, bands, H, W]."""
    return _PyFunc(Bundle.load(Path(path)))


class _PyFunc:
    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle

    def predict(self, request: Any) -> NDArray[np.float32]:
        rows = zip(np.atleast_1d(request["seed"]), np.atleast_1d(request["n"]), strict=True)
        return np.concatenate([self._bundle.generate(int(seed), int(n)) for seed, n in rows])
