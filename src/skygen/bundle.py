"""The bundle: a generator's weights and its card, and from them tiles in flux by seed.

All that serving and the command line need. A bundle is a folder of two files, `generator.safetensors` and `card.json`;
its hash names it.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal, TypeGuard

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from skygen.files import read_json, sha256_folder, write_atomically, write_json
from skygen.gan.latents import Stream, latents_of, noise_of, tile_rng
from skygen.gan.networks import Discriminator, Generator, GeneratorShape
from skygen.gan.recipes import Recipe
from skygen.gan.view import Conditions, Sky, View
from skygen.params import Section, Size, validate
from skygen.sky.conditions import BandConditions, FieldConditions
from skygen.sky.stretch import Stretch

WEIGHTS, CARD = "generator.safetensors", "card.json"
_REMEDY = "train it anew, or fetch it again with dvc pull"
SURVEY: Final = "survey"
Noise = Literal["survey", "none"] | float
Seeing = Literal["survey"] | float
MOST_NOISE_NMGY = 10.0  # of a level: three hundred times the survey's
SEEING_ARCSEC = (0.6, 3.0)  # least and most: the pixels are too coarse for less, the PSF's image too small for more
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
    generator: GeneratorShape
    latents: Literal["normal", "uniform"]
    psf_share: float | None  # of the kernel by which scenes are blurred; null where they are painted as seen
    conditions: list[list[BandConditions]] | None  # fields with their bands, for scenes; null where noise is painted
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


class Bundle:
    """A generator ready to draw tiles."""

    def __init__(self, card: Card, generator: Generator, sha256: str, device: torch.device) -> None:
        self.card, self.sha256 = card, sha256
        self._generator, self._device = generator.to(device).eval().requires_grad_(False), device
        self._view = View(card.stretch, card.conditions is not None, card.psf_share)

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
        generator = Generator(card.generator)
        _load_weights(generator, folder / WEIGHTS)
        return cls(card, generator, sha256_folder(folder), torch.device(device))

    def generate(
        self,
        seed: int,
        n: int,
        first: int = 0,
        noise: Noise = SURVEY,
        seeing: Seeing = SURVEY,
        conditions: Sequence[FieldConditions] | None = None,
    ) -> NDArray[np.float32]:
        """Tiles `first` to `first + n - 1` of `seed` as flux [n, bands, H, W] in nmgy.

        Tile i of a seed is the same for every `n` and `first`, bit for bit on the same kind of device. On the CPU each
        pass runs on one thread, and passes run beside each other: with more threads, convolutions are split by batch
        size and number of cores, and a tile's last bits with them.

        Of a recipe that paints scenes, a tile is observed under the conditions of one of the training fields, or under
        its own of `conditions` [n]. `noise` is the survey's, none at all, or a level in nmgy for r, the other bands in
        proportion: as a longer or shorter exposure would have it, sources included. `seeing` is the survey's, or the
        FWHM in arcsec of the PSF in every band. The scene is the same whatever both are. Raises `BundleError` where the
        recipe has no noise model or no PSF to choose by, and `ValueError` for a level or a FWHM out of range.
        """
        observed = self.conditions(seed, n, first, noise, seeing, conditions)

        def draw(rows: torch.Tensor) -> NDArray[np.float32]:
            indices = range(first, first + n)[int(rows[0]) : int(rows[-1]) + 1]
            return self._draw(seed, indices, None if observed is None else observed.take(rows))

        passes = torch.split(torch.arange(n), _TILES_A_PASS)
        if self._device.type != "cpu" or len(passes) == 1:
            return np.concatenate([draw(rows) for rows in passes])
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return np.concatenate(list(pool.map(draw, passes)))

    def conditions(
        self,
        seed: int,
        n: int,
        first: int = 0,
        noise: Noise = SURVEY,
        seeing: Seeing = SURVEY,
        of_fields: Sequence[FieldConditions] | None = None,
    ) -> Conditions | None:
        """What `generate` observes these tiles under; None where the recipe paints its noise. Raises as `generate`."""
        check_noise(noise)
        check_seeing(seeing)
        card = self.card
        if noise != SURVEY and card.conditions is None:
            raise BundleError(f"recipe {card.recipe} paints its noise: noise must be {SURVEY!r}, not {noise!r}")
        if seeing != SURVEY and card.psf_share is None:
            raise BundleError(f"recipe {card.recipe} has no PSF: seeing must be {SURVEY!r}, not {seeing!r}")
        if card.conditions is None:
            return None
        fields = of_fields or [_choose(card.conditions, seed, index) for index in range(first, first + n)]
        if len(fields) != n:
            raise ValueError(f"conditions of {len(fields)} tiles for {n} tiles; give one a tile")
        found = Conditions.of_fields(fields, card.pixel_scale_arcsec)
        if noise != SURVEY:
            r = card.bands.index("r")
            found = found.exposed(torch.zeros(1) if noise == "none" else noise / found.sky_noise_nmgy[:, r : r + 1])
        if seeing != SURVEY:
            found = found._replace(psf_fwhm_px=torch.full_like(found.psf_fwhm_px, seeing / card.pixel_scale_arcsec))
        return found

    def _draw(self, seed: int, indices: range, conditions: Conditions | None) -> NDArray[np.float32]:
        card, sky = self.card, None
        latents = latents_of(card.latents, card.generator.latent_size, seed, indices).to(self._device)
        if conditions is not None:
            sky = Sky(conditions, noise_of((len(card.bands), card.size, card.size), seed, indices)).to(self._device)
        with _one_thread(), torch.inference_mode():
            flux = self._view.flux(self._generator(latents), sky)
        return np.asarray(flux.cpu().numpy())


def check_noise(noise: Noise) -> None:
    """Raise `ValueError` where `noise` is neither survey, nor none, nor a level in range."""
    if noise not in (SURVEY, "none") and not (_is_number(noise) and 0 < noise <= MOST_NOISE_NMGY):
        limits = f"a level above 0 and at most {MOST_NOISE_NMGY} nmgy"
        raise ValueError(f"noise is {noise!r}; it must be {SURVEY!r}, 'none' or {limits}")


def check_seeing(seeing: Seeing) -> None:
    """Raise `ValueError` where `seeing` is neither survey nor a FWHM in range."""
    least, most = SEEING_ARCSEC
    if seeing != SURVEY and not (_is_number(seeing) and least <= seeing <= most):
        raise ValueError(f"seeing is {seeing!r}; it must be {SURVEY!r} or a FWHM from {least} to {most} arcsec")


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _choose(conditions: Sequence[FieldConditions], seed: int, index: int) -> FieldConditions:
    """The field under which tile `index` of `seed` is observed."""
    return conditions[int(tile_rng(seed, index, Stream.CONDITIONS).integers(len(conditions)))]


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
    row = validate(Recipe, card.row, str(path))
    discriminator = Discriminator(card.size, len(card.bands), card.generator.width, row.norm, row.logit_slope)
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
