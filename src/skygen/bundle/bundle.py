"""The bundle: a generator's weights and its card, and from them tiles in flux by seed.

All that serving and the command line need. A bundle is a folder of two files, `generator.safetensors` and `card.json`;
its hash names it. A convolutional generator paints tiles; of a process they are cut from an endless sky, of which any
rectangle can be had, and what lies in it is known.
"""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from skygen.bundle.convolution import Convolution
from skygen.bundle.engines import EngineName, engine_for
from skygen.bundle.observing import asked, surveyed
from skygen.bundle.plane import PlaneDrawer, places
from skygen.bundle.tile import OWN, SURVEY, Factors, Noise, Rectangle, Seeing, Tile, row
from skygen.cores import cores, one_thread
from skygen.files import sha256_folder
from skygen.formats.origin import Origin, Truth
from skygen.formats.wcs import Place
from skygen.gan.camera import Conditions
from skygen.gan.card import BundleError, Card, load_generator
from skygen.gan.networks import GeneratorShape
from skygen.process.cells import Boxes
from skygen.process.generator import Process
from skygen.sky.conditions import Density, FieldConditions

T = TypeVar("T")
# The unit of work of one core, which does not change a tile's bytes: tiles of a painter, and pixels of a process, whose
# calls cost more than their pixels. Where requests share passes they have fewer, so that nobody waits for long.
_TILES_A_PASS, _PIXELS_A_PASS, _PIXELS_SHARED = 8, 2**20, 2**18


