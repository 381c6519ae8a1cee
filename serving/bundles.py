"""The bundles that a service holds, by tile set and recipe; the champion of each set, and real tiles beside them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from serving.requests import CHAMPION, RequestError
from skygen.bundle.bundle import Bundle, PaintedError
from skygen.bundle.engines import EngineName
from skygen.bundle.tile import Tile
from skygen.files import read_json, sha256_file
from skygen.gan.card import BundleError
from skygen.params import Section, validate
from skygen.release import CATALOGUE, REAL, Contents


class RealCard(Section):
    """real.json: where the real tiles of a set come from."""

    source: str  # of the frames: simulated, sdss or local
    split: str
    fields: list[str]  # of each tile


@dataclass(frozen=True)
class RealTiles:
    """Held-out tiles of the data that generators were trained on, [N, bands, H, W] in nmgy."""

    card: RealCard
    flux: NDArray[np.float32]


@dataclass(frozen=True)
class ServedBundles:
    """Loaded bundles `bundles[tiles][recipe]`; `champions[tiles]`, the recipe that won; `real[tiles]`, if any.

    `versions[tiles]` is the champion's in the registry, where that is known.
    """

    bundles: dict[str, dict[str, Bundle]]
    champions: dict[str, str]
    real: dict[str, RealTiles]
    versions: dict[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, folder: Path, device: torch.device, engine: EngineName = "auto") -> Self:
        """What `folder` holds: catalogue.json, and each bundle that it names in SET/RECIPE, with the hash that it says.

        Raises `FileNotFoundError` where catalogue.json is missing, and `BundleError` for a bundle that is missing,
        damaged or another than the one that was packaged.
        """
        if not (folder / CATALOGUE).is_file():
            raise FileNotFoundError(
                f"{folder / CATALOGUE}: missing; serve a packaged Bento, or name bundles by SKYGEN_BUNDLES"
            )
        contents = Contents.read(folder)
        bundles: dict[str, dict[str, Bundle]] = {tiles: {} for tiles in contents.champions}
        for name, sha256 in sorted(contents.sha256.items()):
            tiles, _, recipe = name.partition("/")
            bundle = Bundle.load(folder / tiles / recipe, device, engine)
            if bundle.sha256 != sha256:
                raise BundleError(
                    f"{folder / name}: its sha256 is {bundle.sha256}, {CATALOGUE} says {sha256}; package it anew"
                )
            bundles.setdefault(tiles, {})[recipe] = bundle
        for tiles, recipe in contents.champions.items():
            if recipe not in bundles[tiles]:
                raise BundleError(f"{folder / tiles / recipe}: no bundle, though {CATALOGUE} names it champion")
        real = {tiles: _real(folder / tiles, sha256) for tiles, sha256 in contents.real.items()}
        return cls(bundles, contents.champions, real, contents.versions)

    def find(self, tiles: str, model: str, version: str | None = None) -> Bundle:
        """The bundle of a tile set's champion or recipe, or the one of sha256 `version`; raises `RequestError`."""
        if tiles not in self.champions:
            raise RequestError("tiles", f"no such tile set here; there is {_listed(self.champions)}")
        recipes = self.bundles[tiles]
        if version is not None:
            for bundle in recipes.values():
                if bundle.sha256 == version:
                    return bundle
            raise RequestError("version", f"no such bundle of {tiles} here; see /v1/models", status=404)
        recipe = self.champions[tiles] if model == CHAMPION else model
        if recipe not in recipes:
            raise RequestError("model", f"no such recipe for {tiles} here; there is {_listed([CHAMPION, *recipes])}")
        return recipes[recipe]

    def cards(self) -> list[dict[str, Any]]:
        """Every card, with the bundle's hash, its engine, what can be chosen, and whether it is its set's champion.

        A champion has its version in the registry, null where that is not known, as of all others.
        """
        return [
            {
                "champion": recipe == self.champions[tiles],
                "registry_version": self.versions.get(tiles) if recipe == self.champions[tiles] else None,
                "sha256": bundle.sha256,
                "engine": bundle.engine,
                "takes": bundle.takes,
                **bundle.card.model_dump(mode="json"),
            }
            for tiles, recipes in self.bundles.items()
            for recipe, bundle in recipes.items()
        ]


def check(bundle: Bundle, tiles: Sequence[Tile], truth: bool = False) -> None:
    """Raise `RequestError` where a bundle cannot give what `tiles` ask for, or has no sky and no `truth` to tell."""
    try:
        bundle.check(tiles)
        if truth:
            bundle.plane_drawer()
    except PaintedError as error:
        raise RequestError(error.name, str(error)) from error


def _real(folder: Path, sha256: str) -> RealTiles:
    """The real tiles beside a set's bundles; raises `BundleError` where they are not those that were packaged."""
    if sha256_file(folder / f"{REAL}.npy") != sha256:
        raise BundleError(f"{folder / REAL}.npy: not what {CATALOGUE} says; package it anew")
    card = validate(RealCard, read_json(folder / f"{REAL}.json"), str(folder / f"{REAL}.json"))
    return RealTiles(card, np.load(folder / f"{REAL}.npy", mmap_mode="r", allow_pickle=False))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
