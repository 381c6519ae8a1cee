import numpy as np
import pytest
import torch

from skygen.measure import two_sample_pixels


def measure(fake, real, seed=0):
    statistic = two_sample_pixels.relate(two_sample_pixels.describe(fake), two_sample_pixels.describe(real), seed)
    return statistic(np.ones((1, len(fake))), np.ones((1, len(real))))["c2st.pixels"][0]


@pytest.fixture
def noise():
    return np.random.default_rng(0).normal(0, 0.03, (2, 60, 2, 32, 32)).astype(np.float32)


def test_equal_distributions_are_a_guess(noise):
    assert measure(*noise) == pytest.approx(0.5, abs=2 * np.sqrt(0.25 / 120))


def test_louder_noise_is_told(noise):
    fake, real = noise

    assert measure(1.2 * fake, real) > 0.9


def test_a_texture_that_every_tile_repeats_is_told(noise):
    fake, real = noise
    lattice = np.where(np.indices((32, 32)).sum(axis=0) % 2, 0.02, -0.02).astype(np.float32)

    assert measure(fake + lattice, real) > 0.9


def test_tiles_without_weight_in_the_first_row_teach_nothing(noise):
    fake, real = noise[:, :20]
    first = np.tile([1.0, 0.0], (1, 10))
    value = two_sample_pixels.relate(fake, real, 0)(first, 1 - first)["c2st.pixels"][0]

    assert value == measure(fake[::2], real[1::2])


def test_threads_and_what_else_draws_do_not_matter(noise):
    fake, real = noise[:, :20]
    threads = torch.get_num_threads()
    torch.manual_seed(1)
    before, first = torch.get_rng_state(), measure(fake, real)
    untouched = torch.equal(before, torch.get_rng_state())
    torch.manual_seed(2)
    try:
        torch.set_num_threads(1)
        second = measure(fake, real)
    finally:
        torch.set_num_threads(threads)

    assert (first, untouched) == (second, True)
    assert torch.get_num_threads() == threads


def test_the_networks_judge_what_they_were_not_trained_on(noise, monkeypatch):
    fake, real = noise[:, :20]
    trained, judged = [], []
    fit, logits = two_sample_pixels.fit, two_sample_pixels.logits
    monkeypatch.setattr(two_sample_pixels, "_LEAST_STEPS", 2)
    monkeypatch.setattr(two_sample_pixels, "fit", lambda *given: (trained.append(given[2].tolist()), fit(*given))[1])
    monkeypatch.setattr(
        two_sample_pixels, "logits", lambda *given: (judged.append(given[2].tolist()), logits(*given))[1]
    )
    measure(fake, real)

    assert sorted(judged) == sorted([not one for one in part] for part in trained)
    assert [sum(part[:20]) for part in trained] == [10, 10] == [sum(part[20:]) for part in trained]


def test_only_the_first_tiles_of_large_sets_are_looked_at(noise, monkeypatch):
    fake, real = noise[:, :20]
    alone = measure(fake, real)
    monkeypatch.setattr(two_sample_pixels, "MOST_TILES", 20)
    described = two_sample_pixels.describe(noise[0])

    assert measure(*noise) == alone
    assert described.base is None  # nothing holds the other tiles in memory


def test_eight_orientations_differ_and_hold_the_same_pixels():
    image = torch.arange(8.0).reshape(2, 2, 2)
    turned = [two_sample_pixels._turn(image, number) for number in range(8)]

    assert len({str(one.tolist()) for one in turned}) == 8
    assert all(torch.equal(one.flatten(1).sort().values, image.flatten(1)) for one in turned)


def test_every_tile_is_seen_once_before_any_is_seen_again():
    rows = two_sample_pixels._passes(torch.tensor([3, 5, 8]), 8, torch.Generator().manual_seed(0)).tolist()

    assert sorted(rows[:3]) == sorted(rows[3:6]) == [3, 5, 8]
    assert len(rows) == 8


def test_too_few_tiles_are_an_error(noise):
    with pytest.raises(ValueError, match="3 and 60 tiles; a network needs at least 4 of each set"):
        measure(noise[0][:3], noise[1])
