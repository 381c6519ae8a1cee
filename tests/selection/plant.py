"""Makes planted.npz: tiles of a field of the simulated survey, in two halves, and as many of other fields.

Usage, after make repro: python -m tests.selection.plant
"""

from pathlib import Path

import numpy as np

from skygen.evaluation.controls import evenly
from skygen.tiles.store import TileStore

PLANTED = Path(__file__).parent / "planted.npz"
COUNT = 36  # tiles of each set: 0.7 MB


def main(store: Path = Path("data/tiles/r64")) -> None:
    """Write validation tiles of one field, others of the same field, and training tiles of all fields alike."""
    opened = TileStore.open(store)
    validation, train = opened.split("validation"), opened.split("train")
    fields = np.array(validation.fields())
    same = np.flatnonzero(fields == fields[0])[: 2 * COUNT]
    sets = {
        "real": validation.batch(same[0::2]),
        "copy": validation.batch(same[1::2]),
        "others": train.batch(evenly(train.fields(), COUNT, 0)),
    }
    np.savez_compressed(PLANTED, **{name: tiles.astype(np.float16) for name, tiles in sets.items()})


if __name__ == "__main__":
    main()
