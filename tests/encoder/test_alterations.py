"""Alterations of planted tiles: each changes what it says, by as much as it says, and nothing else."""

import math

import numpy as np
import pytest
import torch

from skygen.encoder.alterations import (
    PLANTED,
    brighter,
    checkerboard,
    correlated_noise,
    degraded,
    elongated_psf,
    fewer_sources,
    grid,
    lattice,
    louder_noise,
    planted,
    sample_of,
    swapped_colours,
    wave,
    wider_psf,
)
from skygen.measure import sources
from skygen.measure.pixels import STRETCH
from skygen.sky.inspection.psf import measure_psf
from skygen.sky.noise import sky_noise

NOISE_NMGY, SIGMA_PX = 0.03, 1.5
FWHM_PX = SIGMA_PX * math.sqrt(8 * math.log(2))


def sky(tiles=24, bands=1, seed=0):
    return np.random.default_rng(seed).normal(0, NOISE_NMGY, (tiles, bands, 64, 64)).astype(np.float32)


def stars(flux_nmgy=(30.0,), tiles=24, places=((20, 44),), sigma_px=SIGMA_PX):
    """Noise with round Gaussian sources of a flux in each band, at `places`."""
    images = sky(tiles, len(flux_nmgy))
    rows, columns = np.mgrid[:64, :64]
    for x, y in places:
        profile = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma_px**2)) / (2 * math.pi * sigma_px**2)
        images += (np.array(flux_nmgy)[:, None, None] * profile).astype(np.float32)
    return images


def sample(tiles):
    return sample_of(tiles, np.full(tiles.shape[:2], FWHM_PX))


def altered(alter, tiles, size, seed=1):
    return alter(sample(tiles), size, np.random.default_rng(seed)).numpy()


def neighbours(tiles, axis):
    """The correlation of pixels with their neighbours along an axis."""
    return float((tiles * np.roll(tiles, 1, axis)).mean() / (tiles**2).mean())


@pytest.mark.parametrize("size", [-0.2, -0.1, 0.1, 0.3])
def test_noise_is_as_much_quieter_or_louder_as_it_is_told(size):
    tiles = sky()

    assert sky_noise(altered(louder_noise, tiles, size)).mean() / sky_noise(tiles).mean() == pytest.approx(
        1 + size, abs=0.01
    )


def test_quieter_noise_leaves_a_source_its_flux():
    tiles = stars()
    quiet = altered(louder_noise, tiles, -0.5)

    magnitudes = [np.median(sources.describe(flux, "r").quantities["magnitude"]) for flux in (tiles, quiet)]
    assert magnitudes[1] == pytest.approx(magnitudes[0], abs=0.03)


def test_a_wider_psf_makes_stars_wider_by_as_much():
    wide = altered(wider_psf, stars((3000.0,)), 0.2)
    radius = np.median(sources.describe(wide, "r").quantities["half_light_radius"])

    expected = stars((3000.0,), sigma_px=1.2 * SIGMA_PX)
    assert radius == pytest.approx(np.median(sources.describe(expected, "r").quantities["half_light_radius"]), abs=0.02)


def test_a_spike_of_one_pixel_does_not_ring():
    spike = np.zeros((1, 1, 64, 64), np.float32)
    spike[..., 32, 32] = 1000.0
    blurred = altered(wider_psf, spike, 0.025)

    assert blurred.min() > -4  # four times the photon noise of the spike
    assert blurred.sum() == pytest.approx(1000, rel=0.01)


@pytest.mark.parametrize("alter", [wider_psf, elongated_psf])
def test_under_a_wider_psf_noise_stays_as_loud_and_as_white(alter):
    tiles = altered(alter, sky(), 0.3)

    assert tiles.std() == pytest.approx(NOISE_NMGY, rel=0.02)
    assert [neighbours(tiles, axis) for axis in (-2, -1)] == pytest.approx([0, 0], abs=0.02)


def test_an_elongated_psf_draws_round_stars_out_along_the_rows():
    tiles = altered(elongated_psf, stars((3000.0,)), 0.3)
    light = tiles.mean(0)[0, 29:60, 5:36]  # around the star
    offsets = np.arange(-15, 16)

    along, across = ((light.sum(axis) * offsets**2).sum() / light.sum() for axis in (0, 1))
    assert math.sqrt(along / across) == pytest.approx(1.3, abs=0.03)


def test_brighter_sources_on_the_same_sky():
    tiles = stars((300.0,))
    bright = altered(brighter, tiles, 0.1)

    gain = np.diff([np.median(sources.describe(flux, "r").quantities["magnitude"]) for flux in (tiles, bright)])[0]
    assert gain == pytest.approx(-2.5 * math.log10(1.1), abs=0.01)
    np.testing.assert_array_equal(bright[..., :20, 40:], tiles[..., :20, 40:])


