"""Where in their tiles sources stand: `sources.places`, whether that is the same place again and again.

The sky knows nothing of tiles: sources of different tiles, laid over each other, stand together by chance alone. How
often they do is Ripley's K (1976, doi:10.2307/3212829) at one small distance, without the pairs of a tile, which say
how sources cluster on the sky. It is a mean over pairs: unlike the nearest neighbour's distance of Clark & Evans 1954
(doi:10.2307/1931034) it does not change with the number of sources.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skygen.measure.medians import ratio
from skygen.measure.metric import Statistic, Values, Weights

NEAR_PX = 2.0  # pairs count as exp(-d² / 2) of their distance over it: no cut, at which values would jump
KEY = "sources.places"


@dataclass(frozen=True)
class Places:
    """The sources of N tiles on a grid of 1 px, which widens the kernel by 2 %."""

    number: NDArray[np.int64]
    """[N]: in each tile."""
    corner: NDArray[np.int64]
    """[sources, 2]: x and y in px, tile by tile."""
    within: NDArray[np.float64]
    """[N]: the sum of the kernel over the pairs of a tile's sources, each with itself too."""


def places_of(number: NDArray[np.int64], xy_px: NDArray[np.float64]) -> Places:
    """The places of sources at `xy_px` [sources, 2], `number` [N] of them in each tile, one tile after another."""
    corner = np.rint(np.maximum(xy_px, 0)).astype(np.int64)
    of_tiles = np.split(corner, np.cumsum(number)[:-1])
    within = [_kernel(*(place[:, None] - place for place in xy.T)).sum() for xy in of_tiles]
    return Places(number, corner, np.array(within, dtype=np.float64))


def relate(fake: Places, real: Places) -> Statistic:
    """The statistic of two sets: how large a share of pairs stands together, generated / real.

    0 where no two generated tiles that count hold a source; 1, since there is nothing to compare with, where no two
    real ones do.
    """

    def statistic(fake_weights: Weights, real_weights: Weights) -> dict[str, Values]:
        pairs = zip(shares(fake, fake_weights), shares(real, real_weights), strict=True)
        return {
            KEY: np.array([1.0 if np.isnan(theirs) else ratio(np.nan_to_num(ours), theirs) for ours, theirs in pairs])
        }

    return statistic


def shares(places: Places, weights: Weights) -> Values:
    """The mean kernel of two sources of different tiles, for each row of weights [R, N]: [R]; NaN without such a pair.

    About 2 π NEAR_PX² over the area of a tile where all places are alike. All pairs are summed at once, over a map of
    how many sources stand on each pixel, and those of one tile are taken off.
    """
    side = int(places.corner.max(initial=0)) + 1
    along = _kernel(np.subtract.outer(np.arange(side), np.arange(side)), 0)
    pixel = places.corner @ [1, side]
    found = np.full(len(weights), np.nan)
    for row, ours in enumerate(weights):
        pairs = (ours @ places.number) ** 2 - ours**2 @ places.number**2
        if pairs > 0:
            counts = np.bincount(pixel, np.repeat(ours, places.number), side**2).reshape(side, side)
            found[row] = ((counts * (along @ counts @ along)).sum() - ours**2 @ places.within) / pairs
    return found


def _kernel(x_px: NDArray[np.int64], y_px: NDArray[np.int64] | int) -> NDArray[np.float64]:
    return np.asarray(np.exp(-(x_px**2 + y_px**2) / (2 * NEAR_PX**2)))
