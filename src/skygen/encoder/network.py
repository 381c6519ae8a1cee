"""The frozen feature encoder: tiles in nmgy → the features in which sets of tiles are compared.

One a tile set, in `encoders/SET`: `encoder.safetensors` and `card.json`, which name it by their hash, and
`history.json`, how its training went. They are part of the project, so that values of all runs and machines compare;
`make encoders` trains them anew.
"""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as safetensors_of
from torch import nn
from torch.nn import functional

from skygen.cores import cores, one_thread
from skygen.files import read_json, sha256_file, write_atomically, write_json
from skygen.measure.pixels import STRETCH
from skygen.params import Section, validate
from skygen.sky.stretch import Stretch
from skygen.tiles.dataset import turn
from skygen.tiles.store import TileStore

ENCODERS = Path("encoders")
WEIGHTS, CARD, HISTORY = "encoder.safetensors", "card.json", "history.json"
FAINT = Stretch(softening_nmgy=0.02, limit_nmgy=STRETCH.limit_nmgy)  # under the noise, so that noise is loud
SYMMETRIES = 8  # of the square
_LOOKS = ((STRETCH, 10.0), (FAINT, 4.0))  # and a gain, so that sky noise comes in near 0.5
_LEVELS = 3  # of convolutions, each of which halves the side
_HIDDEN = 128
_LEAK = 0.2
_LEAST_SPREAD = 0.01  # added to a channel's variance in the square: a flat tile has features too
_REMEDY = "take it from git again, or train it with `make encoders SETS={}`"

Count = Annotated[int, Field(ge=1)]


class EncoderError(ValueError):
    """A folder is not a usable encoder, or tiles are not what it was trained for; the message says what to do."""


class EncoderCard(Section):
    """What an encoder is and what it was trained on; neither a date nor a commit, so that equal trainings are equal."""

    tiles: str
    size: Count
    bands: list[str]
    features: Count
    width: Count
    iterations: Count
    batch: Count
    lr: float
    seed: int
    properties: list[str]  # what it learnt to predict
    train_fields: list[str]  # of the simulated survey, whose seed is `seed` too
    train_tiles: Count
    data_hash: str  # of the store with these tiles


class Network(nn.Module):
    """Tiles [N, 2 bands, H, W] as `look` has them → features [N, features] in (-1, 1).

    Each band comes in twice, under the fixed stretch and under one soft enough to show the noise. Three strided
    convolutions; of every one's channels the mean, the log spread and the maximum over places are taken, so that a few
    bright sources are not averaged away, and two layers mix them. The last one is bounded: no tile, however odd, is
    so far from all others that a set's covariance is its alone.
    """

    def __init__(self, bands: int, width: int, features: int) -> None:
        super().__init__()
        channels = [len(_LOOKS) * bands, *(width * 2**level for level in range(_LEVELS))]
        self.convolutions = nn.ModuleList(nn.Conv2d(narrow, wide, 4, 2, 1) for narrow, wide in pairwise(channels))
        pooled = 3 * sum(channels[1:])
        self.norm = nn.BatchNorm1d(pooled, momentum=0.05)
        self.mix = nn.Linear(pooled, _HIDDEN)
        self.last = nn.Linear(_HIDDEN, features)

    @staticmethod
    def look(flux: torch.Tensor) -> torch.Tensor:
        """Flux [..., bands, H, W] as the convolutions see it, [..., 2 bands, H, W]: each pixel by itself."""
        return torch.cat([stretch.stretch(flux) * gain for stretch, gain in _LOOKS], -3)

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        """The features of tiles that were looked at, of this orientation alone."""
        pooled = []
        for convolution in self.convolutions:
            seen = functional.leaky_relu(convolution(seen), _LEAK)
            places = seen.flatten(2)
            mean = places.mean(2)
            spread = ((places - mean[:, :, None]).square().mean(2) + _LEAST_SPREAD**2).log() / 2
            pooled += [mean, spread, places.amax(2)]
        hidden = functional.leaky_relu(self.mix(self.norm(torch.cat(pooled, 1))), _LEAK)
        return torch.tanh(self.last(hidden) / 2)


class Frozen(nn.Module):
    """A trained network, averaged over the square's symmetries and made white: one tile in, its features out."""

    mean: torch.Tensor
    directions: torch.Tensor

    def __init__(self, network: Network, features: int) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("directions", torch.eye(features))

    def forward(self, tile: torch.Tensor) -> torch.Tensor:
        """The features [features] of `tile` [bands, H, W] in nmgy."""
        return (self.raw(tile) - self.mean) @ self.directions

    def raw(self, tile: torch.Tensor) -> torch.Tensor:
        """The network's features [features] of `tile` [bands, H, W], the mean over its eight orientations."""
        seen = self.network.look(tile)
        turned = torch.stack([turn(seen, symmetry) for symmetry in range(SYMMETRIES)])
        averaged: torch.Tensor = self.network(turned).mean(0)
        return averaged