class PaintedError(BundleError):
    """A recipe cannot give what is asked: `name` is noise, seeing, density, or model where it has no such thing."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


class Bundle:
    """A generator ready to draw tiles."""

    def __init__(self, card: Card, drawer: Convolution | PlaneDrawer, sha256: str, device: torch.device) -> None:
        self.card, self.sha256, self.engine, self.device = card, sha256, drawer.engine, device.type
        self._drawer = drawer

    @classmethod
    def load(cls, folder: Path, device: torch.device | str = "cpu", engine: EngineName = "auto") -> "Bundle":
        """The bundle in `folder`; raises `BundleError` where a file is missing, damaged or does not fit the card.

        `engine` is what computes a network of convolutions (see `skygen.bundle.engines`): the bits of a tile are an
        engine's own. A process has one engine, `plane`, whatever is asked for.
        """
        (card, generator), chosen = load_generator(folder), torch.device(device)
        drawer: Convolution | PlaneDrawer
        if isinstance(generator, Process):
            drawer = PlaneDrawer(card, generator, chosen)
        else:
            drawer = Convolution(card, _shape(card), engine_for(generator, chosen, engine))
        return cls(card, drawer, sha256_folder(folder), chosen)

    @property
    def takes(self) -> dict[str, bool]:
        """What of a tile can be chosen: noise, seeing, density; and whether there are walks, and a sky with a truth."""
        is_process = isinstance(self._drawer, PlaneDrawer)
        of_process = dict.fromkeys(("seeing", "density", "sky"), is_process)
        return {"noise": self.card.conditions is not None, **of_process, "walk": not is_process}

    @property
    def tiles_a_pass(self) -> int:
        """How many tiles requests that share a pass are to draw at once: 8 of a painter; 64 of 64 px of a process."""
        return _PIXELS_SHARED // self.card.size**2 if self.takes["sky"] else _TILES_A_PASS

    def generate(
        self,
        seed: int,
        n: int,
        first: int = 0,
        noise: Noise = SURVEY,
        seeing: Seeing = SURVEY,
        conditions: Sequence[FieldConditions] | None = None,
        density: Factors = OWN,
        densities: Sequence[Density] | None = None,
    ) -> NDArray[np.float32]:
        """Tiles `first` to `first + n - 1` of `seed` as flux [n, bands, H, W] in nmgy; see `Tile`, and `draw_all`.

        Each is observed under its own of `conditions` [n], and has its own of `densities` [n], where they are given.
        """
        tiles = row(seed, n, first, noise, seeing, density)
        if conditions is not None:
            _check_one_a_tile("conditions", conditions, n)
            tiles = [replace(tile, field=field) for tile, field in zip(tiles, conditions, strict=True)]
        if densities is not None:
            _check_one_a_tile("densities", densities, n)
            tiles = [replace(tile, field_density=of) for tile, of in zip(tiles, densities, strict=True)]
        return self.draw_all(tiles)

    def draw_all(self, tiles: Sequence[Tile]) -> NDArray[np.float32]:
        """The flux [n, bands, H, W] of `tiles` in nmgy, drawn on all cores: passes run beside each other.

        A tile is the same whatever else is drawn, bit for bit with the same engine on the same kind of device. Raises
        `PaintedError` where the recipe has no noise model or no PSF to choose by.
        """
        return np.concatenate(self._on_all_cores(self.draw, tiles))

    def draw(self, tiles: Sequence[Tile]) -> NDArray[np.float32]:
        """One pass: the flux [n, bands, H, W] of a few tiles in nmgy, computed on the calling thread alone.

        On the CPU with more threads, torch splits convolutions by batch size and number of cores, and a tile's last
        bits with them. Raises as `draw_all`.
        """
        self.check(tiles)
        drawer = self._drawer
        with one_thread(), torch.inference_mode():
            if isinstance(drawer, PlaneDrawer):
                return drawer.draw(*self._boxes(drawer, tiles))
            return drawer.draw(tiles, self._conditions(tiles))

    def truth_all(self, tiles: Sequence[Tile], min_snr: float = 0.0) -> list[Truth]:
        """What lies in each of `tiles` of a process, found on all cores; see `truth`."""
        passes = self._on_all_cores(lambda some: self.truth(some, min_snr), tiles)
        return [truth for some in passes for truth in some]

    def truth(self, tiles: Sequence[Tile], min_snr: float = 0.0) -> list[Truth]:
        """What lies in each of `tiles` of a process: objects of `min_snr` and more, a row each. Raises as `sky`.

        Where no noise is asked for, signal-to-noise ratios are by the survey's. Of a pass it is found on the calling
        thread alone.
        """
        self.check(tiles)
        drawer = self.plane_drawer()
        with one_thread(), torch.inference_mode():
            return drawer.truth(*self._boxes(drawer, [tile.with_noise() for tile in tiles]), min_snr)

    def sky(self, rectangle: Rectangle) -> NDArray[np.float32]:
        """The flux [bands, H, W] in nmgy of a rectangle of a seed's sky, drawn on all cores.

        Rectangles that overlap agree there bit for bit. One of `Rectangle.squares` is computed on the calling thread
        alone. Raises `PaintedError` where the generator is no process.
        """
        drawer, conditions = self.plane_drawer(), self._observed(rectangle)
        with one_thread(), torch.inference_mode():
            (flux,) = drawer.draw(drawer.box(rectangle, conditions), conditions)
        return np.asarray(flux)

    def sky_truth(self, rectangle: Rectangle, min_snr: float = 0.0) -> Truth:
        """What lies in a rectangle of a seed's sky; see `truth`. Raises as `sky`."""
        drawer, conditions = self.plane_drawer(), self._observed(rectangle, with_noise=True)
        with one_thread(), torch.inference_mode():
            return drawer.truth(drawer.box(rectangle, conditions), conditions, min_snr)[0]

    def plane_drawer(self) -> PlaneDrawer:
        """What draws a process; raises `PaintedError` where the generator is none."""
        if not isinstance(self._drawer, PlaneDrawer):
            raise PaintedError(
                "model",
                f"recipe {self.card.recipe} paints tiles: it has no sky beyond them, and knows no objects; ask for a "
                "recipe whose generator is a process",
            )
        return self._drawer

    def check(self, tiles: Sequence[Tile]) -> None:
        """Raise `PaintedError` where `tiles` ask for what the recipe paints and cannot change, or for no way of its."""
        plain = {"noise": SURVEY, "seeing": SURVEY, "density": OWN}
        takes, recipe = self.takes, self.card.recipe
        for name, value in plain.items():
            if not takes[name] and any(getattr(tile, name) != value for tile in tiles):
                said = repr(SURVEY) if value == SURVEY else "factors of 1"
                raise PaintedError(name, f"recipe {recipe} paints its {name}; it takes {said} alone")
        if not takes["walk"] and any(tile.towards is not None for tile in tiles):
            raise PaintedError(
                "model",
                f"recipe {recipe} has no walks: between two seeds' skies objects would appear and vanish; ask for a "
                "recipe that paints, or move over one sky",
            )

    def conditions_of(self, tiles: Sequence[Tile]) -> Conditions | None:
        """The conditions [n, bands] of `tiles`; None where the recipe paints its noise. Raises as `draw_all`."""
        self.check(tiles)
        return self._conditions(tiles)

    def _conditions(self, tiles: Sequence[Tile]) -> Conditions | None:
        survey = surveyed(self.card, tiles)
        return None if survey is None else asked(self.card, survey, tiles)

    def origin(self, tiles: Sequence[Tile]) -> Origin:
        """What files say of `tiles`, which are in a row of one seed, or steps of one walk."""
        tile, drawer = tiles[0], self._drawer
        return replace(
            self._origin(tile, self.conditions_of(tiles)),
            first=tile.index,
            towards=None if tile.towards is None else tile.towards[0],
            shares=[step.towards[1] for step in tiles if step.towards is not None] or None,
            places=places(tiles, self._boxes(drawer, tiles)[0]) if isinstance(drawer, PlaneDrawer) else None,
        )

    def sky_origin(self, rectangle: Rectangle) -> Origin:
        """What files say of a rectangle of a seed's sky. Raises as `sky`."""
        self.plane_drawer()
        place = Place(rectangle.seed, rectangle.x, rectangle.y, rectangle.width, rectangle.height)
        return replace(self._origin(rectangle.observed(), self._observed(rectangle)), places=[place])

    def _on_all_cores(self, work: Callable[[Sequence[Tile]], T], tiles: Sequence[Tile]) -> list[T]:
        """What `work` makes of each pass of `tiles`."""
        threads, most = cores(), _TILES_A_PASS
        if isinstance(self._drawer, PlaneDrawer):  # a pass as large as leaves each core as many
            rounds = math.ceil(len(tiles) * self.card.size**2 / _PIXELS_A_PASS / threads)
            most = max(most, math.ceil(len(tiles) / max(rounds, 1) / threads))
        passes = [tiles[start : start + most] for start in range(0, len(tiles), most)]
        if self.device != "cpu" or len(passes) == 1 or threads == 1:
            return [work(some) for some in passes]
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(work, passes))

    def _origin(self, tile: Tile, conditions: Conditions | None) -> Origin:
        card = self.card
        return Origin(
            tiles=card.tiles,
            recipe=card.recipe,
            model_sha256=self.sha256,
            seed=tile.seed,
            noise=tile.noise,
            seeing=tile.seeing,
            bands=card.bands,
            pixel_scale_arcsec=card.pixel_scale_arcsec,
            sky_noise_nmgy=None if conditions is None else conditions.sky_noise_nmgy.numpy(),
            sky_level_nmgy=None if conditions is None else conditions.sky_level_nmgy.numpy(),
            softening_nmgy=None if self.takes["sky"] else card.softening_nmgy,
            limit_nmgy=None if self.takes["sky"] else card.limit_nmgy,
            density=tile.density if self.takes["density"] else None,
        )

    def _observed(self, rectangle: Rectangle, with_noise: bool = False) -> Conditions:
        """The conditions of a rectangle, whose bands are aligned."""
        tile = rectangle.observed()
        return _known(self.conditions_of([tile.with_noise() if with_noise else tile]))._replace(offset_px=None)

    def _boxes(self, drawer: PlaneDrawer, tiles: Sequence[Tile]) -> tuple[Boxes, Conditions]:
        """Where `tiles` of a process lie, and what they are observed under."""
        survey = _known(surveyed(self.card, tiles))
        conditions = asked(self.card, survey, tiles)
        return drawer.boxes(tiles, survey, conditions), conditions


def _shape(card: Card) -> GeneratorShape:
    """The shape of a convolutional generator."""
    if not isinstance(card.generator, GeneratorShape):
        raise BundleError("the card is of a process, and its weights are not; train it anew")
    return card.generator


def _known(conditions: Conditions | None) -> Conditions:
    """The conditions, which the card of a process has."""
    if conditions is None or conditions.density is None:
        raise BundleError("the card of a process lacks conditions or densities; train it anew")
    return conditions


def _check_one_a_tile(name: str, given: Sequence[object], n: int) -> None:
    if len(given) != n:
        raise ValueError(f"{name} of {len(given)} tiles for {n} tiles; give one a tile")


def _load_pyfunc(path: str) -> "_PyFunc":
    """MLflow's entry for a bundle logged as a model: `predict({"seed": [7], "n": [4]})` gives [4, bands, H, W]."""
    return _PyFunc(Bundle.load(Path(path)))


class _PyFunc:
    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle

    def predict(self, request: Any) -> NDArray[np.float32]:
        rows = zip(np.atleast_1d(request["seed"]), np.atleast_1d(request["n"]), strict=True)
        return np.concatenate([self._bundle.generate(int(seed), int(n)) for seed, n in rows])
