"""The controls as measured: what real tiles and one tile repeated get by every metric, once for all models of a set."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from skygen.encoder.network import Encoder
from skygen.evaluation.bootstrap import counted_once, draws
from skygen.evaluation.controls import SEED, Held, apart, between_fields, collapse
from skygen.evaluation.scoring import Described, Found, describe, relate, rounded, with_accuracy
from skygen.files import read_json
from skygen.measure import memorised
from skygen.measure.accuracy import PARTS
from skygen.measure.metric import Measure, Weights
from skygen.params import Section, validate
from skygen.tiles.store import Split, TileStore

Controls = dict[str, dict[str, float]]  # by a metric's key and the control's name


class ControlValues(Section):
    """The content of controls.json."""

    encoder: str  # SHA-256
    data: str  # hash of the tile store
    seed: int  # of the evaluation
    bootstrap: int
    tiles: dict[Split, int]  # in each set that is compared
    repeated: dict[Split, int]  # the tile of the split that is the collapsed control
    validation: Controls
    test: Controls
    replicates: dict[Split, dict[str, list[float]]]  # of real-real, which accuracy is measured against

    def real_real(self, split: Split) -> Found:
        """What accuracy is measured against: the value and its resamplings, [1 + bootstrap]."""
        values: Controls = getattr(self, split)
        return {key: np.array([values[key]["real_real"], *self.replicates[split][key]]) for key in PARTS}


class SplitControls(NamedTuple):
    """The controls of one split, the tile that one of them repeats, the resamplings of the real-real values, and the
    real tiles' descriptions.
    """

    controls: Controls
    repeated: int
    replicates: dict[str, list[float]]
    real: Described


def weights_of(halves: Held, bootstrap: int, seed: int) -> tuple[Weights, Weights]:
    """How often the tiles of both sets count: the same for whatever is compared with `halves.second`."""
    return draws(len(halves.second), bootstrap, (SEED, seed, halves.split == "test"))


def measure_controls(
    store: TileStore, halves: Held, measures: Sequence[Measure], encoder: Encoder, bootstrap: int, seed: int
) -> SplitControls:
    """What both halves of a held-out split, training tiles of other fields and one tile repeated get.

    `memorised` is measured beside `measures`. For the training tiles, all that share pixels with them are left out of
    what they could be copies of. Sets are described one after another, so that one of them is in memory at a time.
    """
    tiles, train = store.split(halves.split), store.split("train")
    once = counted_once(len(halves.second))
    others = between_fields(train, len(halves.second), seed)
    everywhere = [*measures, memorised.measure(encoder.encode, encoder.train_features)]
    elsewhere = [*measures, memorised.measure(encoder.encode, encoder.train_features[apart(store, others)])]
    real = describe(tiles.batch(halves.second), everywhere)
    again = describe(tiles.batch(halves.first), everywhere)
    repeated = int(halves.first[typical(again[encoder.encode])])
    collapsed = describe(collapse(tiles[repeated], len(halves.second)), everywhere)
    found = {
        "real_real": relate(again, real, everywhere, once),
        "between_fields": relate(describe(train.batch(others), elsewhere), real, elsewhere, once),
        "collapsed": relate(collapsed, real, everywhere, once),
    }
    found = {name: with_accuracy(values, found["real_real"]) for name, values in found.items()}
    keys = found["real_real"]
    controls = {key: {name: rounded(values[key][0]) for name, values in found.items()} for key in keys}
    parts = [measure for measure in measures if set(PARTS) & set(measure.keys)]
    replicates = relate(again, real, parts, weights_of(halves, bootstrap, seed))
    resampled = {key: [rounded(one) for one in replicates[key][1:]] for key in PARTS}
    return SplitControls(controls, repeated, resampled, real)


def typical(features: NDArray[np.floating]) -> int:
    """The tile nearest to the mean of the `features` [N, D]: what collapses to it makes one tile that looks real."""
    return int(np.linalg.norm(features - features.mean(axis=0), axis=1).argmin())


def read_control_values(
    path: Path, store: TileStore, encoder: Encoder, folder: Path, seed: int, bootstrap: int
) -> ControlValues:
    """The controls in `path`, measured on the tiles of `store` with `encoder` (in `folder`), `seed` and `bootstrap`.

    Raises `FileNotFoundError` where there are none, `ValueError` where they were measured otherwise.
    """
    remedy = f"run the stage controls@{store.card.name}"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no controls; {remedy}")
    found = validate(ControlValues, read_json(path), str(path))
    for what, theirs, ours in (
        (f"the encoder in {folder}", found.encoder, encoder.sha256),
        (f"the tiles in {store.folder}", found.data, store.card.data_hash),
        ("evaluation.seed", found.seed, seed),
        ("scales.SCALE.evaluation.bootstrap", found.bootstrap, bootstrap),
    ):
        if theirs != ours:
            raise ValueError(f"{path} was measured with {_short(theirs)}, but {what} is {_short(ours)}; {remedy}")
    return found


def _short(value: str | int) -> str:
    return value[:12] if isinstance(value, str) else str(value)
