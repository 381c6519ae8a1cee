"""One number by which a training chooses its best checkpoint: how much worse than real tiles, 1 is as good.

Needs numpy and torch alone.
"""

import math
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skygen.measure import diversity, peaks, pixels, spectrum

_DISTANCES = {"pixel_w1": pixels, "power_spectrum": spectrum}
_SHARES = {"diversity": diversity, "peaks": peaks}
_MEASURES: dict[str, Any] = {**_DISTANCES, **_SHARES}
_LEAST_DISTANCE = 1e-6  # a real-real distance below it counts as it
_LEAST_SHARE = 1e-3  # a share of the real diversity or peaks below it counts as it


def halves(groups: Sequence[Hashable], seed: int = 0) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The indices of two disjoint halves of equal size, in random order, with the same mix of `groups`.

    `groups` names each tile's field; the halves' shares of a field differ by one tile at most. An odd tile is left
    over. The same `seed` gives the same halves. Raises `ValueError` for fewer than two tiles.
    """
    if len(groups) < 2:
        raise ValueError(f"{len(groups)} tiles cannot be halved; hold out at least 2")
    generator = np.random.default_rng(seed)
    shuffled = generator.permutation(len(groups))
    _, group = np.unique([str(name) for name in groups], return_inverse=True)
    by_group = shuffled[np.argsort(group[shuffled], kind="stable")]
    even = by_group[: len(groups) // 2 * 2]
    return generator.permutation(even[0::2]), generator.permutation(even[1::2])


class ValidationScore:
    """Scores sets of tiles against real ones, which are described once."""

    def __init__(self, real_a: NDArray[np.floating], real_b: NDArray[np.floating]) -> None:
        """Take two disjoint halves of real tiles: what is scored is compared with `real_b`, as `real_a` is."""
        self._real = _summaries(real_b)
        self._real_real = self._compare(real_a)

    def measure(self, fake: NDArray[np.floating]) -> dict[str, float]:
        """What `fake` is like, and `score`, which sums it up: lower is better, 1 is as good as real.

        `pixel_w1` and `power_spectrum` are distances from the real tiles; `diversity` and `peaks` (a tile) are fake
        over real. The score is the geometric mean of both distances over their real-real values, and of how many times
        more or less diverse `fake` is and how many times more or fewer peaks it has.
        """
        found = self._compare(fake)
        worse = [found[key] / max(self._real_real[key], _LEAST_DISTANCE) for key in _DISTANCES]
        shares = [max(found[key], _LEAST_SHARE) for key in _SHARES]
        worse += [max(share, 1 / share) for share in shares]
        return {**found, "score": math.prod(worse) ** (1 / len(worse))}

    def _compare(self, tiles: NDArray[np.floating]) -> dict[str, float]:
        summaries = _summaries(tiles)
        return {key: module.compare(summaries[key], self._real[key]) for key, module in _MEASURES.items()}


def _summaries(tiles: NDArray[np.floating]) -> dict[str, Any]:
    once = np.ones(len(tiles))
    return {key: module.summarise(module.describe(tiles), once) for key, module in _MEASURES.items()}
