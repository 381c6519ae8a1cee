"""Which field belongs to which split: decided before any tile is cut, so that no sky is in two splits."""

import hashlib
from collections.abc import Collection
from typing import Literal, get_args

from skygen.sky.field import FieldId

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)


def split_fields(fields: Collection[FieldId], validation: float, test: float, seed: int) -> dict[Split, list[FieldId]]:
    """The fields of each split, sorted: the shares `validation` and `test` of them (at least one each), train the rest.

    The order in which fields are dealt depends on `seed` and each field's name alone, so a new field moves few others.
    Raises `ValueError` for fewer than three fields.
    """
    if len(set(fields)) < len(SPLITS):
        raise ValueError(f"{len(set(fields))} complete fields; a split needs at least {len(SPLITS)}, one for each part")
    dealt = sorted(set(fields), key=lambda field: hashlib.sha256(f"{seed}:{field}".encode()).digest())
    held_out = [max(1, round(share * len(dealt))) for share in (validation, test)]
    while sum(held_out) >= len(dealt):
        held_out[held_out.index(max(held_out))] -= 1
    first, second = held_out[0], sum(held_out)
    return {
        "train": sorted(dealt[second:]),
        "validation": sorted(dealt[:first]),
        "test": sorted(dealt[first:second]),
    }
