"""The bundles that a service holds: by tile set and recipe, with the champion of each set."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch

from serving.requests import CHAMPION, GenerateRequest, refused
from skygen.bundle import SURVEY, Bundle
from skygen.files import read_json

CHAMPIONS = "champions.json"
BUNDLES = "SKYGEN_BUNDLES"  # environment variable: a folder of bundles in place of the Bento's own


@dataclass(frozen=True)
class Catalogue:
    """Loaded bundles: `bundles[tiles][recipe]`, and `champions[tiles]`, the recipe that won."""

    bundles: dict[str, dict[str, Bundle]]
    champions: dict[str, str]

    @classmethod
    def load(cls, folder: Path, device: torch.device) -> Self:
        """What `folder` holds: champions.json, and a bundle in each SET/RECIPE.

        Raises `FileNotFoundError` where champions.json or a champion is missing, `BundleError` for a bad bundle.
        """
        if not (folder / CHAMPIONS).is_file():
            raise FileNotFoundError(
                f"{folder / CHAMPIONS}: missing; serve a packaged Bento, or name bundles by {BUNDLES}"
            )
        champions: dict[str, str] = read_json(folder / CHAMPIONS)
        bundles: dict[str, dict[str, Bundle]] = {tiles: {} for tiles in champions}
        for card in sorted(folder.glob("*/*/card.json")):
            tiles, recipe = card.parent.parts[-2:]
            bundles.setdefault(tiles, {})[recipe] = Bundle.load(card.parent, device)
        for tiles, recipe in champions.items():
            if recipe not in bundles[tiles]:
                raise FileNotFoundError(f"{folder / tiles / recipe}: no bundle, though {CHAMPIONS} names it champion")
        return cls(bundles, champions)

    def find(self, tiles: str, model: str) -> Bundle:
        """The bundle of a tile set's champion or recipe; raises a `ValidationError` that names the field at fault."""
        if tiles not in self.champions:
            raise refused("tiles", tiles, f"no such tile set here; there is {_listed(self.champions)}")
        recipes = self.bundles[tiles]
        recipe = self.champions[tiles] if model == CHAMPION else model
        if recipe not in recipes:
            raise refused("model", model, f"no such recipe for {tiles} here; there is {_listed([CHAMPION, *recipes])}")
        return recipes[recipe]

    def choose(self, request: GenerateRequest) -> Bundle:
        """The bundle that a request asks for; raises as `find`, and where it has no such noise or seeing to give."""
        bundle = self.find(request.tiles, request.model)
        card = bundle.card
        asked = {"noise": (request.noise, card.conditions), "seeing": (request.seeing, card.psf_share)}
        for field, (value, model) in asked.items():
            if value != SURVEY and model is None:
                raise refused(field, value, f"recipe {card.recipe} paints its {field}; it takes 'survey' alone")
        return bundle

    def cards(self) -> list[dict[str, Any]]:
        """Every card, with the bundle's hash and whether it is its set's champion."""
        return [
            {
                "champion": recipe == self.champions[tiles],
                "sha256": bundle.sha256,
                **bundle.card.model_dump(mode="json"),
            }
            for tiles, recipes in self.bundles.items()
            for recipe, bundle in recipes.items()
        ]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
