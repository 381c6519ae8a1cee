"""By what could champions be ranked: sets of tiles whose order is known, by several distances of their features.

Usage: python -m benchmarks.order STORE..., the folders of a tile set in several folds (.folds/*/data/tiles/r64). The
order must be: the other half of the field, then training tiles of other fields, then one tile repeated and noise alone.
Values are means over halvings and over the stores' validation fields.
"""

import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from skygen.encoder.network import load_encoder
from skygen.evaluation.control_values import typical
from skygen.evaluation.controls import between_fields, held_out
from skygen.evaluation.scoring import with_accuracy
from skygen.measure import frechet, kernel, manifold
from skygen.measure.metric import Values, Weights
from skygen.provenance import choose_device
from skygen.sky.noise import sky_noise
from skygen.tiles.store import TileStore

HALVINGS, SEED = 60, 7
DISTANCES = (frechet.relate, kernel.relate, manifold.relate)


def main(*stores: str) -> None:
    """Print a line a set of tiles, a column a distance."""
    if not stores:
        sys.exit("usage: python -m benchmarks.order STORE..., such as .folds/*/data/tiles/r64")
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for folder in stores:
        store = TileStore.open(Path(folder))
        weights = held_out(store, "validation", SEED, HALVINGS).weights
        sets = features_of(store)
        real = sets["the other half of the field"]
        real_real = distances(real, real, weights)
        for name, features in sets.items():
            for key, rows in with_accuracy(distances(features, real, weights), real_real).items():
                found[name][key].append(float(rows.mean()))
    keys = ("kernel", "energy", "frechet", "accuracy")
    print(f"| {len(stores)} validation fields | {' | '.join(keys)} |\n|---|{'---:|' * len(keys)}")
    for name, values in found.items():
        print(f"| {name} | {' | '.join(f'{np.mean(values[key]):.3g}' for key in keys)} |")


def features_of(store: TileStore) -> dict[str, NDArray[np.float32]]:
    """The features of as many tiles of each kind as the validation split has, best first."""
    encode, split = load_encoder(store, choose_device()).encode, store.split("validation")
    tiles, train = split.array(), store.split("train")
    real = encode(tiles)
    noise = np.random.default_rng(SEED).normal(0, 1, tiles.shape) * sky_noise(tiles)[..., None, None]
    return {
        "the other half of the field": real,
        "training tiles of other fields": encode(train.batch(between_fields(train, len(split), SEED))),
        "one typical tile repeated": np.repeat(real[[typical(real)]], len(real), axis=0),
        "noise alone": encode(noise.astype(np.float32)),
    }


def distances(
    fake: NDArray[np.float32], real: NDArray[np.float32], weights: tuple[Weights, Weights]
) -> dict[str, Values]:
    """What the candidates say of two sets of features, halving by halving."""
    found = {key: values for relate in DISTANCES for key, values in relate(fake, real)(*weights).items()}
    return found | {"energy": energy(fake, real, *weights)}


def energy(fake: NDArray[np.float32], real: NDArray[np.float32], ours: Weights, theirs: Weights) -> Values:
    """The energy distance of Szekely & Rizzo 2013 (doi:10.1016/j.jspi.2013.03.018): no tile is paired with itself."""
    between, within_fake, within_real = (cdist(*pair) for pair in ((fake, real), (fake, fake), (real, real)))
    count = ours.sum(1)
    means = [np.vecdot(a @ apart, b) for a, apart, b in ((ours, within_fake, ours), (theirs, within_real, theirs))]
    return np.asarray(2 * np.vecdot(ours @ between, theirs) / count**2 - sum(means) / (count * (count - 1)))


if __name__ == "__main__":
    main(*sys.argv[1:])
