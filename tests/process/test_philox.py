"""Random numbers by address."""

import numpy as np
import pytest
from scipy.stats import poisson as distribution

from skygen.process.philox import MOST_MEAN, fine_uniform, key_of, keys_of, normals, philox, poisson, uniform

# kat_vectors of Random123, "philox4x32 10": counter, key, result.
ANSWERS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "wanted"), ANSWERS)
def test_philox_gives_the_known_answers_of_random123(counter, key, wanted):
    found = philox(counter, np.array([key[0] | key[1] << 32], np.uint64))
    assert tuple(int(word[0]) for word in found) == wanted


def _numbers(counter, key):
    words = philox((counter, counter + 1, 7, 3), key)
    return np.column_stack([normals(words), uniform(words[0]), fine_uniform(words[0], words[1])])


def test_numbers_do_not_depend_on_what_else_is_asked_for():
    counter, key = np.arange(1000), np.arange(1000, dtype=np.uint64) * np.uint64(2**40 + 1)
    whole = _numbers(counter, key)
    order = np.random.default_rng(0).permutation(1000)
    np.testing.assert_array_equal(_numbers(counter[order], key[order]), whole[order])
    for first, n in [(0, 1), (3, 2), (17, 7), (501, 33), (998, 2)]:
        some = slice(first, first + n)
        np.testing.assert_array_equal(_numbers(counter[some], key[some]), whole[some])


def test_uniforms_are_uniform_and_normals_normal():
    words = philox((np.arange(200_000), 0, 0, 0), np.array([5], np.uint64))
    share = uniform(words[0])
    assert share.min() > 0
    assert share.max() < 1
    assert np.abs(np.sort(share) - (np.arange(200_000) + 0.5) / 200_000).max() < 1.63 / 200_000**0.5  # Kolmogorov, 1 %
    drawn = normals(words)
    assert abs(drawn.mean()) < 4 / 800_000**0.5
    assert abs(drawn.var() - 1) < 4 * (2 / 800_000) ** 0.5
    assert abs((drawn**4).mean() - 3) < 4 * (96 / 800_000) ** 0.5
    assert np.abs(np.corrcoef(drawn.T) - np.eye(4)).max() < 5 / 200_000**0.5


def test_uniforms_stay_inside_0_and_1_at_their_ends():
    least, most = np.array([0], np.uint32), np.array([0xFFFFFFFF], np.uint32)
    for share in (uniform(least), uniform(most), fine_uniform(least, least), fine_uniform(most, most)):
        assert 0 < share[0] < 1


def test_planes_of_seeds_and_of_tiles_have_keys_of_their_own():
    seeds = np.arange(2000, dtype=np.uint64)
    of_tiles = keys_of(seeds, np.zeros(2000)), keys_of(np.zeros(2000, np.uint64), seeds + 1)
    keys = np.concatenate([keys_of(seeds), *of_tiles])
    assert len(np.unique(keys)) == 6000
    assert keys[7] == key_of(7)
    assert keys[2007] == key_of(7, 0)
    assert key_of(2**63 - 1, 2**31 - 1) != key_of(2**63 - 1)


@pytest.mark.parametrize("mean", [0.0, 0.03, 1.0, 17.3, 250.0, MOST_MEAN])
def test_poisson_numbers_are_the_quantiles_of_their_distribution(mean):
    share = np.random.default_rng(2).random(2000)
    np.testing.assert_array_equal(poisson(share, np.full(2000, mean)), distribution.ppf(share, mean))


def test_poisson_numbers_rise_with_the_mean_and_end():
    share = np.repeat([2.0**-53, 0.5, 0.999, 1 - 2.0**-53], 50)
    number = poisson(share, np.tile(np.linspace(0, 30, 50), 4)).reshape(4, 50)
    assert (np.diff(number[:-1], axis=1) >= 0).all()  # what is rounded off decides the last
    assert (np.diff(number, axis=0) >= 0).all()
    assert number.max() < 120