class Encoder:
    """A frozen encoder ready to describe tiles."""

    def __init__(self, card: EncoderCard, frozen: Frozen, sha256: str, device: torch.device) -> None:
        self.card, self.sha256, self._device = card, sha256, device
        self._frozen = frozen.to(device).eval().requires_grad_(False)

    @classmethod
    def load(cls, folder: Path, device: torch.device | str = "cpu") -> "Encoder":
        """The encoder in `folder`; raises `EncoderError` where a file is missing, damaged or does not fit the card."""
        for name in (WEIGHTS, CARD):
            if not (folder / name).is_file():
                raise EncoderError(f"{folder / name}: missing; {_REMEDY.format(folder.name)}")
        try:
            card = validate(EncoderCard, read_json(folder / CARD), str(folder / CARD))
        except ValueError as error:
            raise EncoderError(f"{error}; {_REMEDY.format(folder.name)}") from error
        frozen = Frozen(Network(len(card.bands), card.width, card.features), card.features)
        try:
            frozen.load_state_dict(load_file(folder / WEIGHTS))
        except (OSError, SafetensorError, RuntimeError) as error:
            raise EncoderError(f"{folder / WEIGHTS}: {error}; {_REMEDY.format(folder.name)}") from error
        return cls(card, frozen, _hash(folder), torch.device(device))

    def encode(self, tiles: NDArray[np.floating]) -> NDArray[np.float32]:
        """The features [N, features] of `tiles` [N, bands, H, W] in nmgy: white over tiles as it was trained on.

        A tile that is turned or mirrored has the same features, to rounding. A tile goes through the network by
        itself, on one thread, and other tiles beside it: so it has the same bits in any batch on the same device.
        Raises `EncoderError` where tiles have other bands or another size, or hold NaN or infinity.
        """
        self._check(tiles)
        if self._device.type != "cpu" or len(tiles) <= 1:
            described = [self._describe(tile) for tile in tiles]
        else:
            with ThreadPoolExecutor(cores()) as pool:
                described = list(pool.map(self._describe, tiles))
        return np.array(described, dtype=np.float32).reshape(len(tiles), self.card.features)

    def _describe(self, tile: NDArray[np.floating]) -> NDArray[np.float32]:
        own = torch.from_numpy(np.array(tile, dtype=np.float32, order="C"))  # a copy: views may be read-only or turned
        with one_thread(), torch.inference_mode():
            return np.asarray(self._frozen(own.to(self._device)).cpu().numpy())

    def _check(self, tiles: NDArray[np.floating]) -> None:
        wanted = (len(self.card.bands), self.card.size, self.card.size)
        if tiles.ndim != 1 + len(wanted) or tiles.shape[1:] != wanted:
            raise EncoderError(
                f"tiles have shape {tiles.shape}; the encoder of {self.card.tiles} is for [N, bands, H, W] with "
                f"bands {''.join(self.card.bands)} and {self.card.size} px: use the encoder of these tiles' own set"
            )
        if not np.isfinite(tiles).all():
            raise EncoderError("tiles hold NaN or infinity; leave such tiles out, or look for what made them")


def save(folder: Path, frozen: Frozen, card: EncoderCard) -> None:
    """Write an encoder's weights and card to `folder`; each file appears whole or not at all."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in frozen.state_dict().items()}
    with write_atomically(folder / WEIGHTS) as temporary:
        temporary.write_bytes(safetensors_of(tensors))  # `save_file` would put another file in the place of the locked
    write_json(folder / CARD, card.model_dump())


def load_encoder(store: TileStore, device: torch.device, folder: Path = ENCODERS) -> Encoder:
    """The encoder of the tile set of `store`, on `device`; `folder` holds those of all sets.

    Raises `EncoderError`, a `ValueError`, where there is none, or one for tiles of other bands or another size.
    """
    encoder, tiles = Encoder.load(folder / store.card.name, device), store.card
    if (encoder.card.bands, encoder.card.size) != (tiles.bands, tiles.size):
        raise EncoderError(
            f"{folder / tiles.name} is for tiles of {encoder.card.size} px in {''.join(encoder.card.bands)}, those in "
            f"{store.folder} have {tiles.size} px in {''.join(tiles.bands)}: run `make encoders SETS={tiles.name}`"
        )
    return encoder


def _hash(folder: Path) -> str:
    """The hash of weights and card, not of what was made with them."""
    parts = (f"{name}\0{sha256_file(folder / name)}\n" for name in (CARD, WEIGHTS))
    return hashlib.sha256("".join(parts).encode()).hexdigest()
