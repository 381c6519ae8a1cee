"""One number by which a training chooses its best checkpoint: how much worse than real tiles, 1 is as good.

Needs numpy and torch alone.
"""

import math
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from skygen.measure import diversity, pixels, spectrum

_MEASURES = {"pixel_w1": pixels, "power_spectrum": spectrum}
_FLOOR = 1e-6  # a real-real distance below it counts as it


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
        self._real = self._summaries(real_b)
        self._real_real = self._distances(real_a)
        self._real_diversity = self._diversity(real_b)

    def measure(self, fake: NDArray[np.floating]) -> dict[str, float]:
        """`pixel_w1` and `power_spectrum` of `fake` against the real tiles, its `diversity`, and `score`.

        `score` is the geometric mean of both distances over their real-real values and of how many times less diverse
        than real tiles `fake` is: lower is better, 1 is as good as real. Diversity beyond the real one earns nothing.
        """
        distances = self._distances(fake)
        diverse = diversity.compare(self._diversity(fake), self._real_diversity)
        ratios = [value / max(self._real_real[key], _FLOOR) for key, value in distances.items()]
        ratios.append(1 / min(1, max(diverse, _FLOOR)))
        return {**distances, "diversity": diverse, "score": math.prod(ratios) ** (1 / len(ratios))}

    @staticmethod
    def _diversity(tiles: NDArray[np.floating]) -> float:
        return diversity.summarise(diversity.describe(tiles), np.ones(len(tiles)))

    def _distances(self, tiles: NDArray[np.floating]) -> dict[str, float]:
        summaries = self._summaries(tiles)
        return {key: module.compare(summaries[key], self._real[key]) for key, module in _MEASURES.items()}

    @staticmethod
    def _summaries(tiles: NDArray[np.floating]) -> dict[str, NDArray[np.float64]]:
        once = np.ones(len(tiles))
        return {key: module.summarise(module.describe(tiles), once) for key, module in _MEASURES.items()}
