"""Random numbers by address: Philox4x32-10, a block cipher of counters, in numpy for any number of counters at once.

What stands at an address depends on the key and the address alone: not on what else is asked for, nor in which order.
Salmon, Moraes, Dror and Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3", doi:10.1145/2063384.2063405.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Words = NDArray[np.uint32]

ROUNDS = 10
MOST_MEAN = 700.0  # of a Poisson number: its chance of 0 is a number
_MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL = np.uint32(0x9E3779B9), np.uint32(0xBB67AE85)
_LOW, _32 = np.uint64(0xFFFFFFFF), np.uint64(32)
_SPLIT = 11  # bits of 64 that a double cannot hold


def philox(counter: tuple[ArrayLike, ArrayLike, ArrayLike, ArrayLike], key: NDArray[np.uint64]) -> tuple[Words, ...]:
    """The four words [...] that `key` [...] makes of the four words [...] of `counter`; all broadcast."""
    wide = np.broadcast_arrays(*(np.asarray(word, np.uint32) for word in counter), key)
    a, b, c, d = (word.astype(np.uint64) for word in wide[:4])
    keys = [(key & _LOW).astype(np.uint32), (key >> _32).astype(np.uint32)]
    for _ in range(ROUNDS):
        first, second = _MULTIPLIERS[0] * a, _MULTIPLIERS[1] * c
        a, b, c, d = (second >> _32) ^ b ^ keys[0], second & _LOW, (first >> _32) ^ d ^ keys[1], first & _LOW
        keys = [part + step for part, step in zip(keys, _WEYL, strict=True)]
    return tuple(word.astype(np.uint32) for word in (a, b, c, d))


def uniform(word: Words) -> NDArray[np.float64]:
    """Numbers in (0, 1), one a word: the middles of 2^32 equal steps."""
    return np.asarray((word + 0.5) * 2.0**-32, np.float64)


def fine_uniform(high: Words, low: Words) -> NDArray[np.float64]:
    """Numbers in (0, 1), of two words each: the middles of 2^53 equal steps; the last of them rounds to 1 - 2^-53."""
    word = (high.astype(np.uint64) << _32 | low) >> np.uint64(_SPLIT)
    return np.asarray(np.minimum((word + 0.5) * 2.0**-53, 1 - 2.0**-53))


def normals(words: tuple[Words, ...]) -> NDArray[np.float64]:
    """Normal numbers [..., words], in pairs of two words each (Box and Muller 1958, doi:10.1214/aoms/1177706645)."""
    found = []
    for one, other in zip(words[::2], words[1::2], strict=True):
        radius, turn = np.sqrt(-2 * np.log(uniform(one))), 2 * np.pi * uniform(other)
        found += [radius * np.cos(turn), radius * np.sin(turn)]
    return np.stack(found, -1)


def poisson(share: NDArray[np.float64], mean: NDArray[np.float64]) -> NDArray[np.int64]:
    """The least numbers [n] whose Poisson distributions of `mean` [n], at most `MOST_MEAN`, reach `share` [n] < 1."""
    number, of, at = np.zeros(len(share), np.int64), np.arange(len(share)), 0
    chance = reached = np.exp(-mean)
    going = np.flatnonzero(share > chance)
    while len(going):
        of, share, mean = of.take(going), share.take(going), mean.take(going)
        chance, before, at = chance.take(going), reached.take(going), at + 1
        number[of] = at
        chance *= mean / at
        reached = before + chance
        going = np.flatnonzero((share > reached) & (reached > before))  # or all is reached but what was rounded off
    return number


def key_of(seed: int, index: int | None = None) -> np.uint64:
    """The key of the plane of `seed`, or of the plane of tile `index` of `seed`."""
    keys = keys_of(np.array([seed], np.uint64), None if index is None else np.array([index]))
    return np.uint64(keys[0])


def keys_of(seeds: NDArray[np.uint64], indices: NDArray[np.int64] | None = None) -> NDArray[np.uint64]:
    """The keys [n] of many planes, as `key_of`: Philox itself mixes seed (64 bits) and index (32) to 64 bits."""
    use = 0 if indices is None else 1
    seeds = np.asarray(seeds, np.uint64)
    low, high = (seeds & _LOW).astype(np.uint32), (seeds >> _32).astype(np.uint32)
    index = np.zeros(len(seeds)) if indices is None else indices
    words = philox((low, high, np.asarray(index).astype(np.uint32), use), np.zeros(len(seeds), np.uint64))
    return words[0].astype(np.uint64) | words[1].astype(np.uint64) << _32