def test_swapped_colours_are_those_of_the_other_band():
    tiles = stars((30.0, 100.0, 300.0))
    swapped = altered(swapped_colours, tiles, 1.0)

    colours = sources.describe(swapped, "gri").quantities
    assert np.median(colours["g_r"]) == pytest.approx(-2.5 * math.log10(3), abs=0.05)
    assert np.median(colours["r_i"]) == pytest.approx(-2.5 * math.log10(100 / 30), abs=0.05)
    np.testing.assert_array_equal(swapped[:, 1], tiles[:, 1])


@pytest.mark.parametrize(("size", "left"), [(0.5, 1.5), (1.0, 1.0), (2.0, 0.0), (3.0, 0.0)])
def test_sources_are_taken_one_by_one(size, left):
    tiles = stars(places=((16, 16), (48, 44)))

    assert sources.describe(altered(fewer_sources, tiles, size), "r").number.mean() == left


def test_where_a_source_was_there_is_sky_like_the_rest():
    tiles = altered(fewer_sources, stars(tiles=200), 1.0)
    place = tiles[..., 38:51, 14:27]

    assert place.mean() == pytest.approx(0, abs=NOISE_NMGY / 30)
    assert place.std() == pytest.approx(NOISE_NMGY, rel=0.03)


@pytest.mark.parametrize("alter", [checkerboard, grid])
def test_patterns_are_as_high_as_they_are_told_in_the_stretched_range(alter):
    dark = np.zeros((1, 1, 64, 64), np.float32)
    pattern = STRETCH.stretch(altered(alter, dark, 0.02))

    assert float(np.ptp(pattern)) == pytest.approx(0.02 * 2, rel=1e-3)  # the range is from -1 to 1


def test_waves_have_the_power_of_a_checkerboard_of_their_size():
    dark = np.zeros((200, 1, 64, 64), np.float32)

    assert STRETCH.stretch(altered(wave, dark, 0.02)).std() == pytest.approx(0.02, rel=0.05)


def test_correlated_noise_is_as_loud_as_before():
    tiles = altered(correlated_noise, sky(), 0.2)

    assert tiles.std() == pytest.approx(NOISE_NMGY, rel=0.01)
    assert neighbours(tiles, -1) == pytest.approx(0.2 / 1.04, abs=0.02)
    assert neighbours(tiles, -2) == pytest.approx(0, abs=0.02)


def brightest(tiles):
    """The column and row of each tile's brightest pixel."""
    return np.stack(np.unravel_index(tiles.reshape(len(tiles), -1).argmax(1), (64, 64))[::-1], axis=1)


def test_sources_come_to_the_nearest_point_of_a_lattice():
    tiles = np.concatenate([stars((300.0,), 1, ((x, y),)) for x, y in ((20, 44), (6, 15), (60, 31))])
    tiles = np.concatenate([tiles, sky(1)])
    rolled = altered(lattice, tiles, 1.0)

    np.testing.assert_allclose(brightest(rolled)[:3], [(24, 40), (8, 8), (56, 24)], atol=1)
    np.testing.assert_array_equal(np.sort(rolled.reshape(4, -1)), np.sort(tiles.reshape(4, -1)))
    np.testing.assert_array_equal(rolled[3], tiles[3])


def test_a_lattice_is_what_the_places_of_sources_tell():
    rng = np.random.default_rng(2)
    tiles = np.concatenate([stars((300.0,), 1, (place,)) for place in rng.uniform(8, 56, (200, 2))])
    real, fake = (sources.describe(of_set, "r") for of_set in (tiles, altered(lattice, tiles, 0.5)))
    once = np.ones((1, 200))

    for catalogue, lowest, highest in ((real, 0.8, 1.2), (fake, 1.5, 4.0)):
        assert lowest < sources.relate_places(catalogue, real)(once, once)["sources.places"][0] < highest


def test_a_lattice_is_of_as_many_tiles_as_it_is_told():
    tiles = stars((300.0,))

    assert (altered(lattice, tiles, 0.25) != tiles).any(axis=(1, 2, 3)).sum() == 6


def star(fwhm_px, is_moffat):
    """A star of 3000 nmgy without noise, Gaussian or Moffat of beta 3, [1, 64, 64]."""
    rows, columns = np.mgrid[:64, :64] - 31.7
    r2 = (rows**2 + columns**2) / (fwhm_px / 2) ** 2
    profile = (1 + r2 * (2 ** (1 / 3) - 1)) ** -3 if is_moffat else 2**-r2
    return (3000 * profile / profile.sum())[None].astype(np.float32)


