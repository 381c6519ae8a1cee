"""The objects of any part of any plane, from random numbers at the addresses of cells.

A plane is divided into cells once a level, and a level holds the objects between two magnitudes: many faint ones in
small cells, few bright ones in large cells, so that a halo from far outside costs no search. In a cell the number of
each class is the Poisson quantile of one number, so that a lower density keeps the first objects of the same cell.
Galaxies lie in groups (`skygen.process.groups`).
"""

import copy
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from skygen.cores import one_thread
from skygen.process.generator import Process
from skygen.process.groups import NEAR, NEAR_PX, WIDE, WIDE_PX, WideGroups, members
from skygen.process.law import GALAXY, STAR
from skygen.process.marks import GALAXY_NORMALS, STAR_NORMALS
from skygen.process.objects import ARCMIN2_A_PX, BRIGHT_MAG, FAINT_MAG, Objects, flux_nmgy
from skygen.process.philox import MOST_MEAN, Words, fine_uniform, normals, philox, poisson, uniform


class Level(NamedTuple):
    """Objects between two magnitudes in r, the side of their cells, and how the galaxies lie."""

    bright: float
    faint: float
    cell_px: int
    share: tuple[float, float] = (1.0, 1.0)  # of the stars and galaxies between the magnitudes
    wide: float = 0.0  # share of its galaxies that is in wide groups


# Members of near groups have levels of their own, in the cells of the groups' centres. Of real galaxies with r < 20.5
# a share of 0.5 is in wide groups and 0.1 in near ones, with 20 < r < 22 fewer are (docs/plane.md).
LEVELS = (
    Level(22.5, FAINT_MAG, 32, wide=0.2),
    Level(20.0, 22.5, 64, (1.0, 0.95), wide=0.32),
    Level(17.0, 20.0, 128, (1.0, 0.865), wide=0.74),
    Level(14.0, 17.0, 256),
    Level(BRIGHT_MAG, 14.0, 1024),
    Level(20.0, 22.5, NEAR.cell_px, (0.0, 0.05)),
    Level(17.0, 20.0, NEAR.cell_px, (0.0, 0.135)),
)
_FIRST_NEAR = 5  # of the levels of near groups
# How far from its centre, along rows and columns, an object as bright as MAGNITUDES in r or fainter is drawn at most,
# whatever its other marks, up to a seeing of 3 arcsec: stars, galaxies.
MAGNITUDES = (BRIGHT_MAG, 12.0, 14.0, 15.5, 17.0, 18.0, 19.0, 20.0, 21.0, 22.0, 22.5, 23.0)
REACH_PX = (
    (512, 384, 192, 128, 96, 64, 48, 24, 24, 16, 16, 16),
    (768, 768, 512, 384, 192, 128, 96, 64, 48, 32, 24, 24),
)
MOST_REACH_PX = max(map(max, REACH_PX))
MOST_PX = 2**30 - 4096  # of a corner of what is asked for, from the plane's origin
STEPS_A_PX = 2**13  # places lie on a grid, so that they are exact in float32 too, within 2048 px of a canvas' corner
_ROWS = 16  # of every matrix product: a row's bits do not depend on how many others there are
_WHOLE = 64  # arrays are a multiple of this long: torch rounds some functions otherwise at an array's end
_COUNT, _PLACE, _MARKS = 0, 1, 2  # uses of random numbers; the marks go on from there
_KINDS = (STAR, GALAXY)
_SIDES = np.array([level.cell_px for level in LEVELS])
_REACH = np.array(REACH_PX)
_REACH_OF_LEVEL = _REACH[:, np.searchsorted(MAGNITUDES, [level.bright for level in LEVELS])]  # [2, levels]
_CELL_BITS = np.array([31 - (level.cell_px.bit_length() - 1) for level in LEVELS])  # of a row or column: of 2^31 px
_SHIFTS = np.array([33 - (level.cell_px * STEPS_A_PX).bit_length() for level in LEVELS], np.uint32)
_Module = TypeVar("_Module", bound=nn.Module)


