"""What a bundle of scenes lets its user choose: the noise, the seeing, and the conditions of each tile."""

import re
from itertools import pairwise

import numpy as np
import pytest
import torch

from skygen.bundle.bundle import Bundle
from skygen.bundle.convolution import Convolution
from skygen.bundle.tile import row
from skygen.gan.card import BundleError
from skygen.gan.latents import noise_of
from skygen.sky.noise import sky_noise

BANDS = ["g", "r", "i"]


class Painter:
    """An engine that always paints the same image [bands, canvas, canvas], in stretched units."""

    name = "eager"

    def __init__(self, image):
        self.image = image

    def __call__(self, latents):
        """The image for each of the latents."""
        return self.image.expand(len(latents), -1, -1, -1)


def bundle_of(card, image):
    """A bundle that always paints the same image."""
    return Bundle(card, Convolution(card, Painter(image), torch.device("cpu")), "0" * 64, torch.device("cpu"))


@pytest.fixture(scope="module")
def card(tmp_path_factory, write_bundle):
    return write_bundle(tmp_path_factory.mktemp("card"), recipe="scene", bands=BANDS)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory, write_bundle):
    folder = tmp_path_factory.mktemp("scenes")
    write_bundle(folder, recipe="scene", bands=BANDS)
    return Bundle.load(folder)


@pytest.fixture(scope="module")
def empty(card):
    """A bundle whose every scene is dark."""
    return bundle_of(card, torch.zeros(3, 80, 80))


@pytest.fixture(scope="module")
def point(card):
    """A bundle whose every scene is one star of 10 nmgy, in the middle pixel."""
    image = torch.zeros(3, 80, 80)
    image[:, 40, 40] = card.stretch.stretch(torch.tensor(10.0))
    return bundle_of(card, image)


@pytest.mark.parametrize("noise", ["survey", 0.01, 0.3])
def test_tiles_are_the_scene_free_of_noise_and_noise_of_the_known_variance(scenes, noise):
    seen, clean = scenes.generate(7, 6, noise=noise), scenes.generate(7, 6, noise="none")
    sky, electron = (part.numpy()[:, :, None, None] for part in scenes.conditions_of(row(7, 6, noise=noise))[:2])
    sigma = np.sqrt(sky**2 + np.maximum(clean, 0) * electron)

    assert np.ptp(clean) > 0.1
    np.testing.assert_allclose((seen - clean) / sigma, noise_of((3, 64, 64), 7, range(6)).numpy(), atol=0.01)


def test_a_level_is_the_noise_in_r_and_the_other_bands_keep_their_proportion(empty):
    survey, chosen = (
        np.mean([sky_noise(tile) for tile in empty.generate(3, 40, noise=noise)], axis=0) for noise in ("survey", 0.011)
    )

    assert chosen[1] == pytest.approx(0.011, rel=0.01)
    np.testing.assert_allclose(chosen / chosen[1], survey / survey[1], rtol=0.02)
    assert empty.generate(3, 1, noise="none").max() == 0


def test_half_the_noise_is_four_times_the_exposure(scenes):
    """Photons of sources are counted longer too: their noise halves with the sky's."""
    survey = scenes.conditions_of(row(0, 1))
    half = scenes.conditions_of(row(0, 1, noise=float(survey.sky_noise_nmgy[0, 1]) / 2))

    torch.testing.assert_close(half.sky_noise_nmgy, survey.sky_noise_nmgy / 2)
    torch.testing.assert_close(half.nmgy_per_electron, survey.nmgy_per_electron / 4)
    assert torch.equal(half.psf_fwhm_px, survey.psf_fwhm_px)


def width_px(tile):
    """Full width at half maximum of a symmetric source in the middle pixel, between pixels on a straight line."""
    profile = tile[32, 32:] / tile[32, 32]
    (low,) = [index for index, (near, far) in enumerate(pairwise(profile)) if near >= 0.5 > far]
    return 2 * (low + (profile[low] - 0.5) / (profile[low] - profile[low + 1]))


