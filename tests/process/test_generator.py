import pytest
import torch

from skygen.process.generator import BRIGHT_MARGIN_PX, BRIGHT_RANK, MARGIN_PX, Process, ProcessShape
from skygen.process.law import GALAXY, STAR
from skygen.process.objects import ARCMIN2_A_PX, FAINT_MAG

SIDE = 64


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def process():
    made = Process.of(ProcessShape(kind="process", bands=["g", "r", "i"]))
    made.marks.initialise(rng())
    return made


def scattered(process, tiles=8, density=(2.0, 3.0), seed=1, share=None):
    psf = torch.full((tiles, process.bands), 3.3)
    return process.scatter(torch.tensor([density] * tiles), psf, SIDE, rng(seed), share)


def test_as_many_objects_are_drawn_as_the_densities_say(process):
    scatter = scattered(process, tiles=300)
    for kind, points in ((STAR, scatter.stars), (GALAXY, scatter.galaxies)):
        bright = points.rank < BRIGHT_RANK
        whole = float(process.law.number(FAINT_MAG)[kind].detach())
        for some, ranks, margin in ((bright, BRIGHT_RANK, BRIGHT_MARGIN_PX), (~bright, whole - BRIGHT_RANK, MARGIN_PX)):
            expected = 300 * (2.0, 3.0)[kind] * (SIDE + 2 * margin) ** 2 * ARCMIN2_A_PX * ranks
            places = torch.stack([points.x[some], points.y[some]])

            assert int(some.sum()) == pytest.approx(expected, abs=5 * expected**0.5)  # Poisson
            assert -margin - 0.5 <= places.min() < places.max() <= SIDE + margin - 0.5


def test_objects_whose_halo_reaches_far_are_among_those_drawn_far_outside(process):
    assert float(process.law.number(17.0).detach().max()) < BRIGHT_RANK


@pytest.mark.parametrize("change", [1e-6, -1e-6, 0.3])
def test_the_numbers_that_are_drawn_are_no_matter_of_the_law(process, change):
    """Of two processes that differ by rounding both see one sky, but for objects at the faint limit."""
    before = scattered(process, tiles=50)
    with torch.no_grad():
        process.law.log_counts[:, -1] += change
    after = scattered(process, tiles=50)

    assert torch.equal(before.offset_px, after.offset_px)
    for one, other in ((before.stars, after.stars), (before.galaxies, after.galaxies)):
        most = min(one.rank.max(), other.rank.max())
        for part, same in zip(one, other, strict=True):
            assert torch.equal(part[one.rank <= most], same[other.rank <= most])


def test_a_density_of_objects_brighter_than_20_5_is_what_is_scattered(process):
    scatter = scattered(process, tiles=400)
    objects = process.objects(scatter)
    inside = (objects.x > -0.5) & (objects.x < SIDE - 0.5) & (objects.y > -0.5) & (objects.y < SIDE - 0.5)
    bright = inside & (22.5 - 2.5 * objects.flux_nmgy[:, 1].detach().log10() < 20.5)
    area = 400 * SIDE**2 * ARCMIN2_A_PX

    for galaxy, density in ((False, 2.0), (True, 3.0)):
        found = int((bright & (objects.is_galaxy == galaxy)).sum())
        assert found == pytest.approx(density * area, abs=5 * (density * area) ** 0.5)


def test_scenes_are_by_the_numbers_alone_and_a_share_of_them_is_that_of_the_whole(process):
    whole, again, other = (process(scattered(process, seed=seed)).detach() for seed in (1, 1, 2))
    part = process(scattered(process, share=slice(2, 5))).detach()

    assert whole.shape == (8, 3, SIDE, SIDE)
    assert torch.equal(whole, again)
    assert not torch.equal(whole, other)
    torch.testing.assert_close(part, whole[2:5], atol=1e-5, rtol=1e-5)


def test_the_undetected_light_is_taken_from_each_band(process):
    scatter = scattered(process)
    before = process(scatter).detach()
    process.background_nmgy.copy_(torch.tensor([0.1, 0.2, 0.3]))

    torch.testing.assert_close(
        before - process(scatter).detach(), process.background_nmgy[:, None, None].expand_as(before)
    )


def test_every_weight_but_the_undetected_light_gets_a_gradient(process):
    process(scattered(process)).square().mean().backward()

    assert all(weight.grad.abs().sum() > 0 for weight in process.parameters())
    assert "background_nmgy" in dict(process.named_buffers())
    assert "background_nmgy" in process.state_dict()


def test_where_the_law_goes_on_to_more_faint_objects_bright_ones_stay_as_they_are(process):
    scatter = scattered(process)
    before = process.objects(scatter).flux_nmgy[:, 1].detach()
    with torch.no_grad():
        process.law.log_counts[:, -1] += 0.2
    after = process.objects(scatter).flux_nmgy[:, 1].detach()
    faint = 22.5 - 2.5 * before.log10() > 23.6  # beyond the last knot but one

    torch.testing.assert_close(after[~faint], before[~faint], rtol=1e-2, atol=0)
    assert (after[faint] >= before[faint]).float().mean() > 0.99  # the same ranks, so brighter where there are more


def test_objects_differ_from_the_start(process):
    objects = process.objects(scattered(process, tiles=32))
    magnitudes = 22.5 - 2.5 * objects.flux_nmgy.detach().log10()
    radius = objects.radius_px.detach()[objects.is_galaxy]

    assert (magnitudes[:, 0] - magnitudes[:, 1]).std() > 0.3
    assert radius.quantile(0.9) > 1.5 * radius.quantile(0.1)


def test_the_same_sky_may_be_drawn_in_some_of_its_bands(process):
    process.background_nmgy.copy_(torch.tensor([0.1, 0.2, 0.3]))
    scatter, red = scattered(process), process.in_bands([1])
    whole = process(scatter).detach()
    psf, offset = scatter.psf_fwhm_px[:, [1]], scatter.offset_px[:, [1]]
    alone = red(scatter._replace(psf_fwhm_px=psf, offset_px=offset)).detach()

    assert red.bands == 1
    torch.testing.assert_close(alone, whole[:, [1]], atol=0.01, rtol=1e-3)  # stamps are sized by the brightest band
    assert process.bands == 3