class Boxes(NamedTuple):
    """n rectangles of one width and height, each of a plane of its own key and density."""

    key: NDArray[np.uint64]  # [n]
    x: NDArray[np.int64]  # [n] first column
    y: NDArray[np.int64]  # [n] first row
    width: int
    height: int
    density: NDArray[np.float64]  # [n, 2] stars and galaxies per arcmin² brighter than r = 20.5

    def take(self, indices: NDArray[np.int64] | slice) -> Self:
        """The boxes at `indices`."""
        return self._replace(key=self.key[indices], x=self.x[indices], y=self.y[indices], density=self.density[indices])


class Catalogue(NamedTuple):
    """The objects of boxes in the order of their ids; ids of one box are distinct and ascend."""

    objects: Objects  # [n] float64, places in the frame of the box
    box: NDArray[np.int64]  # [n] the box each belongs to
    id: NDArray[np.int64]  # [n] by class, level, row and column of the cell, and number
    reach_px: NDArray[np.int64]  # [n] how far from its centre an object may be drawn
    magnitude: NDArray[np.float64]  # [n] in r

    def take(self, indices: NDArray[np.int64] | NDArray[np.bool_]) -> Self:
        """The objects at `indices`, or where a mask is true."""
        some = np.flatnonzero(indices) if indices.dtype == bool else indices
        objects = self.objects.take(torch.from_numpy(some))
        return type(self)(objects, self.box[some], self.id[some], self.reach_px[some], self.magnitude[some])


class _Addresses(NamedTuple):
    """Where the random numbers of n cells, or of n objects of them, stand."""

    box: NDArray[np.int64]
    level: NDArray[np.int64]
    row: NDArray[np.int64]
    column: NDArray[np.int64]

    def take(self, indices: NDArray[np.int64]) -> Self:
        return type(self)(*(part[indices] for part in self))


class _Placed(NamedTuple):
    """n objects before the networks have seen them, stars first."""

    cell: _Addresses
    kind: NDArray[np.int64]
    number: NDArray[np.int64]  # in the cell
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    magnitude: NDArray[np.float64]
    angle: NDArray[np.float64]
    reach_px: NDArray[np.int64]

    def take(self, indices: NDArray[np.int64]) -> Self:
        arrays: list[NDArray[Any]] = [part[indices] for part in self[1:]]
        return type(self)(self.cell.take(indices), *arrays)


