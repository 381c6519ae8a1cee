"""Any rectangle of an endless plane of sky, the same to the bit whatever else is drawn, and on however many threads."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from skygen.process.cells import Boxes
from skygen.process.generator import Process
from skygen.process.philox import key_of
from skygen.process.truth import Truth, truth_of
from skygen.process.view import Seen, Under, View, densities


class Plane:
    """The endless plane of one seed, or of one tile (seed, index), under one row of conditions.

    `factors` (stars, galaxies; 0 to 4) times as dense: fewer of the same objects, or more beside them. Raises
    `ValueError` for what is out of range.
    """

    def __init__(
        self,
        process: Process | View,
        seed: int | tuple[int, int],
        conditions: Seen,
        device: torch.device | str = "cpu",
        bands: Sequence[str] = ("g", "r", "i"),
        factors: tuple[float, float] = (1.0, 1.0),
    ) -> None:
        self.view = process if isinstance(process, View) else View(process, bands, device)
        seed, index = seed if isinstance(seed, tuple) else (seed, None)
        self.key = np.array([key_of(seed, index)])
        self.under, self.density = Under.of(conditions), densities(conditions, factors)

    def rectangle(self, x: int, y: int, width: int, height: int) -> NDArray[np.float32]:
        """The flux [bands, height, width] in nmgy of the rectangle whose first pixel is (x, y), noise and all."""
        return np.asarray(self.view.observed(self.box(x, y, width, height), self.under)[0])

    def scene(self, x: int, y: int, width: int, height: int) -> NDArray[np.float32]:
        """The same without noise."""
        return np.asarray(self.view.scenes(self.box(x, y, width, height), self.under)[0])

    def truth(self, x: int, y: int, width: int, height: int, min_snr: float = 0.0) -> Truth:
        """What lies in the rectangle; rows of a matched-filter S/N from `min_snr` in some band."""
        return truth_of(self.view, self.box(x, y, width, height), self.under, min_snr)[0]

    def observed(
        self, x: int, y: int, width: int, height: int, min_snr: float = 0.0
    ) -> tuple[NDArray[np.float32], Truth]:
        """Rectangle and truth, for less than both cost one after the other."""
        box = self.box(x, y, width, height)
        scene = self.view.scenes(box, self.under)
        return self.view.exposed(scene, box, self.under)[0], truth_of(self.view, box, self.under, min_snr, scene)[0]

    def box(self, x: int, y: int, width: int, height: int) -> Boxes:
        """The rectangle as a box."""
        return Boxes(self.key, np.array([x]), np.array([y]), width, height, self.density)
