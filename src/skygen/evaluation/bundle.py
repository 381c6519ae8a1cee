"""A model as measured: its bundle's tiles against held-out real ones, beside the controls of the tile set."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skygen.bundle.bundle import Bundle
from skygen.evaluation.control_values import ControlValues
from skygen.evaluation.controls import HeldOut
from skygen.evaluation.generated import generated_tiles, tiles_seed
from skygen.evaluation.own_density import KEY, own_density
from skygen.evaluation.scoring import Described, describe, relate, with_accuracy
from skygen.measure.diversity import MOST_TILES
from skygen.measure.metric import Measure
from skygen.tiles.store import TileStore


class Drawn(NamedTuple):
    """The tiles of a bundle, a tile for each of a split, and their description."""

    tiles: NDArray[np.float32]
    described: Described


class Evaluated(NamedTuple):
    """A section of metrics.json, the generated tiles that it is of, their description and the real tiles'."""

    section: dict[str, Any]
    tiles: NDArray[np.float32]
    described: Described
    real: Described


@dataclass(frozen=True)
class Evaluation:
    """What a model of a tile set is measured by."""

    store: TileStore
    control_values: ControlValues
    measures: Sequence[Measure]

    def measure(self, bundle: Bundle, held: HeldOut) -> Evaluated:
        """As many generated tiles as the split holds, measured against the real ones.

        A process is measured with the density of the held-out field besides.
        """
        controls = self.control_values.of(held.split)
        real = describe(self.store.split(held.split).array(), self.measures)
        tiles, described = draw(bundle, self.store, held, self.measures, self.control_values.seed)
        real_real = {key: np.array(rows) for key, rows in controls.real_real.items()}
        found = with_accuracy(relate(described, real, self.measures, held.weights), real_real)
        section = controls.section(found)
        if bundle.takes["density"]:
            section[KEY] = own_density(bundle, self.store, held, real, self.measures, self.control_values.seed)
        return Evaluated(section, tiles, described, real)


def draw(bundle: Bundle, store: TileStore, held: HeldOut, measures: Sequence[Measure], seed: int) -> Drawn:
    """The tiles of `bundle` in an evaluation with `seed`, and what `measures` need of them.

    Raises `ValueError` where they are not finite, or of another kind than the store's. The diversity of scenes is that
    of clean ones, since fresh noise would hide a collapse.
    """
    own_seed = tiles_seed(held.split, seed)
    tiles = generated_tiles(bundle, store, held.readouts, own_seed)
    described = describe(tiles, measures)
    if bundle.card.conditions is not None:
        diversity = [measure for measure in measures if measure.keys == ("diversity",)]
        scenes = generated_tiles(bundle, store, held.readouts[:MOST_TILES], own_seed, "none")
        described |= describe(scenes, diversity)
    return Drawn(tiles, described)
