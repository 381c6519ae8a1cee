"""What a bundle of scenes lets its user choose: the noise, the seeing, and the conditions of each tile."""

import re

import numpy as np
import pytest
import torch

from skygen.bundle.bundle import Bundle
from skygen.bundle.tile import Factors, Rectangle, row
from skygen.gan.card import BundleError
from skygen.sky.noise import sky_noise

BANDS = ["g", "r", "i"]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory, write_bundle):
    folder = tmp_path_factory.mktemp("scenes")
    write_bundle(folder, recipe="scene", bands=BANDS)
    return Bundle.load(folder)


@pytest.fixture(scope="module")
def card(scenes):
    return scenes.card


@pytest.mark.parametrize("noise", ["survey", 0.01, 0.3])
def test_tiles_are_the_scene_free_of_noise_and_noise_of_the_known_variance(scenes, noise):
    clean = scenes.generate(7, 6, noise="none")

    def drawn(noise):
        seen = scenes.conditions_of(row(7, 6, noise=noise))
        names = ("sky_noise_nmgy", "nmgy_per_electron", "sky_level_nmgy")
        sky, electron, level = (getattr(seen, name).numpy()[:, :, None, None] for name in names)
        return (scenes.generate(7, 6, noise=noise) - clean - level) / np.sqrt(sky**2 + np.maximum(clean, 0) * electron)

    draws, same = drawn(noise), drawn("survey")
    assert np.ptp(clean) > 0.1
    assert (draws.mean(), draws.std()) == pytest.approx((0, 1), abs=0.02)
    np.testing.assert_allclose(draws, same, atol=0.02)


EMPTY = {"density": Factors(0.0, 0.0)}


def test_a_level_is_the_noise_in_r_and_the_other_bands_keep_their_proportion(scenes):
    survey, chosen = (
        np.mean([sky_noise(tile) for tile in scenes.generate(3, 40, noise=noise, **EMPTY)], axis=0)
        for noise in ("survey", 0.011)
    )

    assert chosen[1] == pytest.approx(0.011, rel=0.01)
    np.testing.assert_allclose(chosen / chosen[1], survey / survey[1], rtol=0.02)
    assert scenes.generate(3, 1, noise="none", **EMPTY).max() == 0


def test_half_the_noise_is_four_times_the_exposure(scenes):
    """Photons of sources are counted longer too: their noise halves with the sky's."""
    survey = scenes.conditions_of(row(0, 1))
    half = scenes.conditions_of(row(0, 1, noise=float(survey.sky_noise_nmgy[0, 1]) / 2))

    torch.testing.assert_close(half.sky_noise_nmgy, survey.sky_noise_nmgy / 2)
    torch.testing.assert_close(half.nmgy_per_electron, survey.nmgy_per_electron / 4)
    assert torch.equal(half.psf_fwhm_px, survey.psf_fwhm_px)


@pytest.mark.parametrize("seeing", [0.6, 1.0, 3.0])
def test_a_seeing_is_the_width_of_the_psf_in_every_band(scenes, card, seeing):
    fwhm = scenes.conditions_of(row(0, 3, seeing=seeing)).psf_fwhm_px

    torch.testing.assert_close(fwhm, torch.full((3, 3), seeing / card.pixel_scale_arcsec))


def test_better_seeing_makes_peaks_higher(scenes):
    """Of stars beside which nothing shines, whose cores are not saturated: a galaxy gains less."""
    sharp, broad = (Rectangle(3, 0, 0, 400, 400, "none", seeing, Factors(4.0, 0.0)) for seeing in (0.8, 2.4))
    stars = scenes.sky_truth(broad, 30).rows
    stars = stars[(stars["flags"] == 0)]
    x, y = (np.rint(stars[axis]).astype(int) for axis in "xy")
    ratios = scenes.sky(sharp)[1][y, x] / scenes.sky(broad)[1][y, x]

    assert len(stars) > 10
    assert 4 < np.median(ratios) < 12


def test_the_survey_s_seeing_is_that_of_the_tile_s_field(scenes, card):
    fwhm = scenes.conditions_of(row(1, 12)).psf_fwhm_px.numpy()

    fields = [[band.psf_fwhm_arcsec / card.pixel_scale_arcsec for band in field] for field in card.conditions]
    np.testing.assert_allclose(np.unique(fwhm, axis=0), sorted(fields), rtol=1e-6)


def test_tiles_are_observed_under_the_conditions_given(scenes, card):
    one, other = card.conditions
    found = np.stack(
        [sky_noise(tile) for tile in scenes.generate(0, 30, conditions=[one] * 15 + [other] * 15, **EMPTY)]
    )

    for part, field in ((found[:15], one), (found[15:], other)):
        np.testing.assert_allclose(part.mean(axis=0), [band.sky_noise_nmgy for band in field], rtol=0.015)


def test_given_conditions_are_one_a_tile(scenes, card):
    with pytest.raises(ValueError, match="conditions of 2 tiles for 3 tiles"):
        scenes.generate(0, 3, conditions=card.conditions)


@pytest.mark.parametrize("choice", [{}, {"noise": "none"}, {"noise": 0.02}, {"seeing": 1.1}])
def test_a_tile_s_conditions_are_its_own_whatever_is_asked_beside_it(scenes, choice):
    many = scenes.conditions_of(row(9, 12, **choice))
    alone = scenes.conditions_of(row(9, 1, 7, **choice))

    for part, of_tile in zip(many, alone, strict=True):
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
