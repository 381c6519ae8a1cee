"""What the network of `c2st.pixels` sees: the tiles that it is surest of, where it looks, and what it needs.

    python docs/pictures/classifier.py STORE BUNDLE docs/pictures/classifier.jpg

STORE is a tile set with one band, of whose test split real tiles are taken; BUNDLE a generator that was trained without
its fields. The network's answer is the mean of what it says of each place of a tile, so that the map of these is exact.
Prints the shares of tiles that are put right, with and without sky levels, sky and sources. Takes a minute of one core.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from skygen.bundle.bundle import Bundle
from skygen.encoder.alterations import sample_of
from skygen.evaluation.generated import generated_tiles
from skygen.measure import two_sample_pixels as judge
from skygen.tiles.store import TileStore

Tiles = NDArray[np.float32]  # [N, 1, H, W] in nmgy
SEED, TRAININGS, COLUMNS, CELL_PX = 20261129, 3, 5, 8  # CELL_PX: a place of the network's last layer
MOST_LEVEL, MOST_LEVEL_SHOWN = 0.012, 0.004  # nmgy: of cells, and of the histogram
COLOURS = {"real": "#1b6ca8", "generated": "#c8553d"}


def sky_level(tiles: Tiles, noise: Tiles) -> Tiles:
    """The mean of each tile's pixels within 3 sigma of the median outside its sources [N, 1, 1, 1], in nmgy."""
    sky = np.where(sources(tiles), np.nan, tiles)
    off = np.abs(sky - np.nanmedian(sky, axis=(2, 3), keepdims=True))
    return np.asarray(np.nanmean(np.where(off < 3 * noise, sky, np.nan), axis=(2, 3), keepdims=True), np.float32)


def sources(tiles: Tiles) -> NDArray[np.bool_]:
    """Which pixels belong to a source [N, 1, H, W]."""
    return np.asarray(sample_of(tiles, np.ones(tiles.shape[:2])).sources.numpy())


