"""What every metric is read against: real tiles of the same fields and of others, and a single tile repeated."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skygen.evaluation.halvings import halvings
from skygen.measure.metric import Weights
from skygen.tiles.store import SPLITS, Split, TileSplit, TileStore

SEED = 2019  # of what is drawn here and of nothing else: every recipe meets the same real tiles
LEAST_TILES = 12  # of a held-out split: the neighbours of 6 tiles and more in each half are looked at
HELD_OUT: tuple[Split, ...] = ("validation", "test")


@dataclass(frozen=True)
class HeldOut:
    """The tiles of a held-out split, and how they are halved."""

    split: Split
    readouts: list[str]
    """[N] keys of the store's conditions; a generated tile is observed under those of the real tile of its number."""
    fields: int
    weights: tuple[Weights, Weights]
    """[R, N] each: which tiles count of what is compared with the real ones, and which of these."""


def held_out(store: TileStore, split: Split, seed: int, count: int) -> HeldOut:
    """A held-out split in an evaluation with `seed` and `count` halvings.

    Held-out tiles lie on a grid, so that halves share no pixel. Raises `ValueError` where there are too few.
    """
    tiles = store.split(split)
    if len(tiles) < LEAST_TILES:
        raise ValueError(
            f"{store.folder}: {len(tiles)} tiles of {split}, but two halves need {LEAST_TILES}; hold out more fields, "
            "or raise held_out_a_field in params.yaml"
        )
    readouts = tiles.readouts()
    weights = halvings(readouts, count, (SEED, seed, SPLITS.index(split)))
    return HeldOut(split, readouts, len(set(tiles.fields())), weights)


def between_fields(train: TileSplit, count: int, seed: int) -> NDArray[np.int64]:
    """The indices of `count` training tiles, as many of each field: what a perfect generator of them would paint.

    They lie at random places, and a few of them share pixels. Raises `ValueError` where there are not so many.
    """
    if len(train) < count:
        raise ValueError(
            f"the training split holds {len(train)} tiles, but a held-out split holds {count}; "
            "raise train_a_field or lower held_out_a_field in params.yaml"
        )
    return evenly(train.fields(), count, SEED + seed)


def apart(store: TileStore, chosen: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which training tiles share no pixel with the `chosen` ones (indices): [training tiles]. A tile shares its own.

    Raises `FileNotFoundError` where the store has no manifest, `ValueError` where that lists other tiles, or none is.
    """
    corner = _corners(store)
    _, field = np.unique(store.split("train").fields(), return_inverse=True)
    is_apart = np.ones(len(field), dtype=np.bool_)
    for name in np.unique(field[chosen]):
        same, others = np.flatnonzero(field == name), chosen[field[chosen] == name]
        offset = np.abs(corner[same, None] - corner[others])  # [tiles of the field, chosen ones of it, 2]
        is_apart[same] = ~(offset < store.card.size).all(axis=-1).any(axis=-1)
    if not is_apart.any():
        raise ValueError(
            f"{store.folder}: all training tiles share pixels with {len(chosen)} of them; raise train_a_field"
        )
    return is_apart


def _corners(store: TileStore) -> NDArray[np.int64]:
    """The x and y of each training tile in its field's r frame, [training tiles, 2] in px."""
    from skygen.tiles.manifest import MANIFEST, read_manifest  # needs pyarrow, which nothing else here does

    table = read_manifest(store.folder)
    of_train = np.array(table.column("split").to_pylist()) == "train"
    if of_train.sum() != len(store.split("train")):
        raise ValueError(
            f"{store.folder / MANIFEST} lists {of_train.sum()} training tiles, the shards hold "
            f"{len(store.split('train'))}; make the tile store anew"
        )
    return np.stack([table.column(name).to_numpy()[of_train].astype(np.int64) for name in ("x", "y")], axis=1)


def evenly(groups: Sequence[Hashable], count: int, seed: int) -> NDArray[np.int64]:
    """`count` indices of `groups`, in random order: of each group as many as of any other, as far as it has them."""
    shuffled = np.random.default_rng(seed).permutation(len(groups))
    _, group = np.unique([str(name) for name in groups], return_inverse=True)
    by_group = shuffled[np.argsort(group[shuffled], kind="stable")]
    turn = np.arange(len(groups)) - np.searchsorted(group[by_group], group[by_group])  # its place in its group
    return np.asarray(by_group[np.argsort(turn, kind="stable")][:count])


def collapse(tile: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """One `tile` [bands, H, W] `count` times, as a view of it: a generator that knows a single tile."""
    # np.broadcast_to would give one that cannot be written to, of which torch warns.
    return np.lib.stride_tricks.as_strided(tile, (count, *tile.shape), (0, *tile.strides))
