"""The controls as measured: what real tiles and one tile repeated get by every metric, once for all models of a set."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skygen.encoder.network import Encoder
from skygen.evaluation.controls import SEED, HeldOut, apart, between_fields, collapse
from skygen.evaluation.excess import excess, margin
from skygen.evaluation.halvings import interval
from skygen.evaluation.matched import both_worse
from skygen.evaluation.scoring import CONTROLS, Described, Found, describe, relate, rounded, value_of, with_accuracy
from skygen.files import read_json
from skygen.measure import memorised
from skygen.measure.metric import Measure
from skygen.measure.table import MEANINGS
from skygen.params import Section, validate
from skygen.tiles.cut import NO_SOURCE
from skygen.tiles.store import SPLITS, Split, TileStore

Rows = dict[str, list[float]]  # of a metric by its key, one a halving


class SplitControls(Section):
    """The controls of a held-out split, of `tiles` tiles and `fields` fields."""

    tiles: int
    fields: int
    repeated: int  # the tile of the split that is the collapsed control
    values: dict[str, dict[str, float]]  # by a metric's key and the control's name
    real_real: Rows
    matched: Rows  # how much worse than real tiles the matched control is, of metrics with an excess

    def section(self, found: Found) -> dict[str, Any]:
        """A section of metrics.json of what was `found` of a set of tiles: metrics in the table's order, groups nested.

        Each is {"value", "interval"} and, where it has controls, {"margin" and "matched_margin" (how much worse than
        real tiles it and the matched control are: over several fields, the excess is of their sums), "excess",
        "excess_interval", "exceeds", and the name of each control}. Raises `ValueError` for a value that is not finite.
        """
        nested: dict[str, Any] = {}
        for key in sorted(found, key=list(MEANINGS).index):
            if not np.isfinite(found[key]).all():
                raise ValueError(
                    f"{key} is not a finite number for these tiles; that is a fault of the metric: report it"
                )
            place, (*groups, name) = nested, key.split(".")
            for group in groups:
                place = place.setdefault(group, {})
            place[name] = self._entry(key, found[key])
        return nested

    def _entry(self, key: str, rows: NDArray[np.float64]) -> dict[str, Any]:
        value = value_of(key, rows)
        limits = [min(limit, 1.0) if key == "accuracy" else limit for limit in interval(rows)]
        entry: dict[str, Any] = {"value": value, "interval": [rounded(limit) for limit in limits]}
        if key not in self.values:
            return entry
        meaning, matched = MEANINGS[key], np.array(self.matched.get(key, [0.0]))
        margins = margin(meaning, rows, np.array(self.real_real[key]))
        found = excess(meaning, margins, matched)
        entry |= {
            "margin": rounded(float(margins.mean())),
            "matched_margin": rounded(float(matched.mean())) if meaning.excess else None,
            "excess": None if found.value is None else rounded(found.value),
            "excess_interval": None if found.interval is None else [rounded(limit) for limit in found.interval],
            "exceeds": found.exceeds,
        }
        return entry | {control: self.values[key][control] for control in CONTROLS}


class ControlValues(Section):
    """The content of controls.json."""

    encoder: str  # SHA-256
    data: str  # hash of the tile store
    seed: int  # of the evaluation
    halvings: int
    validation: SplitControls
    test: SplitControls

    def of(self, split: Split) -> SplitControls:
        """The controls of a held-out split."""
        return {"validation": self.validation, "test": self.test}[split]


class Measured(NamedTuple):
    """The controls of a split, and the real tiles' descriptions."""

    controls: SplitControls
    real: Described


