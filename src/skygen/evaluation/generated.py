"""Generated tiles as they are compared with real ones: drawn from the bundle as serving draws them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skygen.bundle.bundle import Bundle
from skygen.bundle.tile import SURVEY, Noise
from skygen.sky.conditions import Density
from skygen.tiles.store import Split, TileStore

_SEEDS: dict[Split, int] = {"validation": 20_190_000, "test": 20_190_001}  # no training's seed
_SLICE = 512  # tiles drawn at once, so that no second copy of a large set is ever alive


def tiles_seed(split: Split, evaluation_seed: int) -> int:
    """The seed of the tiles that are compared with a held-out split, in an evaluation with `evaluation_seed`."""
    return (_SEEDS[split] + 2 * evaluation_seed) % 2**63


def generated_tiles(
    bundle: Bundle,
    store: TileStore,
    readouts: Sequence[str],
    seed: int,
    noise: Noise = SURVEY,
    first: int = 0,
    densities: Sequence[Density] | None = None,
) -> NDArray[np.float32]:
    """A generated tile for each of `readouts`, [N, bands, H, W] in nmgy: the tiles from `first` on of `seed`.

    Scenes are observed under the conditions of their readouts: depth and seeing are chosen, not learned, so they are no
    part of what is judged. `noise` is as in `Bundle.generate`, as are the `densities` [N] that a process may be given.
    Raises `ValueError` where the bundle makes tiles of another size or other bands than the store holds, and `KeyError`
    for a readout without conditions.
    """
    _check(bundle, store)
    tiles = np.empty((len(readouts), len(bundle.card.bands), bundle.card.size, bundle.card.size), dtype=np.float32)
    for start in range(0, len(readouts), _SLICE):
        part = slice(start, start + _SLICE)
        some = readouts[part]
        given: dict[str, Any] = {} if densities is None else {"densities": densities[part]}
        if bundle.card.conditions is not None:
            given["conditions"] = [store.card.conditions[name] for name in some]
        tiles[part] = bundle.generate(seed, len(some), first + start, noise, **given)
    return tiles


def _check(bundle: Bundle, store: TileStore) -> None:
    theirs, ours = (bundle.card.size, bundle.card.bands), (store.card.size, store.card.bands)
    if theirs != ours:
        raise ValueError(
            f"the bundle makes tiles of {theirs[0]} px in {theirs[1]}, {store.folder} holds {ours[0]} px in {ours[1]}"
        )
