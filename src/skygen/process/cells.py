"""The objects of any part of any plane, from random numbers at the addresses of cells.

A plane is divided into cells once a level, and a level holds the objects between two magnitudes: many faint ones in
small cells, few bright ones in large cells, so that a halo from far outside costs no search. In a cell the number of
each class is the Poisson quantile of one number, so that a lower density keeps the first objects of the same cell.
"""

import copy
from functools import lru_cache
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from skygen.cores import one_thread
from skygen.process.generator import Process
from skygen.process.law import GALAXY, STAR
from skygen.process.marks import GALAXY_NORMALS, STAR_NORMALS
from skygen.process.objects import ARCMIN2_A_PX, BRIGHT_MAG, FAINT_MAG, Objects, flux_nmgy
from skygen.process.philox import Words, fine_uniform, normals, philox, uniform


class Level(NamedTuple):
    """Objects between two magnitudes in r, and the side of their cells."""

    bright: float
    faint: float
    cell_px: int


LEVELS = (
    Level(22.5, FAINT_MAG, 32),
    Level(20.0, 22.5, 64),
    Level(17.0, 20.0, 128),
    Level(14.0, 17.0, 256),
    Level(BRIGHT_MAG, 14.0, 1024),
)
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
        self.share = np.diff(self._ends, axis=1)[:, 0]  # [levels, 2] objects where one is brighter than r = 20.5
        self._segments = [part.numpy() for part in (law.knots, *law.segments())]

    def catalogue(self, boxes: Boxes, margin: int = MOST_REACH_PX, faintest: float = FAINT_MAG) -> Catalogue:
        """The objects of `boxes`, with those within `margin` px around that may shine in.

        `faintest` leaves fainter ones out, and the cost of finding them.
        """
        check(boxes)
        levels = [place for place, level in enumerate(LEVELS) if level.bright < faintest]
        cells = _Addresses(*map(np.concatenate, zip(*(_cells(boxes, at, margin) for at in levels), strict=True)))
        placed = self._placed(boxes, cells, self._numbers(boxes, cells, levels), margin)
        if faintest < FAINT_MAG:
            placed = placed.take(np.flatnonzero(placed.magnitude < faintest))
        with one_thread(), torch.inference_mode():
            return self._marked(boxes, placed)

    def _numbers(self, boxes: Boxes, cells: _Addresses, levels: list[int]) -> NDArray[np.int64]:
        """How many objects of each class [2, cells] there are."""
        words = _words(cells, 0, _COUNT, 0, boxes.key[cells.box])
        share = np.stack([fine_uniform(*words[:2]), fine_uniform(*words[2:])])
        numbers = np.empty(share.shape, np.int64)
        for level in levels:
            these = slice(*np.searchsorted(cells.level, (level, level + 1)))
            for kind in _KINDS:
                mean = boxes.density[:, kind] * (self.share[level, kind] * LEVELS[level].cell_px ** 2 * ARCMIN2_A_PX)
                numbers[kind, these] = _quantile(share[kind, these], mean, cells.box[these])
            _check_number(numbers[:, these], level)
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


def _check_number(number: NDArray[np.int64], level: int) -> None:
    most, found = (1 << (59 - 2 * int(_CELL_BITS[level]))) - 1, int(number.max(initial=0))
    if found > most:
        side = LEVELS[level].cell_px
        raise ValueError(f"{found} objects in a cell of {side} px, at most {most}; lower the density")


def _cells(boxes: Boxes, place: int, margin: int) -> _Addresses:
    """The cells of a level in which there may be objects that shine into boxes, or lie inside."""
    side, reach = LEVELS[place].cell_px, min(int(_REACH_OF_LEVEL[:, place].max()), margin)
    rows, columns = (
        (first - reach) // side + np.arange(_most((first - reach) // side, (first + size + reach) // side))[:, None]
        for first, size in ((boxes.y, boxes.height), (boxes.x, boxes.width))
    )  # [cells, n]
    shape = (len(boxes.key), len(rows), len(columns))
    box = np.broadcast_to(np.arange(shape[0])[:, None, None], shape)
    row, column = np.broadcast_to(rows.T[:, :, None], shape), np.broadcast_to(columns.T[:, None, :], shape)
    return _Addresses(box.ravel(), np.full(box.size, place), row.ravel(), column.ravel())


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


def _quantile(share: NDArray[np.float64], mean: NDArray[np.float64], box: NDArray[np.int64]) -> NDArray[np.int64]:
    """The least numbers [n] whose Poisson distribution of the box's mean reaches `share` [n]."""
    means, of = np.unique(mean, return_inverse=True)
    if len(means) == 1:
        return np.searchsorted(_distribution(float(means[0])), share)
    found, of_cell = np.empty(len(share), np.int64), of[box]
    for place, value in enumerate(means):
        these = np.flatnonzero(of_cell == place)
        found[these] = np.searchsorted(_distribution(float(value)), share[these])
    return found


@lru_cache(4096)
def _distribution(mean: float) -> NDArray[np.float64]:
    """Chances of a Poisson number at most 0, 1, 2, ... up to where they are 1."""
    if mean == 0:
        return np.ones(1)
    number = np.arange(1, int(mean + 12 * mean**0.5) + 24)
    logs = np.concatenate([[0.0], np.cumsum(np.log(mean / number))])
    chances: NDArray[np.float64] = np.minimum(np.cumsum(np.exp(logs - mean)), 1.0)
    chances[-1] = 1.0  # whatever was rounded off
    return chances


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
