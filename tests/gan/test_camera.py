import pytest
import torch
from scipy.stats import chi2

from skygen.gan.camera import Camera, Conditions, Sky, camera_of, expose
from skygen.sky.conditions import BandConditions, Density
from skygen.sky.stretch import Stretch

STRETCH = Stretch(0.2, 100.0)


def random(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def conditions(noise=((0.03,),), electron=((0.001,),), fwhm=((3.0,),), level=None, dtype=torch.float32):
    levels = [[0.0] * len(of_tile) for of_tile in noise] if level is None else level
    return Conditions(*(torch.tensor(part, dtype=dtype) for part in (noise, electron, fwhm, levels)))


def exposed(scene, seed=0, **of_sky):
    return expose(scene, Sky(conditions(**of_sky), random(*scene.shape, seed=seed)))


# Noise


def within_chi2(values, variance):
    """Whether the mean square of `values`, of mean 0, is within the bounds of `variance` that chance passes in 1e-6."""
    low, high = chi2.ppf([5e-7, 1 - 5e-7], values.numel()) * variance / values.numel()
    return low < float(values.double().square().mean()) < high


@pytest.mark.parametrize("flux_nmgy", [-2.0, -0.01, 0.0, 0.05, 1.0, 300.0])
def test_the_noise_has_the_variance_of_sky_and_photons_and_the_scene_is_its_mean(flux_nmgy):
    scene = torch.full((4, 1, 64, 64), flux_nmgy)
    variance = 0.03**2 + max(flux_nmgy, 0) * 0.001  # a negative scene has no photons
    noise = exposed(scene, noise=[[0.03]] * 4, electron=[[0.001]] * 4, fwhm=[[3.0]] * 4) - scene

    assert within_chi2(noise, variance)
    assert not within_chi2(noise, 1.1 * variance)  # the test can fail
    assert float(noise.mean()) == pytest.approx(0, abs=5 * (variance / noise.numel()) ** 0.5)


def test_every_tile_and_band_has_its_own_noise():
    noise, electron = [[0.01, 0.02], [0.04, 0.08]], [[0.001, 0.002], [0.004, 0.0]]
    found = exposed(torch.full((2, 2, 128, 128), 2.0), noise=noise, electron=electron, fwhm=[[3.0] * 2] * 2) - 2

    for row in range(2):
        for band in range(2):
            assert within_chi2(found[row, band], noise[row][band] ** 2 + 2 * electron[row][band])


def test_half_the_noise_is_four_exposures_on_average():
    scene = torch.full((1, 1, 256, 256), 3.0)
    four = torch.stack([exposed(scene, seed=seed) for seed in range(4)]).mean(0) - scene
    half = expose(scene, Sky(conditions().exposed(torch.tensor([0.5])), random(*scene.shape))) - scene
    variance = (0.03**2 + 3 * 0.001) / 4

    assert within_chi2(four, variance)
    assert within_chi2(half, variance)
    one_a_tile = conditions(noise=((0.03,), (0.02,)), electron=((0.001,), (0.002,))).exposed(
        torch.tensor([[2.0], [1.0]])
    )
    assert one_a_tile.sky_noise_nmgy.flatten().tolist() == pytest.approx([0.06, 0.02])
    assert one_a_tile.nmgy_per_electron.flatten().tolist() == pytest.approx([0.004, 0.002])


def test_the_sky_level_of_a_tile_s_readout_is_added():
    scene = random(2, 2, 8, 8).abs()
    seen = [
        conditions(noise=[[0.03] * 2] * 2, electron=[[0.001] * 2] * 2, fwhm=[[3.0] * 2] * 2, level=level)
        for level in ([[0.0, 0.0], [0.0, 0.0]], [[0.001, -0.002], [0.0, 0.004]])
    ]
    plain, raised = (expose(scene, Sky(under, random(*scene.shape, seed=1))) for under in seen)

    assert torch.allclose(raised - plain, torch.tensor([[0.001, -0.002], [0.0, 0.004]])[..., None, None], atol=1e-6)
    assert seen[1].exposed(torch.full((1,), 0.5)).sky_level_nmgy.tolist() == seen[1].sky_level_nmgy.tolist()


def test_without_noise_there_is_the_scene_to_the_last_bit():
    scene = random(2, 1, 8, 8).abs()
    none = conditions(noise=[[0.03]] * 2, electron=[[0.001]] * 2, level=[[0.002]] * 2).exposed(torch.zeros(1))

    assert torch.equal(expose(scene, Sky(none, random(*scene.shape, seed=1))), scene)


# From images to tiles


def test_a_generator_that_paints_noise_is_seen_as_it_is(recipes):
    images = random(2, 1, 64, 64).tanh()
    camera = camera_of(recipes["gan"], STRETCH)

    assert camera == Camera(STRETCH, images_are_stretched=True)
    assert camera.stretched(images, None) is images
    assert torch.equal(camera.flux(images, None), STRETCH.unstretch(images))


def test_noise_is_added_to_the_flux_of_scenes_that_a_generator_paints(recipes):
    images, draws = random(2, 1, 8, 8).tanh(), random(2, 1, 8, 8, seed=1)
    sky = Sky(conditions(noise=[[0.03]] * 2, electron=[[0.001]] * 2, level=[[0.0]] * 2), draws)
    camera = camera_of(recipes["gan"].model_copy(update={"noise": "survey"}), STRETCH)

    assert torch.equal(camera.flux(images, sky), expose(STRETCH.unstretch(images), sky))
    assert torch.equal(camera.stretched(images, sky), STRETCH.stretch(camera.flux(images, sky)))
    assert torch.equal(camera.scenes(images), STRETCH.unstretch(images))


def test_a_recipe_may_have_a_softening_of_its_own(recipes):
    seen = [
        camera_of(recipes["scene"].model_copy(update={"softening_nmgy": own}), STRETCH).stretch for own in (None, 0.05)
    ]

    assert seen == [STRETCH, Stretch(0.05, 100.0)]


def test_a_scene_keeps_its_flux_and_only_the_discriminator_sees_it_clipped():
    scene = torch.full((1, 1, 4, 4), 500.0)
    sky = Sky(conditions(), torch.zeros(1, 1, 4, 4))

    assert torch.equal(Camera(STRETCH).flux(scene, sky), scene)
    assert torch.equal(Camera(STRETCH).stretched(scene, sky), torch.ones(1, 1, 4, 4))


def test_gradients_reach_the_scene_through_noise_and_stretch():
    scenes = (0.2 + 0.3 * torch.rand(1, 2, 6, 6, dtype=torch.float64)).requires_grad_()
    observed = conditions([[0.03, 0.02]], [[0.001, 0.002]], [[3.0, 2.5]], dtype=torch.float64)
    sky = Sky(observed, random(1, 2, 6, 6, dtype=torch.float64))

    assert torch.autograd.gradcheck(lambda scene: Camera(STRETCH).stretched(scene, sky), scenes, fast_mode=True)


# Conditions


def test_conditions_are_those_of_the_fields_in_their_order():
    fields = [
        [
            BandConditions(
                sky_noise_nmgy=0.01 * n, nmgy_per_electron=0.001 * n, psf_fwhm_arcsec=0.396 * n, sky_level_nmgy=-0.1 * n
            )
            for n in row
        ]
        for row in ((1, 2), (3, 4), (5, 6))
    ]
    densities = [Density(stars=1.0 * row, galaxies=2.0 * row) for row in (1, 2, 3)]
    found = Conditions.of_fields(fields, 0.396, densities)
    numbers = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])

    assert found.density.tolist() == [[1.0, 2.0], [2.0, 4.0], [3.0, 6.0]]
    assert Conditions.of_fields(fields, 0.396).density is None
    for part, unit in zip(found[:4], (0.01, 0.001, 1.0, -0.1), strict=True):
        assert torch.allclose(part, unit * numbers)
    taken = found.take(torch.tensor([2, 0, 0]))
    assert torch.allclose(taken.psf_fwhm_px, numbers[[2, 0, 0]])
    assert taken.density[:, 0].tolist() == [3.0, 1.0, 1.0]
    assert taken.to(torch.device("cpu")).sky_noise_nmgy.tolist() == taken.sky_noise_nmgy.tolist()