def fwhm_of(tiles):
    """The FWHM in px of the stars in the middle of tiles [N, 1, 64, 64], as that of a frame is measured."""
    image = np.concatenate(tiles[:, 0], axis=1).astype(np.float64)
    return measure_psf(image, 31.7 + 64 * np.arange(len(tiles)), np.full(len(tiles), 31.7)).fwhm_arcsec / 0.396


def under(tiles, own_fwhm_px, fwhm_px, noise, own_noise=NOISE_NMGY, electron=0.001, own_electron=0.001):
    """What `degraded` makes of tiles [N, 1, H, W] with the same conditions each."""
    conditions = (
        torch.full((len(tiles), 1, 1, 1), float(one)) for one in (fwhm_px, noise, electron, own_noise, own_electron)
    )
    given = sample_of(tiles, np.full((len(tiles), 1), own_fwhm_px))
    return degraded(given, *conditions, np.random.default_rng(1)).numpy()


@pytest.mark.parametrize("is_moffat", [False, True])
@pytest.mark.parametrize("target_px", [3.15, 3.6])
def test_degraded_stars_have_the_width_of_the_target_and_their_flux(is_moffat, target_px):
    tiles, expected = (star(fwhm_px, is_moffat) + sky() for fwhm_px in (3.0, target_px))
    wide = under(tiles, 3.0, target_px, NOISE_NMGY)

    assert fwhm_of(wide) == pytest.approx(fwhm_of(expected), rel=0.025)
    assert wide.sum() == pytest.approx(tiles.sum(), rel=1e-3)


@pytest.mark.parametrize("louder", [1.0, 1.3, 2.0])
def test_degraded_noise_is_that_of_the_target_and_white(louder):
    tiles = sky()
    noisy = under(tiles, 3.0, 4.0, louder * NOISE_NMGY)

    assert sky_noise(noisy).mean() == pytest.approx(louder * NOISE_NMGY, rel=0.02)
    assert [neighbours(noisy, axis) for axis in (-2, -1)] == pytest.approx([0, 0], abs=0.02)


def test_degraded_sources_have_the_photon_noise_of_the_target():
    tiles = 20 + np.random.default_rng(0).normal(0, math.hypot(NOISE_NMGY, math.sqrt(20 * 0.001)), (200, 1, 64, 64))
    given = sample_of(tiles.astype(np.float32), np.full((200, 1), 3.0))
    all_source = given._replace(share=torch.ones_like(given.share), sky=torch.zeros_like(given.sky))
    conditions = (torch.full((200, 1, 1, 1), one) for one in (4.0, 0.04, 0.002, NOISE_NMGY, 0.001))
    noisy = degraded(all_source, *conditions, np.random.default_rng(1)).numpy()

    assert noisy.std() == pytest.approx(math.sqrt(0.04**2 + 20 * 0.002), rel=0.01)


def test_under_equal_conditions_tiles_stay_as_they_are():
    tiles = stars()

    np.testing.assert_allclose(under(tiles, FWHM_PX, FWHM_PX, NOISE_NMGY), tiles, atol=1e-5)


def test_nothing_is_sharpened_or_made_quieter():
    tiles = stars()

    np.testing.assert_allclose(under(tiles, FWHM_PX, FWHM_PX - 0.5, NOISE_NMGY / 2), tiles, atol=1e-5)


@pytest.mark.parametrize("name", PLANTED)
def test_what_is_altered_by_nothing_is_as_it_was(name):
    tiles = stars((30.0, 100.0))

    np.testing.assert_allclose(altered(PLANTED[name].alter, tiles, 0.0), tiles, atol=1e-5)


@pytest.mark.parametrize("name", PLANTED)
def test_the_same_numbers_alter_alike_and_leave_the_sample_as_it_was(name):
    given = sample(stars((30.0, 100.0), tiles=4))
    before = torch.clone(given.tiles)
    first, second = (PLANTED[name].alter(given, PLANTED[name].size, np.random.default_rng(3)) for _ in range(2))

    assert torch.equal(first, second)
    assert torch.equal(given.tiles, before)
    assert not torch.equal(first, before)


def test_one_band_has_no_colours_to_swap():
    assert set(planted(3)) - set(planted(1)) == {"swapped_colours"}


def test_a_tile_that_is_all_source_keeps_it():
    tiles = stars((1e5,), tiles=1, places=((32, 32),), sigma_px=25.0)

    np.testing.assert_array_equal(altered(fewer_sources, tiles, 1.0), tiles)
