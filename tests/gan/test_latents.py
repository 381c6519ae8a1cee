from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from skygen.gan.latents import Stream, draw_latents, latents_of, noise_of, tile_rng

SEEDS = st.integers(0, 2**63 - 1)
DISTRIBUTIONS = pytest.mark.parametrize("distribution", ["normal", "uniform"])


@given(SEEDS, st.integers(0, 300), st.integers(1, 5), st.sampled_from(["normal", "uniform"]))
def test_a_tile_has_its_latents_whatever_the_range(seed, first, count, distribution):
    part = latents_of(distribution, 7, seed, range(first, first + count))

    assert part.shape == (count, 7)
    assert part.dtype == torch.float32
    assert torch.equal(
        part, latents_of(distribution, 7, seed, range(max(0, first - 2), first + count + 3))[-3 - count : -3]
    )


@given(SEEDS, SEEDS)
def test_tiles_and_seeds_differ(one, other):
    rows = latents_of("normal", 20, one, range(3))

    assert len({tuple(row.tolist()) for row in rows}) == 3
    assert (one == other) == torch.equal(rows, latents_of("normal", 20, other, range(3)))


def test_the_largest_seeds_are_told_apart():
    largest, before = (latents_of("normal", 20, seed, range(2)) for seed in (2**63 - 1, 2**63 - 2))

    assert not torch.equal(largest, before)
    assert not torch.equal(largest[0], before[1])


def of_seeds(distribution):
    return torch.cat([latents_of(distribution, 100, seed, range(50)) for seed in range(10)])


def of_training(distribution):
    return draw_latents(distribution, 500, 100, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("draw", [of_seeds, of_training])
def test_normal_latents_are_standard_normal(draw):
    latents = draw("normal")

    assert latents.mean() == pytest.approx(0, abs=0.02)
    assert latents.var() == pytest.approx(1, abs=0.03)
    assert (latents.abs() < 1).float().mean() == pytest.approx(0.6827, abs=0.01)


@pytest.mark.parametrize("draw", [of_seeds, of_training])
def test_uniform_latents_fill_minus_1_to_1(draw):
    latents = draw("uniform")

    assert -1 <= latents.min() < -0.999
    assert 0.999 < latents.max() <= 1
    assert latents.mean() == pytest.approx(0, abs=0.02)
    assert latents.var() == pytest.approx(1 / 3, abs=0.01)


@DISTRIBUTIONS
def test_training_s_latents_depend_on_the_generator_alone(distribution):
    first, again, other = (draw_latents(distribution, 4, 10, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))

    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_latents_of_a_seed_are_for_ever():
    row = latents_of("normal", 3, 7, range(5, 6))
    plain = np.random.Generator(np.random.Philox(key=[7, 5])).standard_normal(3)  # a counter that starts at zero

    assert row.tolist() == [plain.astype(np.float32).tolist()]
    assert row[0].tolist() == pytest.approx([0.3051561889707436, 0.8958743519531401, 0.542255833871381], rel=1e-6)


def test_each_use_of_chance_has_a_stream_of_its_own():
    drawn = {stream: tile_rng(3, 4, stream).integers(0, 2**63, 1000) for stream in Stream}

    assert [int(stream) for stream in Stream] == [0, 1, 2, 3]  # another number for a use would change every tile
    for one, other in combinations(Stream, 2):
        assert not set(drawn[one].tolist()) & set(drawn[other].tolist())
    # A stream is 2^192 draws of a counter away from the next: its highest word alone differs.
    counters = [tile_rng(3, 4, stream).bit_generator.state["state"]["counter"].tolist() for stream in Stream]
    assert counters == [[0, 0, 0, stream] for stream in Stream]


@given(SEEDS, st.integers(0, 300), st.integers(1, 4))
def test_a_tile_has_its_noise_whatever_the_range(seed, first, count):
    part = noise_of((2, 3, 4), seed, range(first, first + count))

    assert (part.shape, part.dtype) == ((count, 2, 3, 4), torch.float32)
    assert torch.equal(part, noise_of((2, 3, 4), seed, range(first, first + count + 2))[:count])


def test_noise_is_standard_normal_and_no_tile_has_another_s():
    noise = noise_of((3, 64, 64), 0, range(8))

    assert noise.mean() == pytest.approx(0, abs=4 / noise.numel() ** 0.5)
    assert noise.var() == pytest.approx(1, abs=4 * (2 / noise.numel()) ** 0.5)
    correlations = np.corrcoef(noise.flatten(0, 1).flatten(1).numpy()) - np.eye(24)
    assert np.abs(correlations).max() < 5 / 64
