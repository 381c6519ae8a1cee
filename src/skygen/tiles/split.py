"""Which field belongs to which split: decided before any tile is cut, so that no sky is in two splits."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skygen.sky.field import FieldId
from skygen.sky.footprint import groups, near_any, sky_cells
from skygen.tiles.store import SPLITS, Split

_CELLS_DEG = (8.0, 4.0, 2.0, 1.0, 0.5)  # widths of the cells that part a group too big for a split: the widest that do

Group = NDArray[np.int64]  # indices of fields


@dataclass(frozen=True)
class Splits:
    """The fields of each split and those left out, since they show sky of another split; all sorted."""

    fields: dict[Split, list[FieldId]]
    left_out: list[FieldId]


def split_fields(places: Mapping[FieldId, tuple[float, float]], validation: float, test: float, seed: int) -> Splits:
    """The shares `validation` and `test` of the fields (at least one each), train the rest; no sky is in two splits.

    `places` are the centres (RA, Dec) of the fields in degrees. Fields nearer to each other than a frame's diagonal may
    overlap, and so may their neighbours in turn: such a group goes to one split. Groups are dealt in an order that
    depends on `seed` and each group's first field alone, so a new field moves few others. Where groups are too big for
    that (whole stripes of the survey, or a small region), the biggest are parted along fixed cells of sky, and fields
    near a border between two splits are left out. Raises `ValueError` where three splits cannot be had.
    """
    known = sorted(places, key=lambda field: (field.run, field.camcol, field.field))
    if len(known) < len(SPLITS):
        raise ValueError(f"{len(known)} complete fields; a split needs at least {len(SPLITS)}, one for each part")
    ra, dec = np.array([places[field] for field in known]).T
    wanted = _wanted(len(known), validation, test)
    parts = _part(_members(groups(ra, dec)), ra, dec, wanted)
    if len(parts) < len(SPLITS):
        raise ValueError(
            f"{len(known)} fields overlap so that they form {len(parts)} groups; a split needs at least "
            f"{len(SPLITS)}, which share no sky: give fields that lie further apart"
        )
    dealt = _deal([parts[index] for index in _order(parts, known, seed)], wanted, len(known))
    shared = _shared(dealt, ra, dec)
    splits = {
        split: [known[index] for index in np.flatnonzero((dealt == number) & ~shared)]
        for number, split in enumerate(SPLITS)
    }
    empty = [split for split in SPLITS if not splits[split]]
    if empty:
        raise ValueError(
            f"the {len(known)} fields lie so close together that every field of {', '.join(empty)} shares sky with "
            "another split: give more fields, or some that lie further apart"
        )
    return Splits(splits, [known[index] for index in np.flatnonzero(shared)])


def hold_out_fields(
    places: Mapping[FieldId, tuple[float, float]], validation: Iterable[FieldId], test: Iterable[FieldId]
) -> Splits:
    """The fields `validation` and `test` held out, as they are named; all others of `places` train.

    Fields that share sky with a held-out one are left out. Raises `ValueError` where fields of validation and test
    share sky, or none is left to train on; `places` must have all that are named.
    """
    known = sorted(places)
    ra, dec = np.array([places[field] for field in known]).T
    of: dict[FieldId, Split] = {**dict.fromkeys(validation, "validation"), **dict.fromkeys(test, "test")}
    dealt = np.array([SPLITS.index(of.get(field, "train")) for field in known], dtype=np.int8)
    shared = _shared(dealt, ra, dec)
    clash = [str(known[index]) for index in np.flatnonzero(shared & (dealt > 0))]
    if clash:
        raise ValueError(
            f"hold_out: {', '.join(clash)} of validation shares sky with a field of test; name both in one of the "
            "two, or fields that lie further apart"
        )
    splits = {
        split: [known[index] for index in np.flatnonzero((dealt == number) & ~shared)]
        for number, split in enumerate(SPLITS)
    }
    left_out = [known[index] for index in np.flatnonzero(shared)]
    if not splits["train"]:
        near = f", and {', '.join(map(str, left_out))} shares sky with one that is" if left_out else ""
        raise ValueError(
            f"hold_out leaves no field to train on: {len(of)} of {len(known)} complete fields are held out{near}; "
            "hold out fewer, or give more fields"
        )
    return Splits(splits, left_out)


def _wanted(count: int, validation: float, test: float) -> dict[Split, int]:
    held_out = [max(1, round(share * count)) for share in (validation, test)]
    while sum(held_out) >= count:
        held_out[held_out.index(max(held_out))] -= 1
    return {"train": count - sum(held_out), "validation": held_out[0], "test": held_out[1]}


def _members(labels: NDArray[np.int64]) -> list[Group]:
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)


def _part(
    groups: Iterable[Group], ra: NDArray[np.float64], dec: NDArray[np.float64], wanted: Mapping[Split, int]
) -> list[Group]:
    """The groups, of which those too big for a held-out split fit into training together, and three at least."""
    most = min(wanted["validation"], wanted["test"])
    waiting = sorted(groups, key=lambda group: (len(group), -group[0]))
    big = sum(len(group) for group in waiting if len(group) > most)
    parts: list[Group] = []
    while waiting and (big > wanted["train"] or len(waiting) + len(parts) < len(SPLITS)) and len(waiting[-1]) > most:
        group = waiting.pop()
        big -= len(group)
        parts += _cells(group, ra, dec, most)
    return waiting + parts


def _cells(group: Group, ra: NDArray[np.float64], dec: NDArray[np.float64], most: int) -> list[Group]:
    parts = [group]
    for width in _CELLS_DEG:
        cells = np.unique(sky_cells(ra[group], dec[group], width), return_inverse=True)[1]
        parts = [group[members] for members in _members(cells)]
        if max(map(len, parts)) <= most:
            break
    return parts


def _order(groups: list[Group], known: list[FieldId], seed: int) -> list[int]:
    def rank(index: int) -> bytes:
        return hashlib.sha256(f"{seed}:{known[groups[index][0]]}".encode()).digest()

    return sorted(range(len(groups)), key=rank)


def _deal(groups: list[Group], wanted: Mapping[Split, int], count: int) -> NDArray[np.int8]:
    """The number of the split [count] of each field: a held-out split takes the groups, in turn, that still fit it.

    At least one group, and never the last ones that the splits after it need.
    """
    dealt = np.full(count, SPLITS.index("train"), dtype=np.int8)
    left = list(range(len(groups)))
    for after, split in zip((2, 1), SPLITS[1:], strict=True):
        taken: set[int] = set()
        fields = 0
        for index in left:
            if fields + len(groups[index]) <= wanted[split] and len(left) - len(taken) > after:
                taken.add(index)
                fields += len(groups[index])
        taken = taken or {min(left, key=lambda index: len(groups[index]))}
        for index in taken:
            dealt[groups[index]] = SPLITS.index(split)
        left = [index for index in left if index not in taken]
    return dealt


def _shared(dealt: NDArray[np.int8], ra: NDArray[np.float64], dec: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which fields [N] to leave out so that no two splits share sky: of training before validation before test."""
    shared = np.zeros(len(dealt), dtype=bool)
    for split in range(len(SPLITS) - 1):
        of_split, of_later = dealt == split, dealt > split
        shared[of_split] = near_any(ra[of_split], dec[of_split], ra[of_later], dec[of_later])
    return shared
