"""The blind sheet: 64 tiles of 128 px in g, r, i, half of them real, and which.

    python docs/pictures/blind.py STORE BUNDLE docs/pictures/blind.jpg

STORE is a tile set gri128 of real frames, of whose test split real tiles are taken; BUNDLE a generator that was trained
without its field. Generated tiles are seen under the conditions of other tiles of the split. Prints the answers.
"""

import sys
from pathlib import Path

import numpy as np
from astropy.visualization import make_lupton_rgb
from PIL import Image

from skygen.bundle.bundle import Bundle
from skygen.evaluation.generated import generated_tiles
from skygen.tiles.store import TileStore

COLUMNS, ROWS, GAP_PX, SEED = 8, 8, 4, 20261129
BALANCE = (0.7, 1.0, 1.6)  # of i, r, g


def main(store_folder: Path, bundle_folder: Path, target: Path) -> None:
    """Write the sheet, and say which tiles are real."""
    store, bundle = TileStore.open(store_folder), Bundle.load(bundle_folder)
    rng, split, half = np.random.default_rng(SEED), store.split("test"), COLUMNS * ROWS // 2
    chosen = rng.choice(len(split), 2 * half, replace=False)
    readouts = [split.readouts()[index] for index in chosen[half:]]
    tiles = np.concatenate([split.batch(chosen[:half]), generated_tiles(bundle, store, readouts, SEED)])
    order = rng.permutation(2 * half)
    side = store.card.size + GAP_PX
    sheet = np.full((ROWS * side - GAP_PX, COLUMNS * side - GAP_PX, 3), 255, dtype=np.uint8)
    for place, index in enumerate(order):
        top, left = place // COLUMNS * side, place % COLUMNS * side
        g, r, i = tiles[index][:, ::-1]
        scaled = [share * band for share, band in zip(BALANCE, (i, r, g), strict=True)]
        picture = make_lupton_rgb(*scaled, minimum=-0.02, stretch=0.25, Q=8)
        sheet[top : top + side - GAP_PX, left : left + side - GAP_PX] = picture
    Image.fromarray(sheet).save(target, quality=88)
    for row in range(ROWS):
        real = [str(column + 1) for column in range(COLUMNS) if order[row * COLUMNS + column] < half]
        sys.stdout.write(f"row {row + 1}: {', '.join(real)}\n")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
