"""What an encoder sees: real tiles altered in known ways at several sizes, against the spread of real tiles themselves.

Usage: python -m benchmarks.encoder STORE ENCODER [SPLIT], with the folders of a tile set and of its encoder; the split
is validation unless said. The held-out tiles are halved HALVINGS times, each field's tiles alike. A distance's rise is
its value between the altered first half and the second, less its value between the same halves unaltered; a number in
the table is the mean rise over the standard deviation of the unaltered value, and the share of halvings in which it
rose stands behind it. An alteration is seen at once from a mean rise of two standard deviations on, and seen on paired
tiles where at least 97.5 % of the halvings rise.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from skygen.encoder.alterations import Alteration, Sample, planted, sample_of
from skygen.encoder.network import Encoder
from skygen.encoder.training import psf_of
from skygen.measure import frechet, kernel
from skygen.measure.score import halves
from skygen.tiles.store import Split, TileStore

HALVINGS = 60
TIMES = (0.25, 0.5, 1.0, 2.0)  # of the planted size
ALONE, PAIRED = 2.0, 0.975  # real-real standard deviations, and share of the halvings
SEED = 7
DISTANCES = {"frechet": frechet.relate, "kernel": kernel.relate}

Encode = Callable[[NDArray[np.floating]], NDArray[np.float32]]


class Rise(NamedTuple):
    """How a distance answers to an alteration: mean rise in real-real standard deviations, and share of rises."""

    mean: float
    share: float


def main(store: str, encoder: str, split: Split = "validation") -> None:
    """Print the table of what the encoder sees on the held-out tiles of one split."""
    if split not in get_args(Split):
        raise ValueError(f"the split is {split!r}; it must be one of {get_args(Split)}")
    held_out, of_set = TileStore.open(Path(store)), Encoder.load(Path(encoder))
    tiles = held_out.split(split)
    sample = sample_of(tiles.array(), psf_of(tiles.readouts(), held_out))
    masks = halvings(tiles.fields())
    print(f"{of_set.card.tiles}, {len(tiles)} tiles of {split}, encoder {of_set.sha256[:12]}\n")
    titles = [f"x {times:g}" for times in TIMES]
    print(f"| alteration | distance | {' | '.join(titles)} | at once from | paired from |")
    print(f"|{' --- |' * (4 + len(TIMES))}")
    for alteration in planted(sample.tiles.shape[1]).values():
        found = rises(of_set.encode, sample, alteration, masks)
        for name, row in found.items():
            print(f"| {_caption(alteration)} | `{name}` | {' | '.join(_cells(row))} |", flush=True)


def halvings(fields: list[str], count: int = HALVINGS) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Which tiles are in the first and which in the second of two disjoint halves, 1 or 0, [count, N] each."""
    first, second = np.zeros((2, count, len(fields)))
    for row in range(count):
        ours, theirs = halves(fields, SEED + row)
        first[row, ours], second[row, theirs] = 1, 1
    return first, second


def rises(
    encode: Encode, sample: Sample, alteration: Alteration, masks: tuple[NDArray[np.float64], NDArray[np.float64]]
) -> dict[str, dict[float, Rise]]:
    """What the distances do, by their name and by how many times the planted size; colours swap once at most."""
    first, second = masks
    unaltered = encode(sample.tiles.numpy())
    before = {name: relate(unaltered, unaltered)(first, second)[name] for name, relate in DISTANCES.items()}
    found: dict[str, dict[float, Rise]] = {name: {} for name in DISTANCES}
    for times in TIMES:
        if alteration.caption == "colours swapped" and times > 1:
            continue
        flux = alteration.alter(sample, times * alteration.size, np.random.default_rng(SEED))
        altered = encode(flux.numpy())
        for name, relate in DISTANCES.items():
            rise = relate(altered, unaltered)(first, second)[name] - before[name]
            found[name][times] = Rise(float(rise.mean() / before[name].std(ddof=1)), float((rise > 0).mean()))
    return found


def _cells(row: dict[float, Rise]) -> list[str]:
    values = [f"{row[times].mean:.3g} ({row[times].share:.0%})" if times in row else "-" for times in TIMES]
    is_seen = [
        {times: rise.mean >= ALONE for times, rise in row.items()},
        {times: rise.share >= PAIRED for times, rise in row.items()},
    ]
    return values + [_first(seen) for seen in is_seen]


def _first(seen: dict[float, bool]) -> str:
    """The least size from which on every larger one is seen too."""
    larger = [times for times in seen if all(answer for other, answer in seen.items() if other >= times)]
    return f"x {min(larger):g}" if larger else "not seen"


def _caption(alteration: Alteration) -> str:
    return alteration.caption + ("" if alteration.learnt else " (never shown in training)")


if __name__ == "__main__":
    main(*sys.argv[1:])  # type: ignore[arg-type]