def measure_controls(
    store: TileStore,
    held: HeldOut,
    measures: Sequence[Measure],
    encoder: Encoder,
    train_features: NDArray[np.float32],
    seed: int,
) -> Measured:
    """What real tiles of a held-out split, training tiles of other fields and one tile repeated get.

    `memorised` is measured beside `measures`. For the training tiles, all that share pixels with them are left out of
    what they could be copies of.
    """
    tiles, train, weights = store.split(held.split), store.split("train"), held.weights
    others = between_fields(train, len(tiles), seed)
    everywhere = [*measures, memorised.measure(encoder.encode, train_features)]
    elsewhere = [*measures, memorised.measure(encoder.encode, train_features[apart(store, others)])]
    real, other = describe(tiles.array(), everywhere), describe(train.batch(others), elsewhere)
    found = {
        "real_real": relate(real, real, everywhere, weights),
        "between_fields": relate(other, real, elsewhere, weights),
    }
    own = (SEED, seed, SPLITS.index(held.split))
    worse = [describe(under, elsewhere) for under in both_worse(store, tiles, train, others, own)]
    kept = np.logical_and(*(still_cut(store, measures, *pair) for pair in zip((real, other), worse, strict=True)))
    equally_many = (weights[0] * kept, weights[1] * kept)  # distances of few tiles are larger
    found["matched"] = relate(worse[1], worse[0], elsewhere, equally_many)
    worse_real_real = relate(worse[0], worse[0], measures, equally_many)
    repeated = typical(real[encoder.encode])
    found["collapsed"] = relate(describe(collapse(tiles[repeated], len(tiles)), everywhere), real, everywhere, weights)
    found = {
        name: with_accuracy(values, worse_real_real if name == "matched" else found["real_real"])
        for name, values in found.items()
    }
    keys = found["real_real"]
    controls = SplitControls(
        tiles=len(tiles),
        fields=held.fields,
        repeated=repeated,
        values={key: {name: value_of(key, values[key]) for name, values in found.items()} for key in keys},
        real_real={key: _plain(rows) for key, rows in found["real_real"].items()},
        matched={
            key: _plain(margin(MEANINGS[key], found["matched"][key], rows))
            for key, rows in worse_real_real.items()
            if MEANINGS[key].excess
        },
    )
    return Measured(controls, real)


def still_cut(store: TileStore, measures: Sequence[Measure], before: Described, after: Described) -> NDArray[np.bool_]:
    """Which of N tiles would still be cut under worse conditions: all but those whose last source is lost, [N].

    All of them where the tile set asks for no source.
    """
    search = next(measure.describe for measure in measures if "sources.number" in measure.keys)
    is_lost = (before[search].number > 0) & (after[search].number == 0)
    return ~is_lost if NO_SOURCE in store.card.survival["train"].spoilt else np.ones_like(is_lost)


def typical(features: NDArray[np.floating]) -> int:
    """The tile nearest to the mean of the `features` [N, D]: what collapses to it makes one tile that looks real."""
    return int(np.linalg.norm(features - features.mean(axis=0), axis=1).argmin())


def read_control_values(path: Path, store: TileStore, encoder: Encoder, seed: int, halvings: int) -> ControlValues:
    """The controls in `path`, measured on the tiles of `store` with `encoder`, `seed` and so many `halvings`.

    Raises `FileNotFoundError` where there are none, `ValueError` where they were measured otherwise.
    """
    remedy = f"run the stage controls@{store.card.name}"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no controls; {remedy}")
    found = validate(ControlValues, read_json(path), str(path))
    for what, theirs, ours in (
        ("the encoder of the set", found.encoder, encoder.sha256),
        (f"the tiles in {store.folder}", found.data, store.card.data_hash),
        ("evaluation.seed", found.seed, seed),
        ("scales.SCALE.evaluation.halvings", found.halvings, halvings),
    ):
        if theirs != ours:
            raise ValueError(f"{path} was measured with {_short(theirs)}, but {what} is {_short(ours)}; {remedy}")
    return found


def _plain(rows: NDArray[np.float64]) -> list[float]:
    return [rounded(float(row)) for row in rows]


def _short(value: str | int) -> str:
    return value[:12] if isinstance(value, str) else str(value)
