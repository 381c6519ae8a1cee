import galsim
import numpy as np
import pytest
import torch
from scipy.interpolate import CubicSpline
from scipy.signal import fftconvolve
from scipy.stats import chi2

from skygen.gan.camera import FADE_PX, Camera, Conditions, Sky, blur, camera_of, expose, generator_shape, moffat
from skygen.sky.conditions import BandConditions
from skygen.sky.stretch import Stretch

STRETCH = Stretch(0.2, 100.0)


def random(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def conditions(noise=((0.03,),), electron=((0.001,),), fwhm=((3.0,),), dtype=torch.float32):
    return Conditions(*(torch.tensor(part, dtype=dtype) for part in (noise, electron, fwhm)))


def exposed(scene, seed=0, **of_sky):
    return expose(scene, Sky(conditions(**of_sky), random(*scene.shape, seed=seed)))


# The point-spread function


def galsim_profile(fwhm_px):
    """The profile's values at the pixels' centres, whose sum over the whole plane is 1, and their distances in px."""
    offset = np.arange(-8, 9)
    profile = galsim.Moffat(beta=3, fwhm=fwhm_px).drawImage(nx=17, ny=17, scale=1, method="no_pixel").array
    return profile.astype(float), np.hypot(offset[:, None], offset)


@pytest.mark.parametrize("fwhm_px", [1.6, 2.5, 3.0, 4.2, 6.0])
def test_the_psf_is_galsim_s_moffat_profile_that_fades_before_its_border(fwhm_px):
    kernel, (profile, distance) = moffat(torch.tensor(fwhm_px, dtype=torch.float64)).numpy(), galsim_profile(fwhm_px)
    of_profile = kernel / profile
    core = distance <= FADE_PX

    assert kernel.sum() == pytest.approx(1, abs=1e-12)
    assert of_profile[core] == pytest.approx(of_profile[8, 8], rel=1e-4)
    assert (of_profile[~core] < of_profile[8, 8]).all()
    assert kernel[8, 16] < 0.1 * profile[8, 16]  # at 8 px
    assert kernel[distance >= 8.5].max() < 1e-30
    assert (np.diff(kernel[8, 8:]) < 0).all()


@pytest.mark.parametrize(("fwhm_px", "share"), [(2.0, 0.99), (3.0, 0.97), (4.2, 0.92)])
def test_most_of_the_light_of_the_profile_is_in_the_psf(fwhm_px, share):
    kernel, (profile, _) = moffat(torch.tensor(fwhm_px, dtype=torch.float64)).numpy(), galsim_profile(fwhm_px)

    assert profile[8, 8] / kernel[8, 8] == pytest.approx(share, abs=0.01)


@pytest.mark.parametrize("fwhm_px", [2.5, 3.0, 4.2, 6.0])
def test_the_psf_is_as_wide_as_asked(fwhm_px):
    profile = CubicSpline(
        range(9), moffat(torch.tensor(fwhm_px, dtype=torch.float64))[8, 8:], bc_type=("clamped", "natural")
    )
    (radius,) = profile.solve(float(profile(0)) / 2, extrapolate=False)

    assert 2 * radius == pytest.approx(fwhm_px, rel=0.01)


def test_the_psf_looks_the_same_from_every_side():
    kernel = moffat(torch.tensor(3.3))

    for other in (kernel.rot90(), kernel.flip(0), kernel.flip(1), kernel.T):
        assert torch.allclose(kernel, other, atol=1e-8)
    assert kernel.argmax() == 8 * 17 + 8


def test_every_tile_and_band_has_its_own_psf():
    fwhm_px = torch.tensor([[2.0, 3.0, 4.0], [2.5, 3.5, 4.5]])
    kernels = moffat(fwhm_px)

    assert kernels.shape == (2, 3, 17, 17)
    assert all(torch.equal(kernels[row, band], moffat(fwhm_px[row, band])) for row in range(2) for band in range(3))


# Blurring


def test_a_point_becomes_the_psf():
    kernels, scenes = moffat(torch.tensor([[2.5, 3.5], [3.0, 4.0]])), torch.zeros(2, 2, 48, 49)
    scenes[:, :, 20, 30] = 7.0
    seen = blur(scenes, kernels)

    assert seen.shape == (2, 2, 32, 33)  # as much smaller as the kernel, less one
    assert torch.allclose(seen[:, :, 12 - 8 : 12 + 9, 22 - 8 : 22 + 9], 7 * kernels, atol=1e-6)
    assert torch.allclose(seen.sum((2, 3)), torch.full((2, 2), 7.0), rtol=1e-5)  # all of the flux is inside


def test_a_level_stays_and_its_border_is_no_darker():
    seen = blur(torch.full((1, 1, 40, 40), 5.0), moffat(torch.tensor([[3.0]])))

    assert torch.allclose(seen, torch.tensor(5.0), rtol=1e-5)


def test_blurring_is_convolution():
    scenes, kernels = random(3, 2, 40, 36).abs(), moffat(torch.tensor([[2.0, 3.0], [4.0, 3.0], [2.5, 5.0]]))
    seen = blur(scenes, kernels)

    for row in range(3):
        for band in range(2):
            expected = fftconvolve(scenes[row, band].double(), kernels[row, band].double(), mode="valid")
            assert np.allclose(seen[row, band], expected, atol=1e-5)


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


def test_without_noise_there_is_the_scene_to_the_last_bit():
    scene = random(2, 1, 8, 8).abs()
    none = conditions(noise=[[0.03]] * 2, electron=[[0.001]] * 2).exposed(torch.zeros(1))

    assert torch.equal(expose(scene, Sky(none, random(*scene.shape, seed=1))), scene)


# From images to tiles


def test_a_generator_that_paints_noise_is_seen_as_it_is(recipes):
    images = random(2, 1, 64, 64).tanh()
    camera = camera_of(recipes["gan"], STRETCH)

    assert camera == Camera(STRETCH, noise=False, psf_share=None)
    assert camera.stretched(images, None) is images
    assert torch.equal(camera.flux(images, None), STRETCH.unstretch(images))


@pytest.mark.parametrize(("size", "bands", "canvas"), [(64, 1, 80), (128, 3, 144)])
def test_a_scene_is_painted_on_a_canvas_that_the_psf_makes_a_tile(recipes, size, bands, canvas):
    scene, camera = generator_shape(recipes["scene"], size, bands, 8), camera_of(recipes["scene"], STRETCH)
    sky = Sky(
        conditions(noise=[[0.03] * bands], electron=[[0.001] * bands], fwhm=[[3.0] * bands]),
        random(1, bands, size, size),
    )

    assert (scene.canvas, scene.bands, scene.width, scene.norm, scene.last) == (canvas, bands, 8, "none", "softplus")
    assert generator_shape(recipes["gan"], size, bands, 8).canvas == size
    assert camera.noise
    assert camera.stretched(torch.zeros(1, bands, canvas, canvas), sky).shape == (1, bands, size, size)


def test_a_recipe_may_have_a_softening_of_its_own(recipes):
    seen = [
        camera_of(recipes["scene"].model_copy(update={"softening_nmgy": own}), STRETCH).stretch for own in (None, 0.05)
    ]

    assert seen == [STRETCH, Stretch(0.05, 100.0)]


def test_a_tile_is_the_scene_in_nmgy_blurred_and_observed():
    camera, images = Camera(STRETCH, noise=True, psf_share=0.8), random(2, 1, 40, 40).sigmoid()
    sky = Sky(conditions(noise=[[0.03], [0.02]], electron=[[0.001]] * 2, fwhm=[[3.0], [4.0]]), random(2, 1, 24, 24))
    blurred = blur(STRETCH.unstretch(images), moffat(torch.tensor([[2.4], [3.2]])))

    assert torch.allclose(camera.flux(images, sky), expose(blurred, sky))
    assert torch.equal(camera.stretched(images, sky), STRETCH.stretch(camera.flux(images, sky)))
    as_seen = Camera(STRETCH, noise=True, psf_share=None)
    assert torch.equal(as_seen.flux(images[..., :24, :24], sky), expose(STRETCH.unstretch(images[..., :24, :24]), sky))


@pytest.mark.parametrize("psf_share", [None, 0.85])
def test_gradients_reach_the_scene_through_psf_noise_and_stretch(psf_share):
    camera, canvas = Camera(STRETCH, noise=True, psf_share=psf_share), 6 if psf_share is None else 22
    images = (0.2 + 0.3 * torch.rand(1, 2, canvas, canvas, dtype=torch.float64)).requires_grad_()
    observed = conditions([[0.03, 0.02]], [[0.001, 0.002]], [[3.0, 2.5]], dtype=torch.float64)
    sky = Sky(observed, random(1, 2, 6, 6, dtype=torch.float64))

    assert torch.autograd.gradcheck(lambda scene: camera.stretched(scene, sky), images, fast_mode=True)


# Conditions


def test_conditions_are_those_of_the_fields_in_their_order():
    fields = [
        [BandConditions(sky_noise_nmgy=0.01 * n, nmgy_per_electron=0.001 * n, psf_fwhm_arcsec=0.396 * n) for n in row]
        for row in ((1, 2), (3, 4), (5, 6))
    ]
    found = Conditions.of_fields(fields, 0.396)
    numbers = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])

    for part, unit in zip(found, (0.01, 0.001, 1.0), strict=True):
        assert torch.allclose(part, unit * numbers)
    taken = found.take(torch.tensor([2, 0, 0]))
    assert torch.allclose(taken.psf_fwhm_px, numbers[[2, 0, 0]])
    assert taken.to(torch.device("cpu")).sky_noise_nmgy.tolist() == taken.sky_noise_nmgy.tolist()


def test_a_kernel_s_bits_are_its_own_whatever_is_computed_beside_it():
    """A power rounds otherwise at an array's end than within it, and moved the end with the number of tiles."""
    widths = torch.rand(200, 8, 3, generator=torch.Generator().manual_seed(0)) * 6 + 1.2
    assert all(
        torch.equal(moffat(tiles)[place], moffat(tiles[place : place + 1])[0]) for tiles in widths for place in range(8)
    )
