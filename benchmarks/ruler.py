"""What the metrics see: held-out tiles of several fields altered in known ways at several sizes, by every metric.

Usage: python -m benchmarks.ruler STORE..., the folders of a tile set in several folds (.folds/*/data/tiles/r64, which
`skygen folds` makes). Of each store the test tiles are halved HALVINGS times. A metric sees an alteration in a field
where altered halves are farther from the other halves than unaltered ones in at least 97.5 % of the halvings; a cell
says in how many of the fields, at a quarter, half, once and twice the planted size. c2st.pixels, which trains networks,
is asked at the planted size alone.
"""

import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

from skygen.encoder.alterations import planted, sample_of
from skygen.encoder.network import load_encoder
from skygen.encoder.training import psf_of
from skygen.evaluation.controls import held_out
from skygen.evaluation.excess import is_seen, margin
from skygen.evaluation.scoring import describe, relate
from skygen.measure.metric import Given
from skygen.measure.table import MEANINGS, measures_of
from skygen.provenance import choose_device
from skygen.tiles.store import TileStore

HALVINGS = 60
TIMES = (0.25, 0.5, 1.0, 2.0)  # of the planted size
SLOW = "c2st.pixels"
SEED = 7
Seen = dict[tuple[str, str, float], list[bool]]  # by alteration, metric and how many times the planted size


def main(*stores: str) -> None:
    """Print the table of what the metrics see on the test tiles of the stores."""
    if not stores:
        sys.exit("usage: python -m benchmarks.ruler STORE..., such as .folds/*/data/tiles/r64")
    seen: Seen = defaultdict(list)
    opened = [TileStore.open(Path(folder)) for folder in stores]
    for store in opened:
        print(f"{store.folder}: {len(store.split('test'))} tiles", file=sys.stderr, flush=True)
        look(store, seen)
    print_table(opened[0], seen, len(opened))


def look(store: TileStore, seen: Seen) -> None:
    """Add to `seen` what each metric sees of each alteration of a store's test tiles."""
    encoder, split = load_encoder(store, choose_device()), store.split("test")
    measures = [
        measure
        for measure in measures_of(Given(store.card.bands, encoder.encode, SEED))
        if all(MEANINGS[key].excess for key in measure.keys)
    ]
    quick = [measure for measure in measures if SLOW not in measure.keys]
    sample = sample_of(split.array(), psf_of(split.readouts(), store))
    real, weights = describe(sample.tiles.numpy(), measures), held_out(store, "test", SEED, HALVINGS).weights
    before = relate(real, real, measures, weights)
    for name, alteration in planted(len(store.card.bands)).items():
        for times in TIMES:
            if name == "swapped_colours" and times > 1:
                continue
            altered = alteration.alter(sample, times * alteration.size, np.random.default_rng(SEED)).numpy()
            asked = measures if times == 1 else quick
            for key, values in relate(describe(altered, asked), real, asked, weights).items():
                seen[name, key, times].append(is_seen(margin(MEANINGS[key], values, before[key])))


def print_table(store: TileStore, seen: Seen, fields: int) -> None:
    """A row a metric, a column an alteration: in how many of the fields it is seen, at each size."""
    alterations = planted(len(store.card.bands))
    print(f"\n{store.card.name}, {fields} fields, seen in so many of them at {', '.join(map(str, TIMES))} times:\n")
    print(f"| metric | {' | '.join(alteration.caption for alteration in alterations.values())} |")
    print(f"|---|{'---|' * len(alterations)}")
    for key in dict.fromkeys(key for _, key, _ in seen):
        cells = [" / ".join(_cell(seen.get((name, key, times))) for times in TIMES) for name in alterations]
        print(f"| `{key}` | {' | '.join(cells)} |")


def _cell(answers: list[bool] | None) -> str:
    return "-" if answers is None else str(sum(answers))


if __name__ == "__main__":
    main(*sys.argv[1:])
