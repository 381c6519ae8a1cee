import pytest
import torch

from skygen.gan.judges import Judges
from skygen.gan.networks import initialise
from skygen.gan.peaks import LEAST_SIGMA, STAMP_PX, cut_stamps, heights, highest
from skygen.sky.stretch import Stretch

STRETCH = Stretch(0.02, 100.0)
NOISE = 0.03


def sky(spots, tiles=2, side=64, seed=0):
    """Tiles of noise with a round source of a flux at each (tile, row, column): a seeing disc of 3 px."""
    image = NOISE * torch.randn(tiles, side, side, generator=torch.Generator().manual_seed(seed))
    offset = torch.arange(side)
    for (tile, row, column), flux in spots.items():
        r2 = (offset - row)[:, None] ** 2 + (offset - column) ** 2
        image[tile] += flux / (2 * torch.pi * 1.6) * (-r2 / (2 * 1.6)).exp()
    return image


def places(found):
    return {(int(tile), int(row), int(column)) for tile, row, column in zip(*found[:3], strict=True)}


def test_planted_peaks_are_found_at_their_places():
    spots = {(0, 20, 31): 5.0, (0, 41, 12): 20.0, (1, 8, 50): 3.0, (1, 55, 55): 300.0}
    found = highest(heights(sky(spots)), 8)

    assert len(found.tile) == 4
    for tile, row, column in places(found):
        assert any(tile == t and abs(row - r) <= 1 and abs(column - c) <= 1 for t, r, c in spots)


def test_a_peak_s_height_is_in_units_of_the_smoothed_noise():
    found = highest(heights(sky({(0, 30, 30): 6.0}, tiles=1)), 1)
    mean_of_nine = 6 / (2 * torch.pi * 1.6) * (1 + 2 * torch.exp(torch.tensor(-1 / 3.2))) ** 2 / 9

    assert float(found.sigma) == pytest.approx(float(mean_of_nine) / (NOISE / 3), rel=0.15)


def test_noise_alone_has_almost_no_peak_and_a_constant_none():
    found = highest(heights(sky({}, tiles=100)), 8)

    assert len(found.tile) < 20  # of 100 tiles
    assert (found.sigma > LEAST_SIGMA).all()
    assert len(highest(heights(torch.zeros(3, 64, 64)), 8).tile) == 0


def test_the_finder_sees_the_same_whatever_the_unit_and_the_level_of_the_sky():
    image = sky({(0, 20, 31): 5.0, (1, 41, 12): 20.0})
    one, other = (highest(heights(seen), 8) for seen in (image, 7 * image + 3))

    assert places(one) == places(other)
    torch.testing.assert_close(one.sigma, other.sigma, rtol=1e-3, atol=0)


def test_of_many_peaks_the_highest_are_taken():
    found = highest(heights(sky({(0, 16, 16): 5.0, (0, 16, 48): 50.0, (0, 48, 16): 10.0, (1, 32, 32): 4.0})), 2)

    assert places(found) == {(0, 16, 48), (0, 48, 16), (1, 32, 32)}
    assert found.sigma[0] > found.sigma[1]


def test_a_peak_at_a_tile_s_edge_counts_not():
    assert len(highest(heights(sky({(0, 2, 30): 50.0, (1, 30, 63): 50.0})), 8).tile) == 0


def test_a_stamp_is_centred_on_its_peak_and_moved_inside_at_an_edge():
    tiles = torch.arange(2 * 3 * 64 * 64.0).view(2, 3, 64, 64)
    found = highest(heights(sky({(0, 30, 40): 20.0, (1, 6, 57): 20.0})), 8)
    stamps = cut_stamps(tiles, found)
    row, column = int(found.row[0]), int(found.column[0])

    assert stamps.shape == (2, 3, STAMP_PX, STAMP_PX)
    assert torch.equal(stamps[0], tiles[0, :, row - 12 : row + 12, column - 12 : column + 12])
    assert torch.equal(stamps[1], tiles[1, :, :24, 40:])


def judges(most=8):
    return Judges(3, 1, 4, STRETCH, most)


def in_three_bands(image):
    return STRETCH.stretch(torch.stack([0.5 * image, image, 1.5 * image], 1))


def test_gradient_reaches_the_stamps_pixels_and_no_other():
    tiles = in_three_bands(sky({(0, 30, 30): 20.0})).requires_grad_()
    judge = judges().judges[1]
    judge.network(judge.look(tiles), 0.0).sum().backward()
    touched = tiles.grad.abs().sum(1) > 0

    assert touched[0, 20:40, 20:40].all()
    assert touched.sum() == STAMP_PX**2  # one stamp on one tile, none on the other


def test_a_patch_network_sees_46_px_and_one_of_stamps_a_whole_stamp():
    network = judges().patches
    tile = torch.zeros(1, 3, 64, 64, requires_grad=True)
    logits = network(tile, 0.0)
    (gradient,) = torch.autograd.grad(logits[0], tile)
    seen = (gradient.abs().sum((0, 1)) > 0).nonzero()

    assert logits.shape == (25,)
    assert (seen.max(0).values + 1).max() <= 46
    assert judges().stamps(torch.zeros(5, 3, STAMP_PX, STAMP_PX), 0.0).shape == (5,)


def test_the_stamps_tell_a_planted_difference_of_colour():
    """A network that looks at stamps learns in 40 steps which of two skies is bluer; the noise is the same."""
    rng = torch.Generator().manual_seed(0)

    def stamps(judge, colour, seed):
        places = torch.randint(14, 50, (8, 2), generator=rng).tolist()
        image = sky({(tile, *place): 10.0 for tile, place in enumerate(places)}, tiles=8, seed=seed)
        return judge.look(STRETCH.stretch(torch.stack([colour * image, image, image], 1)))

    both = judges()
    initialise(both, "normal", None, torch.Generator().manual_seed(0))
    judge = both.judges[1]
    adam = torch.optim.Adam(judge.network.parameters(), 3e-3)
    for step in range(40):
        real, fake = (judge.network(stamps(judge, colour, 2 * step), 0.0) for colour in (1.3, 0.7))
        loss = torch.nn.functional.softplus(fake[None] - real[:, None]).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()

    assert float(loss.detach()) < 0.1
