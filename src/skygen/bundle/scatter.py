"""Tiles and rectangles of a process: cut from the endless sky of a seed, with the truth of what lies in them."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from skygen.bundle.tile import Rectangle, Tile
from skygen.formats.origin import Truth
from skygen.formats.wcs import Place
from skygen.gan.camera import Conditions
from skygen.gan.card import Card
from skygen.process.generator import Process
from skygen.process.plane import BLOCK_PX, Plane

REMEMBERED = 4096  # places of tiles: the pixels, the catalogue and the header of one ask for it


class Scatter:
    """What draws for a bundle whose generator is a process."""

    engine, step_px = "plane", BLOCK_PX

    def __init__(self, card: Card, process: Process, device: torch.device) -> None:
        self.card, self._process, self._device = card, process.to(device), device
        self._found = lru_cache(maxsize=REMEMBERED)(self._find)

    def places(self, tiles: Sequence[Tile], survey: Conditions) -> list[Place]:
        """Where `tiles` lie: each on the plane of its seed and index, a source in it as `survey` [n] would see it."""
        return [
            Place((tile.seed, tile.index), *self._found(tile.seed, tile.index, _key(survey, at)), *self._sides())
            for at, tile in enumerate(tiles)
        ]

    def place(self, rectangle: Rectangle) -> Place:
        """Where a rectangle lies: on the plane of its seed."""
        return Place(rectangle.seed, rectangle.x, rectangle.y, rectangle.width, rectangle.height)

    def draw(self, places: Sequence[Place], conditions: Conditions) -> NDArray[np.float32]:
        """The flux [n, bands, H, W] in nmgy of `places`, all of one size, each under its row of `conditions`."""
        return np.stack([plane.rectangle(*place[1:]) for place, plane in self._planes(places, conditions)])

    def truth(self, places: Sequence[Place], conditions: Conditions, min_snr: float) -> list[Truth]:
        """What lies in each of `places`: objects of `min_snr` and more in some band, and the light of the others."""
        return [self._truth(place, plane, min_snr) for place, plane in self._planes(places, conditions)]

    def _truth(self, place: Place, plane: Plane, min_snr: float) -> Truth:
        rows = plane.truth(*place[1:], min_snr)
        light = plane.scene(*place[1:]).sum((1, 2), dtype=np.float64)
        inside = [rows[f"flux_inside_{band}_nmgy"].sum() for band in self.card.bands]
        return Truth(rows, [float(total - with_row) for total, with_row in zip(light, inside, strict=True)], min_snr)

    def _planes(self, places: Sequence[Place], conditions: Conditions) -> list[tuple[Place, Plane]]:
        rows = range(len(places))
        planes = [Plane(self._process, places[at].plane, conditions.take([at]), self._device) for at in rows]
        return list(zip(places, planes, strict=True))

    def _sides(self) -> tuple[int, int]:
        return self.card.size, self.card.size

    def _find(self, seed: int, index: int, survey: tuple[tuple[float, ...], ...]) -> tuple[int, int]:
        """The first pixel (x, y) of a tile on its plane."""
        return 0, 0


def _key(conditions: Conditions, row: int) -> tuple[tuple[float, ...], ...]:
    """One row of conditions as what can be looked up."""
    return tuple(tuple(part[row].tolist()) for part in conditions if part is not None)
