"""`diversity`: how different generated tiles are from each other, over how different real ones are.

0 is one tile repeated, 1 as diverse as the sky. Pure noise can pass it, since every draw of it differs; so read it
with `sources`. Scenes are measured free of noise, since fresh noise would hide a collapse: of the real tiles' distance
8 to 14 % is noise (measured by adding more of it), so that perfect scenes reach about 0.9. Needs numpy and torch alone.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from skygen.measure.medians import ratio, weighted_median
from skygen.measure.metric import Given, Meaning, Measure, Metric, by_weights
from skygen.measure.pixels import STRETCH

BLOCK_PX = 4  # tiles are averaged over blocks of this side first, which quietens the noise
MOST_TILES = 1000  # beyond so many only the first are paired: half a million pairs are enough


@dataclass(frozen=True)
class Pairs:
    """Every pair of tiles once, nearest first: the indices of both [pairs] and their distance [pairs]."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    distance: NDArray[np.float64]


def describe(tiles: NDArray[np.floating]) -> Pairs:
    """The distances between all pairs of smoothed, stretched tiles; needs at least two tiles."""
    smooth = np.stack([_smooth(tile) for tile in tiles[:MOST_TILES]])
    first, second = np.triu_indices(len(smooth), 1)
    distance = torch.pdist(torch.from_numpy(smooth)).numpy()
    order = np.argsort(distance, kind="stable")
    return Pairs(first[order], second[order], distance[order])


def summarise(pairs: Pairs, weights: NDArray[np.float64]) -> float:
    """The median distance of two different tiles; `weights` [N] says how often each tile counts."""
    return weighted_median(pairs.distance, weights[pairs.first] * weights[pairs.second])


compare = ratio


def _smooth(tile: NDArray[np.floating]) -> NDArray[np.float64]:
    bands, height, width = tile.shape
    blocks = STRETCH.stretch(tile).reshape(bands, height // BLOCK_PX, BLOCK_PX, width // BLOCK_PX, BLOCK_PX)
    return np.asarray(blocks.mean(axis=(2, 4), dtype=np.float64)).ravel()


def _measures(given: Given) -> list[Measure]:
    return [Measure(("diversity",), describe, by_weights("diversity", summarise, compare))] if given.bands else []


METRIC = Metric(
    "physics",
    {
        "diversity": Meaning(
            1,
            "difference between tiles, generated (scenes: free of noise) / real; 0 is collapse",
            "Needs no encoder, and pure noise can pass it, so read it with sources; perfect scenes, measured without "
            "noise, reach about 0.9.",
        ),
    },
    _measures,
)
