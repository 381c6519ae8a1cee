import pytest
import torch

from skygen.gan.judges import Judges
from skygen.process.generator import Process
from skygen.process.law import KNOTS_MAG
from skygen.sky.stretch import Stretch
from skygen.training.distributed import ALONE
from skygen.training.steering import BINS_SIGMA, Steering
from tests.gan.test_peaks import NOISE, sky

STRETCH = Stretch(0.02, 100.0)
FAINT = KNOTS_MAG.index(20.5) + 1


@pytest.fixture
def steering():
    return Steering(Process(3, 1), Judges(3, 1, 4, STRETCH, 8), STRETCH)


def tiles(sources, flux, level=0.0, seed=0):
    """16 stretched tiles, with `sources` of a flux on each, in three bands."""
    spots = {(tile, 16, 12 + 20 * place): flux for tile in range(16) for place in range(sources)}
    image = sky(spots, tiles=16, seed=seed)
    return STRETCH.stretch(torch.stack([image + level, image, image - level], 1))


def law(steering):
    return steering._process.law.log_counts.detach().clone()


@pytest.mark.parametrize(("real", "fake", "sign"), [(3, 1, 1), (1, 3, -1)])
def test_where_faint_peaks_are_missing_the_faint_end_of_the_law_rises_and_falls_where_there_are_too_many(
    steering, real, fake, sign
):
    before = law(steering)
    for seed in range(5):
        steering.steer(tiles(real, 1.4, seed=seed), tiles(fake, 1.4, seed=100 + seed), ALONE)
    moved = law(steering) - before

    assert (sign * moved[:, FAINT:] > 0).any(0).all()
    assert (moved[:, :FAINT] == 0).all()  # a field's density says how many bright ones there are
    torch.testing.assert_close(moved[0], moved[1])


def test_bright_peaks_alone_move_nothing(steering):
    before = law(steering)
    steering.steer(tiles(2, 500.0), tiles(1, 500.0), ALONE)

    assert steering.counts[:, -1].tolist() == [2.0, 1.0]
    assert ((law(steering) - before)[:, : FAINT + 1] == 0).all()  # beyond, chance peaks of the noise pull a little


def test_counts_are_a_running_mean_of_the_peaks_a_tile_in_each_bin(steering):
    steering.steer(tiles(3, 500.0), tiles(0, 0.0), ALONE)
    steering.steer(tiles(1, 500.0), tiles(0, 0.0), ALONE)

    assert steering.counts.shape == (2, len(BINS_SIGMA))
    assert steering.counts[:, -1].tolist() == pytest.approx([2.0, 0.0])
    assert steering.batches == 2


def test_the_undetected_light_goes_to_what_makes_the_medians_equal(steering):
    """A generated sky that is 0.01 nmgy too bright in g, and as much too dark in i, of which the light is taken."""
    process = steering._process
    for seed in range(150):
        light = process.background_nmgy[:, None, None]
        fake = STRETCH.unstretch(tiles(1, 5.0, level=0.01, seed=1000 + seed)) - light
        steering.steer(tiles(1, 5.0, seed=seed), STRETCH.stretch(fake), ALONE)

    expected = torch.tensor([0.01, 0.0, -0.01])
    torch.testing.assert_close(process.background_nmgy, expected, atol=0.03 * NOISE, rtol=0)


def test_what_a_resumed_training_needs_comes_back(steering):
    steering.steer(tiles(3, 5.0), tiles(1, 5.0), ALONE)
    other = Steering(Process(3, 1), Judges(3, 1, 4, STRETCH, 8), STRETCH)
    other.load_state_dict(steering.state_dict())

    assert torch.equal(other.counts, steering.counts)
    assert other.batches == 1
