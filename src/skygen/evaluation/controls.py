"""What every metric is read against: real tiles of the same fields and of others, and a single tile repeated."""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from skygen.gan.latents import noise_of
from skygen.gan.view import Conditions, Sky, expose
from skygen.measure.score import halves
from skygen.tiles.store import Split, TileSplit, TileStore

SEED = 2019  # of what is drawn here and of nothing else: every recipe meets the same real tiles


class Controls(NamedTuple):
    """Four sets of N tiles [N, bands, H, W] in nmgy. Generated tiles are compared with `real_b`, as the others are."""

    real_a: NDArray[np.float32]
    real_b: NDArray[np.float32]
    between_fields: NDArray[np.float32]
    collapsed: NDArray[np.float32]
    fields: list[str]
    """The field of each tile of `real_b`, under whose conditions scenes are to be observed."""


def controls(store: TileStore, split: Split) -> Controls:
    """The controls of a held-out split, N half of its tiles.

    Held-out tiles lie on a grid, so that the halves share no pixel; both hold the same mix of fields. Raises
    `ValueError` where fewer than N tiles train.
    """
    real = store.split(split)
    fields = real.fields()
    first, second = halves(fields, SEED)
    real_a, real_b = real.batch(first), real.batch(second)
    others = between_fields(store.split("train"), len(second))
    return Controls(real_a, real_b, others, collapse(real_a), [fields[index] for index in second])


def between_fields(train: TileSplit, count: int) -> NDArray[np.float32]:
    """`count` training tiles, as many of each field: what a perfect generator of the training fields would paint.

    They lie at random places, and a few of them share pixels. Raises `ValueError` where there are not so many.
    """
    if len(train) < count:
        raise ValueError(
            f"the training split holds {len(train)} tiles, but half of a held-out split holds {count}; "
            "raise train_a_field or lower held_out_a_field in params.yaml"
        )
    return train.batch(evenly(train.fields(), count))


def evenly(groups: Sequence[Hashable], count: int) -> NDArray[np.int64]:
    """`count` indices of `groups`, in random order: of each group as many as of any other, as far as it has them."""
    shuffled = np.random.default_rng(SEED).permutation(len(groups))
    _, group = np.unique([str(name) for name in groups], return_inverse=True)
    by_group = shuffled[np.argsort(group[shuffled], kind="stable")]
    turn = np.arange(len(groups)) - np.searchsorted(group[by_group], group[by_group])  # its place in its group
    return np.asarray(by_group[np.argsort(turn, kind="stable")][:count])


def collapse(tiles: NDArray[np.float32]) -> NDArray[np.float32]:
    """The first of `tiles` [N, bands, H, W], N times: a generator that knows a single tile."""
    return np.repeat(tiles[:1], len(tiles), axis=0)


def collapse_scene(scene: NDArray[np.float32], conditions: Conditions) -> NDArray[np.float32]:
    """One `scene` [bands, H, W] under N conditions' fresh noise: what a generator that knows a single scene paints."""
    count = len(conditions.sky_noise_nmgy)
    sky = Sky(conditions, noise_of(scene.shape, SEED, range(count)))
    return np.asarray(expose(torch.from_numpy(scene).expand(count, -1, -1, -1), sky).numpy())