@pytest.mark.parametrize("seeing", [0.6, 1.0, 1.5, 2.0, 3.0])
def test_a_star_is_as_wide_as_the_seeing_asked_for(point, card, seeing):
    tile = point.generate(0, 1, noise="none", seeing=seeing)[0]

    for band in tile:
        assert width_px(band) == pytest.approx(card.psf_share * seeing / card.pixel_scale_arcsec, rel=0.08)
        assert band.sum() == pytest.approx(10, rel=1e-4)


def test_the_survey_s_seeing_is_that_of_the_tile_s_field(point, card):
    tiles, fwhm = point.generate(1, 12, noise="none"), point.conditions_of(row(1, 12)).psf_fwhm_px.numpy()

    assert len(np.unique(fwhm[:, 1])) == len(card.conditions) == 2
    for tile, expected in zip(tiles, fwhm, strict=True):
        assert width_px(tile[1]) == pytest.approx(card.psf_share * expected[1], rel=0.08)


def test_tiles_are_observed_under_the_conditions_given(empty, card):
    one, other = card.conditions
    found = np.stack([sky_noise(tile) for tile in empty.generate(0, 30, conditions=[one] * 15 + [other] * 15)])

    for part, field in ((found[:15], one), (found[15:], other)):
        np.testing.assert_allclose(part.mean(axis=0), [band.sky_noise_nmgy for band in field], rtol=0.015)


def test_given_conditions_are_one_a_tile(scenes, card):
    with pytest.raises(ValueError, match="conditions of 2 tiles for 3 tiles"):
        scenes.generate(0, 3, conditions=card.conditions)


@pytest.mark.parametrize("choice", [{}, {"noise": "none"}, {"noise": 0.02}, {"seeing": 1.1}])
def test_a_tile_s_conditions_are_its_own_whatever_is_asked_beside_it(scenes, choice):
    many = scenes.conditions_of(row(9, 12, **choice))
    alone = scenes.conditions_of(row(9, 1, 7, **choice))

    for part, of_tile in zip(many[:3], alone[:3], strict=True):
        assert torch.equal(part[7:8], of_tile)
    assert scenes.generate(9, 12, **choice)[7].tobytes() == scenes.generate(9, 1, 7, **choice)[0].tobytes()


@pytest.mark.parametrize("noise", [0.0, -0.1, 10.1, float("nan"), float("inf"), "full", True])
def test_a_noise_out_of_range_is_named_with_what_is_allowed(scenes, noise):
    words = f"noise is {noise!r}; it must be 'survey', 'none' or a level above 0 and at most 10.0 nmgy"
    with pytest.raises(ValueError, match=re.escape(words)):
        scenes.generate(0, 1, noise=noise)


@pytest.mark.parametrize("seeing", [0.59, 3.01, -1.0, float("nan"), "none", True])
def test_a_seeing_out_of_range_is_named_with_what_is_allowed(scenes, seeing):
    words = f"seeing is {seeing!r}; it must be 'survey' or a FWHM from 0.6 to 3.0 arcsec"
    with pytest.raises(ValueError, match=re.escape(words)):
        scenes.generate(0, 1, seeing=seeing)


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"noise": "none"}, "recipe gan paints its noise; it takes 'survey' alone"),
        ({"noise": 0.02}, "recipe gan paints its noise; it takes 'survey' alone"),
        ({"seeing": 1.2}, "recipe gan paints its seeing; it takes 'survey' alone"),
    ],
)
def test_a_recipe_that_paints_its_noise_says_so(tmp_path, write_bundle, choice, words):
    write_bundle(tmp_path)

    with pytest.raises(BundleError, match=re.escape(words)):
        Bundle.load(tmp_path).generate(0, 1, **choice)


def test_scenes_painted_as_seen_take_a_noise_and_no_seeing(tmp_path, write_bundle):
    write_bundle(tmp_path, recipe="scene", row={"psf_share": None})
    loaded = Bundle.load(tmp_path)

    assert loaded.generate(0, 1, noise="none").shape == (1, 1, 64, 64)
    with pytest.raises(BundleError, match="paints its seeing"):
        loaded.generate(0, 1, seeing=1.2)
