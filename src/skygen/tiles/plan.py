"""Which fields share a shard: buckets of a trie over the hashes of fields, so that a new field changes one shard."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from skygen.sky.field import FieldId
from skygen.tiles.store import SPLITS, Split

TILES_A_SHARD = 1000  # at most, unless one field gives more


@dataclass(frozen=True)
class ShardPlan:
    """A shard to be made: its split, its name without suffix, its fields in their order."""

    split: Split
    name: str
    fields: list[FieldId]


def plan_shards(
    fields: Mapping[Split, Sequence[FieldId]], tiles_a_field: Mapping[Split, int], seed: int
) -> list[ShardPlan]:
    """The shards of every split, sorted by name: each holds as many fields as give `TILES_A_SHARD` tiles at most.

    A field's hash, of `seed` and its name, is a path in a binary trie. A bucket with more fields than fit parts in two
    by the next bit, so that a new field changes the one shard that it falls into, or parts it; the name of a shard is
    its split and its bits, which no other field changes.
    """
    plans = []
    for split in SPLITS:
        most = max(1, TILES_A_SHARD // tiles_a_field[split])
        paths = sorted((_path(field, seed), field) for field in fields[split])
        plans += [ShardPlan(split, name, members) for name, members in _buckets(split, paths, most)]
    return plans


def _buckets(
    split: Split, paths: Sequence[tuple[str, FieldId]], most: int, depth: int = 0
) -> Iterator[tuple[str, list[FieldId]]]:
    if not paths:
        return
    if len(paths) <= most:
        bits = paths[0][0][:depth]
        yield f"{split}-{bits}" if bits else split, [field for _, field in paths]
        return
    middle = sum(path[depth] == "0" for path, _ in paths)  # they are sorted
    yield from _buckets(split, paths[:middle], most, depth + 1)
    yield from _buckets(split, paths[middle:], most, depth + 1)


def _path(field: FieldId, seed: int) -> str:
    digest = hashlib.sha256(f"shard:{seed}:{field}".encode()).digest()
    return f"{int.from_bytes(digest[:8]):064b}"
