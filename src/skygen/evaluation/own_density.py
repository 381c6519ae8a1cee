"""`accuracy_own_density`: the accuracy of a process that is given the density of the field that it is compared with.

Elsewhere generated tiles have the densities of training fields, so that `accuracy` also counts how far the held-out
field's is from theirs. Here the held-out tiles are halved, and tiles with the density of the one half are compared with
the other one. The limit is what nine in ten halvings of real tiles reach, one half against the other. No champion is
chosen by it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skygen.bundle.bundle import Bundle
from skygen.evaluation.controls import SEED, HeldOut
from skygen.evaluation.generated import generated_tiles, tiles_seed
from skygen.evaluation.halvings import halvings, interval
from skygen.evaluation.scoring import Described, describe, relate, rounded, value_of
from skygen.measure.accuracy import PARTS, accuracy
from skygen.measure.metric import Measure, Weights
from skygen.sky.conditions import Density
from skygen.sky.readout import field_of
from skygen.tiles.store import SPLITS, TileStore

KEY = "accuracy_own_density"  # of a section of metrics.json
HALVINGS = 50  # of the real tiles
PERCENTILE = 10
_DRAWN, _DRAWN_TILES = 5, 1200  # in at most so many halvings, and about so many in all: a tile for each of the split's
_LEAST_SOURCES = 0.5  # of a half that shows none: a field without a star has a density, too


def own_density(
    bundle: Bundle, store: TileStore, held: HeldOut, real: Described, measures: Sequence[Measure], seed: int
) -> dict[str, Any]:
    """The entry of metrics.json of a process; `real` is what `measures` have described of the split's tiles.

    "value" and "interval" are of the accuracy in each half of a few halvings, over the mean parts of real tiles.
    "real_10th_percentile" is of real tiles' own accuracy, and "reached" says whether the value is at least that.
    """
    of_parts = [measure for measure in measures if PARTS[0] in measure.keys]
    search = next(measure.describe for measure in measures if "sources.number" in measure.keys)
    first, second = halvings(held.readouts, HALVINGS, (SEED, seed, SPLITS.index(held.split)))
    of_real = relate(real, real, of_parts, (first, second))
    usual = {part: of_real[part].mean() for part in PARTS}
    fields, count, rows = [field_of(name) for name in held.readouts], len(held.readouts), []
    for number in range(min(max(_DRAWN_TILES // count, 1), _DRAWN)):
        halves = np.stack([first[number], second[number]])
        densities = densities_of_halves(store.card.densities, fields, real[search].number, halves)
        own_seed = tiles_seed(held.split, seed)
        tiles = generated_tiles(bundle, store, held.readouts, own_seed, first=number * count, densities=densities)
        found = relate(describe(tiles, of_parts), real, of_parts, (halves, halves[::-1]))
        rows.append(accuracy(found, usual, np.inf))
    values = np.concatenate(rows)
    value = value_of("accuracy", values)
    limit = rounded(min(float(np.percentile(accuracy(of_real, usual, np.inf), PERCENTILE)), 1.0))
    bounds = [rounded(min(bound, 1.0)) for bound in interval(values)]
    return {"value": value, "interval": bounds, f"real_{PERCENTILE}th_percentile": limit, "reached": value >= limit}


def densities_of_halves(
    of_fields: Mapping[str, Density], fields: Sequence[str], sources: NDArray[np.integer], halves: Weights
) -> list[Density]:
    """The density of each of N tiles as its own half of its field shows it.

    That is the whole field's of `of_fields`, times the `sources` [N] a tile that the half holds over those that all
    tiles of the field hold. `halves` [2, N] is 1 for the tiles of either; a tile of neither has the field's.
    """
    _, field = np.unique(fields, return_inverse=True)
    everywhere, times = _sources_a_tile(field, sources, np.ones(len(field))), np.ones(len(field))
    for half in halves:
        inside = half > 0
        times[inside] = (_sources_a_tile(field, sources, half) / everywhere)[field[inside]]
    own = zip((of_fields[name] for name in fields), times.tolist(), strict=True)
    return [Density(stars=density.stars * by, galaxies=density.galaxies * by) for density, by in own]


def _sources_a_tile(
    field: NDArray[np.integer], sources: NDArray[np.integer], counted: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The mean number of each field, of the tiles that are `counted` [N] 1 time."""
    found = np.maximum(np.bincount(field, counted * sources), _LEAST_SOURCES)
    return np.asarray(found / np.maximum(np.bincount(field, counted), 1))
