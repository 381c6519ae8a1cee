"""A generator on disk: its weights, and the card that says where it comes from and how to run it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Discriminator as Discriminant
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as safetensors_of
from torch import nn

from skygen.files import read_json, write_atomically, write_json
from skygen.gan.networks import Discriminator, Generator, GeneratorShape, discriminator_of
from skygen.gan.recipes import ConvolutionalRecipe
from skygen.params import Flag, Section, Size, validate
from skygen.process.generator import Process, ProcessShape
from skygen.sky.conditions import BandConditions, Density
from skygen.sky.stretch import Stretch

WEIGHTS, CARD = "generator.safetensors", "card.json"
_REMEDY = "train it anew, or copy it again from where it was made"


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
    generator: Annotated[GeneratorShape | ProcessShape, Discriminant("kind")]
    latents: Literal["normal", "uniform"] | None  # null of a process
    require_source: bool  # whether a tile of a process is one at which a source stands out, as of its tile set
    source_snr: float  # by how much
    drop: list[Flag] = Field(default_factory=list)  # what spoils its tiles; a process knows the haloes of stars outside
    conditions: list[list[BandConditions]] | None  # of fields by band, for scenes; null where noise is painted
    densities: list[Density] | None  # of the fields of `conditions`; null of a network
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
    """The card and the generator in `folder`, a process in the card's bands.

    Raises `BundleError` for what is missing, damaged or does not fit.
    """
    for name in (WEIGHTS, CARD):
        if not (folder / name).is_file():
            raise BundleError(f"{folder / name}: missing; a bundle holds {WEIGHTS} and {CARD}")
    try:
        card = validate(Card, read_json(folder / CARD), str(folder / CARD))
    except ValueError as error:
        raise BundleError(f"{error}; {_REMEDY}") from error
    generator = module_of(card.generator)
    _load_weights(generator, folder / WEIGHTS)
    if isinstance(generator, Process) and isinstance(card.generator, ProcessShape):
        generator = generator.in_bands([card.generator.bands.index(band) for band in card.bands])
    return card, generator.eval().requires_grad_(False)


def module_of(shape: GeneratorShape | ProcessShape) -> Generator | Process:
    """The generator of `shape`, with any weights."""
    return Process.of(shape) if isinstance(shape, ProcessShape) else Generator(shape)


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
    """The discriminator that was trained with the convolutional bundle of `card`.

    Raises `BundleError` where `path` is not it.
    """
    row = validate(ConvolutionalRecipe, card.row, str(path))
    if not isinstance(card.generator, GeneratorShape):
        raise BundleError(f"{path}: no discriminator is kept beside a process")
    discriminator = discriminator_of(row, card.size, len(card.bands), card.generator.width)
    _load_weights(discriminator, path)
    return discriminator


def _load_weights(network: nn.Module, path: Path) -> None:
    try:
        network.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise BundleError(f"{path}: {error}; {_REMEDY}") from error
