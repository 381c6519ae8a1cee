"""Tiles and rectangles of a process: cut from the endless planes of seeds, with the truth of what lies in them."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from skygen.bundle.tile import Rectangle, Tile
from skygen.formats.origin import Truth
from skygen.formats.wcs import Place
from skygen.gan.camera import Conditions
from skygen.gan.card import Card
from skygen.process.cells import Boxes
from skygen.process.generator import Process
from skygen.process.philox import key_of
from skygen.process.places import Rule, tiles
from skygen.process.truth import truth_of
from skygen.process.view import Under, View, densities


class PlaneDrawer:
    """What draws for a bundle whose generator is a process. May be used from many threads at once."""

    engine = "plane"

    def __init__(self, card: Card, process: Process, device: torch.device) -> None:
        self.card, self._view = card, View(process, card.bands, device)

    def boxes(self, wanted: Sequence[Tile], survey: Conditions, conditions: Conditions) -> Boxes:
        """Where tiles lie, each on the plane of its seed and index, with the densities of `conditions` [n].

        They are as the set's tiles are, by the conditions `survey` [n] under which the survey saw the field: with a
        source where it asks for one, and without the halo of a star outside where it drops these.
        """
        card, rule = self.card, None
        if card.require_source or card.drop:
            snr = card.source_snr if card.require_source else None
            rule = Rule(card.bands, survey.sky_noise_nmgy.numpy(), survey.psf_fwhm_px.numpy(), snr, card.drop)
        seeds = np.array([tile.seed for tile in wanted], np.uint64)
        indices = np.array([tile.index for tile in wanted], np.int64)
        found = tiles(self._view.cells, seeds, indices, card.size, densities(survey), rule)
        return found._replace(density=densities(conditions))

    def box(self, rectangle: Rectangle, conditions: Conditions) -> Boxes:
        """Where a rectangle lies: on the plane of its seed."""
        key, x, y = np.array([key_of(rectangle.seed)]), np.array([rectangle.x]), np.array([rectangle.y])
        return Boxes(key, x, y, rectangle.width, rectangle.height, densities(conditions))

    def draw(self, boxes: Boxes, conditions: Conditions) -> NDArray[np.float32]:
        """The flux [n, bands, H, W] in nmgy of boxes, each under its row of `conditions`.

        Several boxes, or a square of 256 px, are drawn on the calling thread; a larger rectangle on all cores.
        """
        return self._view.observed(boxes, Under.of(conditions))

    def truth(self, boxes: Boxes, conditions: Conditions, min_snr: float) -> list[Truth]:
        """What lies in each of boxes: objects of `min_snr` and more in some band, and the light of all others."""
        pixels, found = boxes.width * boxes.height, []
        for rows, left_out, background in truth_of(self._view, boxes, Under.of(conditions), min_snr):
            found.append(Truth(rows, (left_out - pixels * background).tolist(), min_snr))
        return found


def places(wanted: Sequence[Tile], boxes: Boxes) -> list[Place]:
    """The boxes of tiles, as files say them."""
    corners = zip(boxes.x.tolist(), boxes.y.tolist(), strict=True)
    return [
        Place((tile.seed, tile.index), x, y, boxes.width, boxes.height)
        for tile, (x, y) in zip(wanted, corners, strict=True)
    ]
