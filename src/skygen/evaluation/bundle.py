"""A model as measured: its bundle's tiles against held-out real ones, beside the controls of the tile set."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skygen.bundle.bundle import Bundle
from skygen.evaluation.bootstrap import counted_once
from skygen.evaluation.control_values import Controls, ControlValues, weights_of
from skygen.evaluation.controls import Held, between_fields, collapse, collapse_scene
from skygen.evaluation.generated import generated_tiles, tiles_seed
from skygen.evaluation.scoring import Described, describe, relate, rounded, section, with_accuracy
from skygen.gan.camera import Conditions
from skygen.measure import discriminator
from skygen.measure.diversity import MOST_TILES
from skygen.measure.metric import Measure, Tiles
from skygen.tiles.store import TileStore


class Evaluated(NamedTuple):
    """A section of metrics.json, the generated tiles that it is of, their description and the real tiles'."""

    section: dict[str, Any]
    tiles: NDArray[np.float32]
    described: Described
    real: Described


@dataclass(frozen=True)
class Evaluation:
    """What a model of a tile set is measured by: `measures` of every set, and the `logits` of its discriminator."""

    store: TileStore
    control_values: ControlValues
    measures: Sequence[Measure]
    logits: Callable[[Tiles], NDArray[np.floating]]

    def measure(self, bundle: Bundle, halves: Held) -> Evaluated:
        """As many generated tiles as half of a split holds, measured against the real tiles `halves.second`.

        The diversity of scenes is measured free of noise, which would hide a collapse; and their `collapsed` is one
        scene under fresh noise. Sets are described one after another: the generated tiles alone stay in memory.
        """
        seed = tiles_seed(halves.split, self.control_values.seed)
        by_discriminator = discriminator.measure(self.logits)
        measures = [*self.measures, by_discriminator]
        real = describe(self.store.split(halves.split).batch(halves.second), measures)
        controls = self._controls_with_discriminator(halves, by_discriminator, real)
        clean: Described = {}
        if bundle.card.conditions is not None:
            diversity = [measure for measure in measures if measure.keys == ("diversity",)]
            scenes = generated_tiles(bundle, self.store, halves.fields[:MOST_TILES], seed, "none")
            controls = self._collapsed_scene(scenes[0], halves, measures, real, controls)
            clean = describe(scenes, diversity)
            del scenes
        tiles = generated_tiles(bundle, self.store, halves.fields, seed)
        described = describe(tiles, measures) | clean
        weights = weights_of(halves, self.control_values.bootstrap, self.control_values.seed)
        found = with_accuracy(relate(described, real, measures, weights), self.control_values.real_real(halves.split))
        return Evaluated(section(found, controls), tiles, described, real)

    def _controls_with_discriminator(self, halves: Held, by_discriminator: Measure, real: Described) -> Controls:
        """The controls of the tile set, and those of the discriminator's own metric."""
        split, train = self.store.split(halves.split), self.store.split("train")
        others = between_fields(train, len(halves.second), self.control_values.seed)
        sets: dict[str, Callable[[], NDArray[np.float32]]] = {
            "real_real": lambda: split.batch(halves.first),
            "between_fields": lambda: train.batch(others),
            "collapsed": lambda: collapse(split[self.control_values.repeated[halves.split]], len(halves.second)),
        }
        once = counted_once(len(halves.second))
        found = {
            name: relate(describe(tiles(), [by_discriminator]), real, [by_discriminator], once)
            for name, tiles in sets.items()
        }
        (key,) = by_discriminator.keys
        controls: Controls = getattr(self.control_values, halves.split)
        return controls | {key: {name: rounded(float(values[key][0])) for name, values in found.items()}}

    def _collapsed_scene(
        self,
        scene: NDArray[np.float32],
        halves: Held,
        measures: Sequence[Measure],
        real: Described,
        controls: Controls,
    ) -> Controls:
        """`controls`, with what one scene under fresh noise gets for `collapsed`; of its diversity nothing is left."""
        fields = [self.store.card.conditions[field] for field in halves.fields]
        conditions = Conditions.of_fields(fields, self.store.card.pixel_scale_arcsec)
        repeated = describe(collapse_scene(scene, conditions, self.control_values.seed), measures)
        values = relate(repeated, real, measures, counted_once(len(fields)))
        values = with_accuracy(values, self.control_values.real_real(halves.split))
        found = {key: float(value[0]) for key, value in values.items()} | {"diversity": 0.0}
        return {key: each | {"collapsed": rounded(found[key])} for key, each in controls.items()}
