"""The bundle: a generator's weights and its card, and from them tiles in flux by seed.

All that serving and the command line need. A bundle is a folder of two files, `generator.safetensors` and `card.json`;
its hash names it.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from skygen.bundle.engines import EngineName, NamedEngine, engine_for
from skygen.bundle.tile import SURVEY, Noise, Seeing, Tile, row
from skygen.cores import cores, one_thread
from skygen.files import sha256_folder
from skygen.formats.origin import Origin
from skygen.gan.camera import Camera, Conditions, Sky
from skygen.gan.card import BundleError, Card, load_generator
from skygen.gan.latents import Stream, latents_of, noise_of, tile_rng, walk_latents
from skygen.sky.conditions import FieldConditions

TILES_A_PASS = 8  # the unit of work of one core; it does not change a tile's bytes


class PaintedError(BundleError):
    """A recipe cannot give what is asked of a tile: `name` is noise or seeing."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


class Bundle:
    """A generator ready to draw tiles."""

    def __init__(self, card: Card, engine: NamedEngine, sha256: str, device: torch.device) -> None:
        self.card, self.sha256, self.engine, self.device = card, sha256, engine.name, device.type
        self._engine, self._device = engine, device
        self._camera = Camera(card.stretch, card.conditions is not None, card.psf_share)

    @classmethod
    def load(cls, folder: Path, device: torch.device | str = "cpu", engine: EngineName = "auto") -> "Bundle":
        """The bundle in `folder`; raises `BundleError` where a file is missing, damaged or does not fit the card.

        `engine` is what computes the network (see `skygen.bundle.engines`): the bits of a tile are an engine's own.
        """
        (card, generator), chosen = load_generator(folder), torch.device(device)
        return cls(card, engine_for(generator, chosen, engine), sha256_folder(folder), chosen)

    def generate(
        self,
        seed: int,
        n: int,
        first: int = 0,
        noise: Noise = SURVEY,
        seeing: Seeing = SURVEY,
        conditions: Sequence[FieldConditions] | None = None,
    ) -> NDArray[np.float32]:
        """Tiles `first` to `first + n - 1` of `seed` as flux [n, bands, H, W] in nmgy; see `Tile`, and `draw_all`.

        Each is observed under its own of `conditions` [n], where they are given.
        """
        tiles = row(seed, n, first, noise, seeing)
        if conditions is not None:
            if len(conditions) != n:
                raise ValueError(f"conditions of {len(conditions)} tiles for {n} tiles; give one a tile")
            tiles = [replace(tile, field=field) for tile, field in zip(tiles, conditions, strict=True)]
        return self.draw_all(tiles)

    def draw_all(self, tiles: Sequence[Tile]) -> NDArray[np.float32]:
        """The flux [n, bands, H, W] of `tiles` in nmgy, drawn on all cores: passes run beside each other.

        A tile is the same whatever else is drawn, bit for bit with the same engine on the same kind of device. Raises
        `PaintedError` where the recipe has no noise model or no PSF to choose by.
        """
        self.conditions_of(tiles)
        passes = [tiles[start : start + TILES_A_PASS] for start in range(0, len(tiles), TILES_A_PASS)]
        if self._device.type != "cpu" or len(passes) == 1:
            return np.concatenate([self.draw(some) for some in passes])
        with ThreadPoolExecutor(cores()) as pool:
            return np.concatenate(list(pool.map(self.draw, passes)))

    def draw(self, tiles: Sequence[Tile]) -> NDArray[np.float32]:
        """One pass: the flux [n, bands, H, W] of up to 8 tiles in nmgy, computed on the calling thread alone.

        On the CPU with more threads, torch splits convolutions by batch size and number of cores, and a tile's last
        bits with them. Raises as `draw_all`.
        """
        conditions, shape = self.conditions_of(tiles), (len(self.card.bands), self.card.size, self.card.size)
        latents = torch.stack([self._latents(tile) for tile in tiles])
        with one_thread(), torch.inference_mode():
            images, sky = self._engine(latents), None
            if conditions is not None:
                draws = [noise_of(shape, tile.seed, range(tile.index, tile.index + 1)) for tile in tiles]
                sky = Sky(conditions, torch.cat(draws)).to(self._device)
            return np.asarray(self._camera.flux(images, sky).cpu().numpy())

    def check(self, tiles: Sequence[Tile]) -> None:
        """Raise `PaintedError` where `tiles` ask for noise or seeing that the recipe paints, and cannot change."""
        for name, model in (("noise", self.card.conditions), ("seeing", self.card.psf_share)):
            if model is None and any(getattr(tile, name) != SURVEY for tile in tiles):
                raise PaintedError(name, f"recipe {self.card.recipe} paints its {name}; it takes {SURVEY!r} alone")

    def conditions_of(self, tiles: Sequence[Tile]) -> Conditions | None:
        """The conditions [n, bands] of `tiles`; None where the recipe paints its noise. Raises as `draw_all`."""
        card = self.card
        self.check(tiles)
        if card.conditions is None:
            return None
        fields = [tile.field or _choose(card.conditions, tile) for tile in tiles]
        found = Conditions.of_fields(fields, card.pixel_scale_arcsec)
        if any(tile.noise != SURVEY for tile in tiles):
            in_r = found.sky_noise_nmgy[:, card.bands.index("r")]
            found = found.exposed(torch.stack([_factor(tile, level) for tile, level in zip(tiles, in_r, strict=True)]))
        if any(tile.seeing != SURVEY for tile in tiles):
            fwhm = found.psf_fwhm_px.clone()
            for place, tile in enumerate(tiles):
                if tile.seeing != SURVEY:
                    fwhm[place] = tile.seeing / card.pixel_scale_arcsec
            found = found._replace(psf_fwhm_px=fwhm)
        return found

    def origin(self, tiles: Sequence[Tile]) -> Origin:
        """What files say of `tiles`, which are in a row of one seed, or steps of one walk."""
        card, sky, tile = self.card, self.conditions_of(tiles), tiles[0]
        return Origin(
            tiles=card.tiles,
            recipe=card.recipe,
            model_sha256=self.sha256,
            seed=tile.seed,
            noise=tile.noise,
            seeing=tile.seeing,
            bands=card.bands,
            pixel_scale_arcsec=card.pixel_scale_arcsec,
            sky_noise_nmgy=None if sky is None else sky.sky_noise_nmgy.numpy(),
            first=tile.index,
            softening_nmgy=card.softening_nmgy,
            limit_nmgy=card.limit_nmgy,
            towards=None if tile.towards is None else tile.towards[0],
            shares=[step.towards[1] for step in tiles if step.towards is not None] or None,
        )

    def _latents(self, tile: Tile) -> torch.Tensor:
        seeds = [tile.seed] if tile.towards is None else [tile.seed, tile.towards[0]]
        of, indices = self.card.latents, range(tile.index, tile.index + 1)
        ends = [latents_of(of, self.card.generator.latent_size, seed, indices)[0] for seed in seeds]
        return ends[0] if tile.towards is None else walk_latents(of, ends[0], ends[1], tile.towards[1])


def _factor(tile: Tile, sky_noise_nmgy: torch.Tensor) -> torch.Tensor:
    """How many times as much noise [1] as the survey's of `sky_noise_nmgy` in r the tile is to have."""
    if isinstance(tile.noise, str):
        return torch.ones(1) if tile.noise == SURVEY else torch.zeros(1)
    return (tile.noise / sky_noise_nmgy).reshape(1)


def _choose(conditions: Sequence[FieldConditions], tile: Tile) -> FieldConditions:
    """The field under which a tile is observed."""
    return conditions[int(tile_rng(tile.seed, tile.index, Stream.CONDITIONS).integers(len(conditions)))]


def _load_pyfunc(path: str) -> "_PyFunc":
    """MLflow's entry for a bundle logged as a model: `predict({"seed": [7], "n": [4]})` gives [4, bands, H, W]."""
    return _PyFunc(Bundle.load(Path(path)))


class _PyFunc:
    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle

    def predict(self, request: Any) -> NDArray[np.float32]:
        rows = zip(np.atleast_1d(request["seed"]), np.atleast_1d(request["n"]), strict=True)
        return np.concatenate([self._bundle.generate(int(seed), int(n)) for seed, n in rows])