def classified(fake: Tiles, real: Tiles) -> tuple[float, NDArray[np.float32]]:
    """The share put right by networks that never saw the tile, and what they say of each place [N, h, w].

    Both are means over trainings; what is said is above 0 for real. The generated tiles come first.
    """
    images, is_real = judge.stretch(fake, real), torch.arange(len(fake) + len(real)) >= len(fake)
    said, right = torch.zeros(len(images), *(size // CELL_PX for size in images.shape[2:])), []
    for seed in range(TRAININGS):
        first, found = judge.first_half(len(fake), len(real), seed), torch.zeros_like(said)
        for train, offset in ((first, 1), (~first, 2)):
            network = judge.fit(images, is_real, train, torch.Generator().manual_seed(seed + offset))
            with torch.inference_mode():
                layers = list(network.children())
                seen = torch.nn.Sequential(*layers[:-3])(images[~train])
                found[~train] = (seen.movedim(1, -1) @ layers[-1].weight[0]) + layers[-1].bias
        said += found / TRAININGS
        hits = ((found.mean((1, 2)) > 0) == is_real).double()
        right.append(float(hits[: len(fake)].mean() + hits[len(fake) :].mean()) / 2)
    return float(np.mean(right)), said.numpy()


def main(store_folder: Path, bundle_folder: Path, target: Path) -> None:
    """Draw the picture, and print the shares put right."""
    torch.set_num_threads(1)
    store, bundle = TileStore.open(store_folder), Bundle.load(bundle_folder)
    split, rng = store.split("test"), np.random.default_rng(SEED)
    readouts = split.readouts()
    noise = np.array([store.card.conditions[name][0].sky_noise_nmgy for name in readouts], np.float32)
    noise = noise[:, None, None, None]
    fake, real = generated_tiles(bundle, store, readouts, SEED), split.array()

    def white(tiles: Tiles) -> Tiles:
        return np.asarray(noise * rng.standard_normal(tiles.shape, dtype=np.float32))

    changes: dict[str, Callable[[Tiles], Tiles]] = {
        "as they are": lambda tiles: tiles,
        "every tile's\nsky level at 0": lambda tiles: tiles - sky_level(tiles, noise),
        "sky replaced by\nwhite noise": lambda tiles: np.where(sources(tiles), tiles, white(tiles)),
        "sources replaced by\nwhite noise": lambda tiles: np.where(sources(tiles), white(tiles), tiles),
    }
    found = {name: classified(change(fake), change(real)) for name, change in changes.items()}
    for name, (share, _) in found.items():
        sys.stdout.write(f"{share:.3f} {' '.join(name.split())}\n")
    said = found["as they are"][1]
    answers = said.mean((1, 2))
    sets = {
        "real": (real, said[len(fake) :], np.argsort(-answers[len(fake) :])),
        "generated": (fake, said[: len(fake)], np.argsort(answers[: len(fake)])),
    }
    mpl.rcParams.update({"font.size": 8, "font.family": "sans-serif", "axes.spines.top": False})
    figure = Figure(figsize=(9.6, 6.6), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1.9, 1))
    grids = left.subfigures(2, 1)
    for grid, (name, (tiles, places, order)) in zip(grids, sets.items(), strict=True):
        draw_surest(grid, name, tiles[order[:COLUMNS], 0], places[order[:COLUMNS]])
    above, below = right.subplots(2, 1)
    draw_levels(above, {name: sky_level(tiles, noise).ravel() for name, (tiles, _, _) in sets.items()})
    draw_shares(below, {name: share for name, (share, _) in found.items()})
    figure.savefig(target, dpi=110, pil_kwargs={"quality": 85})


def draw_surest(grid: Figure, name: str, tiles: NDArray[np.float32], said: NDArray[np.float32]) -> None:
    """Tiles [n, H, W], their means over cells, and what the network says of these [n, h, w], below each other."""
    grid.suptitle(f"The {name} tiles that it is surest of", color=COLOURS[name], fontweight="bold")
    size = tiles.shape[1] // CELL_PX
    cells = tiles.reshape(len(tiles), size, CELL_PX, size, CELL_PX).mean((2, 4))
    most = float(np.quantile(np.abs(said), 0.98))
    axes = grid.subplots(3, len(tiles))
    captions = ("tile", f"mean of {CELL_PX} px,\n±{MOST_LEVEL} nmgy", "what it says:\nblue real,\nred generated")
    for row, caption in zip(axes, captions, strict=True):
        row[0].set_ylabel(caption, rotation=0, ha="right", va="center")
        for axis in row:
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
    for column, (tile, cell, place) in enumerate(zip(tiles, cells, said, strict=True)):
        seen = np.arcsinh(tile / judge.SOFTENING_NMGY)
        axes[0, column].imshow(seen, cmap="gray", origin="lower", vmin=-2, vmax=5)
        axes[1, column].imshow(cell, cmap="PuOr_r", origin="lower", vmin=-MOST_LEVEL, vmax=MOST_LEVEL)
        axes[2, column].imshow(place, cmap="RdBu", origin="lower", vmin=-most, vmax=most)


def draw_levels(axis: Axes, levels: dict[str, NDArray[np.float32]]) -> None:
    """How many tiles have which sky level."""
    bins = np.linspace(-MOST_LEVEL_SHOWN / 2, MOST_LEVEL_SHOWN, 37) * 1e3
    for name, of_tiles in levels.items():
        axis.hist(of_tiles * 1e3, bins, histtype="step", linewidth=1.6, color=COLOURS[name], label=name)
        axis.axvline(float(np.median(of_tiles)) * 1e3, color=COLOURS[name], linestyle=":")
    axis.set(title="Sky level of tiles", xlabel="0.001 nmgy\n(a count: 5; noise of a pixel: 24)", ylabel="tiles")
    axis.spines["right"].set_visible(False)
    axis.legend(frameon=False, loc="upper right", handlelength=1)


def draw_shares(axis: Axes, shares: dict[str, float]) -> None:
    """The share of tiles put right, for each change of both sets."""
    axis.barh(list(shares), list(shares.values()), color="#7d8597")
    axis.axvline(0.5, color="black", linewidth=0.8)
    for row, share in enumerate(shares.values()):
        axis.text(share + 0.004, row, f"{share:.2f}", va="center")
    axis.invert_yaxis()
    axis.set(xlim=(0.45, 0.72), title="Tiles put right\n(0.5: guessed)")
    axis.spines["right"].set_visible(False)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
