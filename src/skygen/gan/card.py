"""A generator on disk: its weights, and the card that says where it comes from and how to run it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as safetensors_of

from skygen.files import read_json, write_atomically, write_json
from skygen.gan.networks import Discriminator, Generator, GeneratorShape
from skygen.gan.recipes import Recipe
from skygen.params import Section, Size, validate
from skygen.process.generator import Process
from skygen.sky.conditions import BandConditions, Density
from skygen.sky.stretch import Stretch

WEIGHTS, CARD = "generator.safetensors", "card.json"
_REMEDY = "train it anew, or copy it again from where it was made"


class BundleError(ValueError):
    """A folder is not a usable bundle; the message gives the file, the cause and what to do."""


class ProcessShape(Section):
    """What a process is made of."""

    bands: int
    reference: int


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
    generator: GeneratorShape | ProcessShape
    latents: Literal["normal", "uniform"]
    psf_share: float | None  # of the kernel by which scenes are blurred; null where they are painted as seen
    conditions: list[list[BandConditions]] | None  # fields with their bands, for scenes; null where noise is painted
    require_source: bool = False
    source_snr: float = 10.0
    densities: list[Density] | None = None
    iteration: int
    images_seen: int
    validation: dict[str, float]  # the metrics by which this checkpoint was chosen
    data_hash: str
    commit: str
    trained_at: str  # ISO 8601, UTC
    versions: dict[str, str]

    @property
    def stretch(self) -> Stretch:
        """The stretch with which this recipe's networks see flux."""
        return Stretch(self.softening_nmgy, self.limit_nmgy)


def load_generator(folder: Path) -> tuple[Card, Generator | Process]:
    """The card and the generator in `folder`; raises `BundleError` for what is missing, damaged or does not fit."""
    for name in (WEIGHTS, CARD):
        if not (folder / name).is_file():
            raise BundleError(f"{folder / name}: missing; a bundle holds {WEIGHTS} and {CARD}")
    try:
        card = validate(Card, read_json(folder / CARD), str(folder / CARD))
    except ValueError as error:
        raise BundleError(f"{error}; {_REMEDY}") from error
    generator: Generator | Process
    if isinstance(card.generator, ProcessShape):
        generator = Process(card.generator.bands, card.generator.reference)
    else:
        generator = Generator(card.generator)
    _load_weights(generator, folder / WEIGHTS)
    return card, generator.eval().requires_grad_(False)


def save(folder: Path, weights: Mapping[str, torch.Tensor], card: Card) -> None:
    """Write a bundle of a generator's state and its card to `folder`; each file appears whole or not at all."""
    save_weights(folder / WEIGHTS, weights)
    write_json(folder / CARD, card.model_dump())


def save_weights(path: Path, weights: Mapping[str, torch.Tensor]) -> None:
    """Write a network's state as safetensors."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    with write_atomically(path) as temporary:
        temporary.write_bytes(safetensors_of(tensors))  # `save_file` would put another file in the place of the locked


def load_discriminator(path: Path, card: Card) -> Discriminator:
    """The discriminator that was trained with the bundle of `card`; raises `BundleError` where `path` is not it."""
    row = validate(Recipe, card.row, str(path))
    discriminator = Discriminator(card.size, len(card.bands), card.generator.width, row.norm, row.logit_slope)
    _load_weights(discriminator, path)
    return discriminator


def _load_weights(network: Generator | Process | Discriminator, path: Path) -> None:
    try:
        network.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise BundleError(f"{path}: {error}; {_REMEDY}") from error