class Cells:
    """What a trained process has at every address. Computed on the CPU in float64, on the calling thread alone."""

    def __init__(self, process: Process) -> None:
        law = copy.deepcopy(process.law).cpu().double().requires_grad_(False)
        self._marks = _exact(copy.deepcopy(process.marks).cpu().double().requires_grad_(False))
        ends = [[law.number(level.bright).numpy(), law.number(level.faint).numpy()] for level in LEVELS]
        self._ends = np.array(ends)  # [levels, 2, 2] objects brighter than a level's limits, of each class
        # [levels, 2] objects where one is brighter than r = 20.5
        self.share = np.diff(self._ends, axis=1)[:, 0] * [level.share for level in LEVELS]
        self._segments = [part.numpy() for part in (law.knots, *law.segments())]

    def catalogue(self, boxes: Boxes, margin: int = MOST_REACH_PX, faintest: float = FAINT_MAG) -> Catalogue:
        """The objects of `boxes`, with those within `margin` px around that may shine in.

        `faintest` leaves fainter ones out, and the cost of finding them.
        """
        check(boxes)
        levels = [place for place, level in enumerate(LEVELS) if level.bright < faintest]
        groups = _wide_groups(boxes, levels, margin)
        parts, crowding = zip(*(_cells(boxes, at, margin, groups) for at in levels), strict=True)
        cells = _Addresses(*map(np.concatenate, zip(*parts, strict=True)))
        placed = self._placed(boxes, cells, self._numbers(boxes, cells, np.concatenate(crowding)), margin)
        if faintest < FAINT_MAG:
            placed = placed.take(np.flatnonzero(placed.magnitude < faintest))
        with one_thread(), torch.inference_mode():
            return self._marked(boxes, placed)

    def _numbers(self, boxes: Boxes, cells: _Addresses, crowding: NDArray[np.float64]) -> NDArray[np.int64]:
        """How many objects of each class [2, cells] there are; of galaxies `crowding` [cells] times the mean number."""
        words = _words(cells, 0, _COUNT, 0, boxes.key[cells.box])
        in_cell = self.share.T * _SIDES**2 * ARCMIN2_A_PX
        mean = boxes.density.T.take(cells.box, 1) * in_cell.take(cells.level, 1)
        mean[GALAXY] *= crowding
        _check_number(mean, cells.level, MOST_MEAN)
        share = np.concatenate([fine_uniform(*words[:2]), fine_uniform(*words[2:])])
        numbers = poisson(share, mean.ravel()).reshape(mean.shape)
        _check_number(numbers, cells.level)
        return numbers

    def _placed(self, boxes: Boxes, cells: _Addresses, numbers: NDArray[np.int64], margin: int) -> _Placed:
        """The objects near boxes."""
        each = numbers.ravel()
        owner = np.repeat(np.arange(len(each)), each)
        number = np.arange(len(owner)) - np.repeat(np.cumsum(each) - each, each)
        kind, cell = np.divmod(owner, len(cells.box))
        cell_of = cells.take(cell)
        words = _words(cell_of, number, _PLACE, kind, boxes.key[cell_of.box])
        x = _offset(words[0], cell_of.level) + (cell_of.column * _SIDES[cell_of.level] - boxes.x[cell_of.box])
        y = _offset(words[1], cell_of.level) + (cell_of.row * _SIDES[cell_of.level] - boxes.y[cell_of.box])
        first = len(kind) - int(np.count_nonzero(cell_of.level >= _FIRST_NEAR))  # no star: all are last
        if first < len(kind):
            at = _Addresses(*(part[first:] for part in cell_of))
            of_x, of_y = members(boxes.key[at.box], at.row, at.column, at.level, number[first:], words[0][first:])
            x[first:] = _on_grid(of_x) + (at.column * _SIDES[at.level] - boxes.x[at.box])
            y[first:] = _on_grid(of_y) + (at.row * _SIDES[at.level] - boxes.y[at.box])
        near = np.flatnonzero(_near(x, y, np.minimum(_REACH_OF_LEVEL[kind, cell_of.level], margin), boxes))
        kind, cell_of = kind[near], cell_of.take(near)
        magnitude = self._magnitudes(uniform(words[2][near]), cell_of.level, kind)
        reach = _REACH[kind, np.searchsorted(MAGNITUDES, magnitude, side="right") - 1]
        angle = np.pi * uniform(words[3][near])
        placed = _Placed(cell_of, kind, number[near], x[near], y[near], magnitude, angle, reach)
        return placed.take(np.flatnonzero(_near(placed.x, placed.y, np.minimum(reach, margin), boxes)))

    def _magnitudes(
        self, share: NDArray[np.float64], level: NDArray[np.int64], kind: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Magnitudes in r [n], as `CountsLaw.magnitudes` has them."""
        knots, cumulative, counts, slopes = self._segments
        least, most = self._ends[level, 0, kind], self._ends[level, 1, kind]
        wanted = least + share * (most - least)
        segment = np.zeros(len(wanted), np.int64)
        for inner in range(1, slopes.shape[1]):
            segment += wanted >= cumulative[kind, inner]
        slope = slopes[kind, segment]
        above = (wanted - cumulative[kind, segment]) * slope / counts[kind, segment]
        return np.asarray(knots[segment] + np.log1p(above) / slope)

    def _marked(self, boxes: Boxes, placed: _Placed) -> Catalogue:
        """The objects with what the networks draw of them."""
        stars = int(np.searchsorted(placed.kind, GALAXY))
        drawn = _normals(placed, boxes.key[placed.cell.box], stars)
        halves = [self._look(*of) for of in zip(_KINDS, np.split(placed.magnitude, [stars]), drawn, strict=True)]
        flux, radius, ratio, bulge = (torch.cat(both) for both in zip(*halves, strict=True))
        galaxy, x, y, angle = map(torch.from_numpy, (placed.kind == GALAXY, placed.x, placed.y, placed.angle))
        objects = Objects(galaxy, x, y, flux, radius, ratio, bulge, angle)
        return Catalogue(objects, placed.cell.box, _ids(placed), placed.reach_px, placed.magnitude)

    def _look(self, kind: int, magnitude: NDArray[np.float64], drawn: NDArray[np.float64]) -> tuple[torch.Tensor, ...]:
        """Fluxes [n, bands], radii, axis ratios and bulge shares [n]."""
        n, in_r, inputs = len(magnitude), _whole(magnitude), _whole(drawn)
        if kind == GALAXY:
            colours, radius, ratio, bulge = self._marks.galaxy_marks(in_r, inputs)
        else:
            colours = self._marks.star_colours(in_r, inputs)
            radius, ratio, bulge = torch.zeros_like(in_r), torch.ones_like(in_r), torch.zeros_like(in_r)
        flux = flux_nmgy(self._marks.magnitudes(in_r, colours))
        return flux[:n], radius[:n], ratio[:n], bulge[:n]


def check(boxes: Boxes) -> None:
    """Raise `ValueError` where boxes reach beyond the bounds of the plane, or a density is not a number from 0."""
    for name, first, size in (("x", boxes.x, boxes.width), ("y", boxes.y, boxes.height)):
        if size < 1:
            raise ValueError(f"{'width' if name == 'x' else 'height'} is {size}; it must be 1 or more")
        if len(first) and (int(first.min()) < -MOST_PX or int(first.max()) + size > MOST_PX):
            reached = f"{int(first.min())} to {int(first.max()) + size}"
            raise ValueError(f"{name} from {reached} px; the plane ends at -{MOST_PX} and {MOST_PX} px")
    if not (np.isfinite(boxes.density).all() and (boxes.density >= 0).all()):
        raise ValueError(f"densities are {boxes.density.min()} at least; they must be numbers from 0")


def _ids(placed: _Placed) -> NDArray[np.int64]:
    """Ids [n] of 63 bits: 1 for the class, 3 for the level, then the cell's row and column and the number in it."""
    bits, cell = _CELL_BITS[placed.cell.level], placed.cell
    half = 1 << (bits - 1)
    of_cell = (cell.row + half << bits) + cell.column + half
    return np.asarray((placed.kind << 62) + (cell.level << 59) + (of_cell << (59 - 2 * bits)) + placed.number)


def _check_number(number: NDArray[Any], level: NDArray[np.int64], most: float = np.inf) -> None:
    """Raise `ValueError` where numbers [2, n] in cells of `level` [n] are above `most`, or there are too few ids."""
    limits = np.minimum((1 << (59 - 2 * _CELL_BITS)) - 1, most)
    if number.max(initial=0) > limits.min():
        for place in np.flatnonzero((number > limits[level]).any(0)):
            found, side, limit = number[:, place].max(), _SIDES[level[place]], limits[level[place]]
            raise ValueError(f"{found:.0f} objects in a cell of {side} px, at most {limit:.0f}; lower the density")


def _wide_groups(boxes: Boxes, levels: list[int], margin: int) -> WideGroups:
    """The wide groups that reach the middles of cells of `levels`."""
    reaches = [min(_reach(at), margin) + LEVELS[at].cell_px // 2 for at in levels if LEVELS[at].wide]
    if not reaches:
        return WideGroups(*np.empty((3, 0), np.int64))
    rows, columns = _grid(boxes, WIDE.cell_px, max(reaches) + WIDE_PX)
    box, row, column = _each(rows, columns)
    return WideGroups.of(boxes.key[box], box, row, column)


def _cells(boxes: Boxes, place: int, margin: int, groups: WideGroups) -> tuple[_Addresses, NDArray[np.float64]]:
    """The cells of a level in which there may be objects that shine into boxes, or lie inside.

    With them, how many times the mean density of galaxies is in each.
    """
    level, near, reach = LEVELS[place], place >= _FIRST_NEAR, min(_reach(place), margin)
    rows, columns = _grid(boxes, level.cell_px, reach + (NEAR_PX if near else 0))
    box, row, column = _each(rows, columns)
    crowding = np.ones(len(box))
    if near:
        centres = NEAR.number(boxes.key[box], row, column)
        some = np.flatnonzero(centres)
        box, row, column, crowding = box[some], row[some], column[some], centres[some] / NEAR.mean
    elif level.wide:
        crowding += level.wide * (groups.crowding(rows, columns, level.cell_px).ravel() - 1)
    return _Addresses(box, np.full(len(box), place), row, column), crowding


def _reach(place: int) -> int:
    return int(_REACH_OF_LEVEL[:, place].max())


def _grid(boxes: Boxes, side: int, reach: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows [boxes, n] and columns [boxes, m] of cells of `side` that boxes and `reach` px around touch."""
    rows, columns = (
        ((first - reach) // side)[:, None] + np.arange(_most((first - reach) // side, (first + size + reach) // side))
        for first, size in ((boxes.y, boxes.height), (boxes.x, boxes.width))
    )
    return rows, columns


def _each(
    rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Box, row and column of each cell."""
    shape = (len(rows), rows.shape[1], columns.shape[1])
    box = np.broadcast_to(np.arange(shape[0])[:, None, None], shape)
    row, column = np.broadcast_to(rows[:, :, None], shape), np.broadcast_to(columns[:, None, :], shape)
    return box.ravel(), row.ravel(), column.ravel()


def _near(x: NDArray[np.float64], y: NDArray[np.float64], reach: NDArray[np.int64], boxes: Boxes) -> NDArray[np.bool_]:
    """Whether places [n] in the frames of their boxes are inside, or at most `reach` outside."""
    inside = (x >= -0.5 - reach) & (x < boxes.width - 0.5 + reach)
    return inside & (y >= -0.5 - reach) & (y < boxes.height - 0.5 + reach)


def _most(first: NDArray[np.int64], last: NDArray[np.int64]) -> int:
    return int((last - first).max(initial=-1)) + 1


def _words(
    cell: _Addresses,
    number: NDArray[np.int64] | int,
    use: NDArray[np.int64] | int,
    kind: NDArray[np.int64] | int,
    key: NDArray[np.uint64],
) -> tuple[Words, ...]:
    return philox((_wrapped(cell.row), _wrapped(cell.column), number, use << 4 | cell.level << 1 | kind), key)


def _wrapped(cell: NDArray[np.int64]) -> Words:
    """Rows or columns as 32 bits in two's complement."""
    return (cell & 0xFFFFFFFF).astype(np.uint32)


def _offset(word: Words, level: NDArray[np.int64]) -> NDArray[np.float64]:
    """Places in a cell [n], from its first pixel's outer edge, on the grid of places."""
    return (word >> _SHIFTS[level]) / STEPS_A_PX - 0.5


def _on_grid(place: NDArray[np.float64]) -> NDArray[np.float64]:
    """Places in px from a cell's first corner, on the grid of places."""
    return np.rint(place * STEPS_A_PX) / STEPS_A_PX - 0.5


def _normals(placed: _Placed, key: NDArray[np.uint64], stars: int) -> list[NDArray[np.float64]]:
    """Normal numbers for the networks, of the first objects, `stars`, and of the galaxies after them; each [n, k]."""
    kinds = ((0, stars, STAR_NORMALS), (stars, len(key), GALAXY_NORMALS))
    parts = [(first, last, part) for first, last, size in kinds for part in range(-(-size // 4))]
    index = np.concatenate([np.arange(first, last) for first, last, _ in parts])
    use = np.concatenate([np.full(last - first, _MARKS + part) for first, last, part in parts])
    words = _words(placed.cell.take(index), placed.number[index], use, placed.kind[index], key[index])
    blocks = np.split(normals(words), np.cumsum([last - first for first, last, _ in parts])[:-1])
    of_stars = -(-STAR_NORMALS // 4)
    return [
        np.concatenate(blocks[:of_stars], -1)[:, :STAR_NORMALS],
        np.concatenate(blocks[of_stars:], -1)[:, :GALAXY_NORMALS],
    ]


def _whole(rows: NDArray[np.float64]) -> torch.Tensor:
    """The rows with zeros after them, up to a length at which torch rounds them all alike."""
    more = -len(rows) % _WHOLE or (_WHOLE if len(rows) == 0 else 0)
    return torch.from_numpy(np.concatenate([rows, np.zeros((more, *rows.shape[1:]))]))


class _Rows(nn.Module):
    """A linear layer by products of 16 rows each."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self._weight = np.ascontiguousarray(layer.weight.detach().numpy().T)
        self._bias = layer.bias.detach().numpy()

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        stacks = rows.numpy().reshape(-1, _ROWS, rows.shape[-1]) @ self._weight + self._bias
        return torch.from_numpy(stacks.reshape(len(rows), -1))


def _exact(module: _Module) -> _Module:
    """The module with its linear layers replaced by `_Rows`."""
    for name, part in list(module.named_children()):
        if isinstance(part, nn.Linear):
            setattr(module, name, _Rows(part))
        else:
            _exact(part)
    return module
