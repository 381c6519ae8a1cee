"""Groups of galaxies, wide and near, whose centres lie independently of each other (Neyman & Scott 1952).

Centres have addresses of their own and do not depend on the density of galaxies. The number of members is Poisson, so
that galaxies in wide groups are a Poisson process whose density is a sum over the groups: no member is searched for. A
member of a near group has a place of its own around the centre.

Both kinds have the profile (1 - r²/R²)², which ends at R; its mean square, and so the correlation at no distance, is
that of a Gaussian of R/√7.2.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from skygen.process.law import GALAXY
from skygen.process.objects import ARCMIN2_A_PX
from skygen.process.philox import Words, philox, uniform

WIDE_PX, NEAR_PX = 456, 23  # R of the profiles: pairs are as many as in Gaussian groups of 170 and 8.5 px
# Of real galaxies brighter than r = 20.5 (docs/log.md): how many there are, the share of them that is in groups of a
# kind, and the mean number in a group.
GALAXIES_ARCMIN2 = 0.616
WIDE_SHARE, WIDE_MEMBERS = 0.5, 5.8
NEAR_SHARE, NEAR_MEMBERS = 0.1, 1.0
_MEMBER_USE = 14  # of random numbers; others are in `Centres` and in process.cells
Places = NDArray[np.int64]


class Centres(NamedTuple):
    """The centres of a kind of group: in cells of their own, at corners of pixels."""

    use: int  # of random numbers
    cell_px: int
    arcmin2: float  # how many there are

    @property
    def mean(self) -> float:
        """How many a cell has on average."""
        return self.arcmin2 * ARCMIN2_A_PX * self.cell_px**2

    def number(self, key: NDArray[np.uint64], row: Places, column: Places) -> Places:
        """How many centres [n] cells of planes `key` have."""
        share = uniform(_words(self.use << 4, key, row, column, 0)[0])
        return np.searchsorted(_chances(self.mean), share)

    def places(self, key: NDArray[np.uint64], row: Places, column: Places, number: Places) -> tuple[Places, Places]:
        """Where centres `number` [n] of cells lie: x and y in px from the cell's first corner."""
        _, x, y, _ = _words(self.use << 4, key, row, column, number)
        shift = np.uint32(33 - self.cell_px.bit_length())
        return (x >> shift).astype(np.int64), (y >> shift).astype(np.int64)


WIDE = Centres(12, 1024, GALAXIES_ARCMIN2 * WIDE_SHARE / WIDE_MEMBERS)
NEAR = Centres(13, 128, GALAXIES_ARCMIN2 * NEAR_SHARE / NEAR_MEMBERS)
_A_KERNEL = 3 / (np.pi * WIDE_PX**6) / (WIDE.arcmin2 * ARCMIN2_A_PX)


@lru_cache
def _chances(mean: float) -> NDArray[np.float64]:
    """The chances of a Poisson number at most 0, 1, 2, ... up to where a word cannot tell them from 1."""
    chances: NDArray[np.float64] = np.exp(-mean) * np.cumsum(np.cumprod([1.0, *(mean / np.arange(1, int(mean) + 24))]))
    return chances


class WideGroups(NamedTuple):
    """The centres [n] of wide groups near boxes, in px from the plane's first corner."""

    of_box: Places
    x: Places
    y: Places

    @classmethod
    def of(cls, key: NDArray[np.uint64], box: Places, row: Places, column: Places) -> "WideGroups":
        """The centres in cells [m] of planes `key` [m]."""
        number = WIDE.number(key, row, column)
        cell = np.repeat(np.arange(len(number)), number)
        in_cell = np.arange(len(cell)) - np.repeat(np.cumsum(number) - number, number)
        x, y = WIDE.places(key[cell], row[cell], column[cell], in_cell)
        return cls(box[cell], column[cell] * WIDE.cell_px + x, row[cell] * WIDE.cell_px + y)

    def crowding(self, rows: Places, columns: Places, side: int) -> NDArray[np.float64]:
        """How many times the mean density of wide groups' galaxies the middles of cells have [boxes, rows, columns].

        `rows` [boxes, rows] and `columns` [boxes, columns] are consecutive.
        """
        reached = np.ones(len(self.of_box), bool)
        for cells, at in ((rows, self.y), (columns, self.x)):
            before = (cells[:, 0] * side + side // 2)[self.of_box] - at
            reached &= (before < WIDE_PX) & (before + (cells.shape[1] - 1) * side > -WIDE_PX)
        box, x, y = (part[reached] for part in self)
        axes = []
        for cells, at in ((rows, y), (columns, x)):
            first, window = cells[box, 0], min(2 * WIDE_PX // side + 1, cells.shape[1])
            nearest = -((WIDE_PX + side // 2 - at) // side) - first
            place = np.clip(nearest, 0, cells.shape[1] - window)[:, None] + np.arange(window)
            distance = (first[:, None] + place) * side + side // 2 - at[:, None]
            axes.append((place, (distance**2).astype(np.float64)))
        (row, height), (column, width) = axes
        # Whole numbers below 2^53: the sum is exact, whatever its order.
        kernel = np.maximum(WIDE_PX**2 - height[:, :, None] - width[:, None, :], 0.0) ** 2
        cell = ((box * rows.shape[1])[:, None] + row)[:, :, None] * columns.shape[1] + column[:, None, :]
        total = np.bincount(cell.ravel(), kernel.ravel(), rows.size * columns.shape[1])
        return np.asarray(total.reshape(*rows.shape, -1) * _A_KERNEL)


def members(
    key: NDArray[np.uint64], row: Places, column: Places, level: Places, number: Places, word: Words
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where members `number` [n] of near groups lie: x and y in px from the first corner of the cell of their centre.

    `word` [n] decides which of the cell's groups each belongs to.
    """
    group = word.astype(np.int64) * NEAR.number(key, row, column) >> 32
    x, y = NEAR.places(key, row, column, group)
    *three, turn = map(uniform, _words(_MEMBER_USE << 4 | level << 1 | GALAXY, key, row, column, number))
    radius, angle = (
        NEAR_PX * np.minimum.reduce(three) ** 0.5,
        2 * np.pi * turn,
    )  # the least of three follows the profile
    return x + radius * np.cos(angle), y + radius * np.sin(angle)


def _words(
    use: Places | int, key: NDArray[np.uint64], row: Places, column: Places, number: Places | int
) -> tuple[Words, ...]:
    return philox((row & 0xFFFFFFFF, column & 0xFFFFFFFF, number, use), key)
