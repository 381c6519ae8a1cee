import math

import numpy as np
import pytest

from skygen.measure import sources
from skygen.sky.inspection.detection import detect

NOISE_NMGY = 0.025
SIGMA_TO_HALF_LIGHT = math.sqrt(2 * math.log(2))  # of a round Gaussian


def planted(
    flux_nmgy: dict[str, float], sigma_px: float, tiles: int = 12, ratio: float = 1.0, seed: int = 0
) -> np.ndarray:
    """Tiles [N, bands, 64, 64] with one Gaussian source each, of axis ratio `ratio`, at a random place on noise."""
    rng = np.random.default_rng(seed)
    images = rng.normal(0, NOISE_NMGY, (tiles, len(flux_nmgy), 64, 64))
    rows, columns = np.mgrid[:64, :64]
    for index, (x, y) in enumerate(rng.uniform(24, 40, (tiles, 2))):
        shape = np.exp(-(((columns - x) / sigma_px) ** 2 + ((rows - y) / (ratio * sigma_px)) ** 2) / 2)
        shape /= 2 * math.pi * ratio * sigma_px**2
        images[index] += np.array(list(flux_nmgy.values()))[:, None, None] * shape
    return images.astype(np.float32)


def distance(name: str, fake: np.ndarray, real: np.ndarray, bands: str = "r") -> float:
    summaries = (sources.summarise_quantity(name, sources.describe(t, bands), np.ones(len(t))) for t in (fake, real))
    return sources.compare_quantity(name, *summaries)


def test_planted_sources_are_recovered():
    catalogue = sources.describe(planted({"r": 100.0}, sigma_px=2.0, ratio=0.5), "r")

    assert catalogue.number.tolist() == [1] * 12
    assert catalogue.quantities["magnitude"] == pytest.approx(17.5, abs=0.02)
    smoothed = math.sqrt((1**2 + 0.5) / (2**2 + 0.5))  # the detector's kernel adds half a square pixel to both axes
    assert catalogue.quantities["ellipticity"] == pytest.approx(1 - smoothed, abs=0.02)


def test_a_round_gaussian_has_its_half_light_radius():
    catalogue = sources.describe(planted({"r": 100.0}, sigma_px=2.0), "r")

    assert catalogue.quantities["half_light_radius"] == pytest.approx(2 * SIGMA_TO_HALF_LIGHT, abs=0.06)


def test_colours_are_those_of_the_planted_fluxes():
    catalogue = sources.describe(planted({"g": 50.0, "r": 100.0, "i": 150.0}, sigma_px=1.5), "gri")

    assert catalogue.quantities["g_r"] == pytest.approx(2.5 * math.log10(2), abs=0.03)
    assert catalogue.quantities["r_i"] == pytest.approx(2.5 * math.log10(1.5), abs=0.03)


def test_fluxes_ten_times_too_high_are_two_and_a_half_magnitudes_away():
    fake, real = planted({"r": 200.0}, 1.5), planted({"r": 20.0}, 1.5, seed=1)

    assert distance("magnitude", fake, real) == pytest.approx(2.5, abs=0.05)


def test_sources_too_wide_are_found():
    fake, real = planted({"r": 100.0}, 2.5), planted({"r": 100.0}, 1.5, seed=1)

    assert distance("half_light_radius", fake, real) == pytest.approx(SIGMA_TO_HALF_LIGHT, abs=0.1)


def test_colours_need_their_bands():
    assert sources.quantities("r") == ("magnitude", "half_light_radius", "ellipticity")
    assert sources.quantities("gr")[3:] == ("g_r",)
    assert sources.quantities("gri")[3:] == ("g_r", "r_i")


def test_numbers_a_tile_and_their_mean():
    single = planted({"r": 100.0}, 1.5)
    double = np.concatenate([single, single[:, :, ::-1]], axis=-1)  # each source and its mirror image
    fake, real = (sources.describe(tiles, "r") for tiles in (double, single))
    once = np.ones(12)

    summaries = [sources.summarise_number(catalogue, once) for catalogue in (fake, real)]
    assert sources.compare_number(*summaries) == 1
    assert [sources.summarise_mean(catalogue, once) for catalogue in (fake, real)] == [2, 1]


def test_the_share_of_tiles_without_a_source():
    tiles = planted({"r": 100.0}, 1.5)
    fake, real = (
        sources.describe(np.where(np.arange(12)[:, None, None, None] < empty, 0, tiles), "r") for empty in (3, 6)
    )
    only_full = (np.arange(12) >= 6).astype(float)
    rows = np.stack([np.ones(12), only_full])

    found = sources.relate_empty(fake, real)(rows, np.ones((2, 12)))["sources.empty"]
    assert found == pytest.approx([0.25, 0.5])
    assert sources.relate_empty(real, fake)(rows[:1], rows[:1])["sources.empty"] == pytest.approx([0.25])


def test_a_catalogue_says_where_its_sources_stand():
    tiles = planted({"r": 100.0}, 1.5)
    rows, columns = np.unravel_index(tiles.reshape(12, -1).argmax(axis=1), (64, 64))

    assert sources.describe(tiles, "r").xy_px == pytest.approx(np.stack([columns, rows], axis=1), abs=2)


def test_weights_count_the_sources_of_a_tile_as_repeating_it_does():
    tiles = planted({"r": 100.0}, 1.5)
    repeated = sources.summarise_quantity("magnitude", sources.describe(tiles[[0, 0, 2]], "r"), np.ones(3))
    weighted = sources.summarise_quantity("magnitude", sources.describe(tiles[:3], "r"), np.array([2.0, 0, 1]))

    assert sources.compare_quantity("magnitude", weighted, repeated) == 0


@pytest.mark.parametrize("tile", [np.random.default_rng(0).normal(0, NOISE_NMGY, (1, 64, 64)), np.zeros((1, 64, 64))])
def test_no_source_in_one_set_is_the_width_of_the_range_and_in_both_zero(tile):
    empty = np.repeat(tile[None].astype(np.float32), 3, axis=0)
    full = planted({"r": 100.0}, 1.5)

    for name, (lowest, highest) in list(sources.RANGES.items())[:3]:
        assert distance(name, empty, full) == distance(name, full, empty) == highest - lowest
        assert distance(name, empty, empty) == 0


def test_values_stay_in_their_range_on_tiles_of_any_kind():
    rng = np.random.default_rng(5)
    tiles = (rng.standard_cauchy((6, 3, 64, 64)) * 10).astype(np.float32)
    catalogue = sources.describe(tiles, "gri")

    assert catalogue.number.sum() > 0
    for name, values in catalogue.quantities.items():
        lowest, highest = sources.RANGES[name]
        assert lowest <= values.min()
        assert values.max() <= highest


def test_sources_are_those_of_the_detector():
    tile = planted({"r": 100.0}, 1.5, tiles=1)

    assert sources.describe(tile, "r").quantities["magnitude"] == pytest.approx(
        22.5 - 2.5 * np.log10(detect(tile[0, 0], NOISE_NMGY, sources.SNR)["flux_nmgy"]), abs=1e-6
    )
