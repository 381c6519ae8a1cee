import json
import math

import numpy as np
import pytest

from skygen.evaluation.distributions import MOST_COLOURS, distributions
from skygen.evaluation.scoring import describe
from skygen.measure.metric import Given
from skygen.measure.pixels import STRETCH
from skygen.measure.table import measures_of


def of(tiles, bands):
    measures = measures_of(Given(bands))
    return distributions(describe(tiles.astype(np.float32), measures), measures, bands)


def middle(histogram):
    """The mean of a histogram, each bin at its middle."""
    edges = np.array(histogram["edges"])
    return float((edges[1:] + edges[:-1]) / 2 @ histogram["share"])


@pytest.fixture(scope="module")
def noise() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.025, (20, 3, 32, 32))


def test_names_are_those_of_the_bands_and_the_json_is_plain(sky):
    found, colourless = of(sky(0, 12, 64, 3), "gri"), of(sky(0, 12), "r")

    assert set(found["histograms"]) == {
        *(f"{name}.{band}" for name in ("flux", "sky_noise") for band in "gri"),
        *("number", "magnitude", "half_light_radius", "ellipticity", "g_r", "r_i"),
    }
    assert {"g_r", "r_i"} <= set(found["colours"])
    assert colourless["colours"] == {}
    assert set(colourless["histograms"]) < set(found["histograms"])
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_every_histogram_has_edges_that_ascend_and_shares_that_add_up(sky):
    for name, histogram in of(sky(0, 12, 64, 3), "gri")["histograms"].items():
        assert len(histogram["edges"]) == len(histogram["share"]) + 1
        assert (np.diff(histogram["edges"]) > 0).all(), name
        assert sum(histogram["share"]) == pytest.approx(1, abs=1e-4), name


def test_edges_are_the_same_whatever_the_tiles(sky, noise):
    one, other = of(sky(0, 12, 32, 3), "gri")["histograms"], of(30 * noise, "gri")["histograms"]

    assert {name: h["edges"] for name, h in one.items()} == {name: h["edges"] for name, h in other.items()}


def test_a_flat_tile_fills_one_bin_of_flux_and_what_is_too_dark_the_first():
    tiles = np.full((4, 2, 32, 32), 1.0)
    tiles[:, 1] = -90
    found = of(tiles, "ri")["histograms"]

    bright, dark = found["flux.r"], found["flux.i"]
    (place,) = np.flatnonzero(bright["share"])
    assert bright["edges"][place] <= STRETCH.stretch(np.array([1.0]))[0] < bright["edges"][place + 1]
    assert dark["share"][0] == 1


def test_noise_is_found_in_its_band_and_has_a_flat_spectrum(noise):
    found = of(noise * np.array([1, 2, 3])[:, None, None], "gri")
    stretched = math.asinh(100 / 0.1)

    for times, band in enumerate("gri", 1):
        assert middle(found["histograms"][f"sky_noise.{band}"]) == pytest.approx(0.025 * times, rel=0.05)
        spectrum = found["spectra"][band]
        assert spectrum["cycles"] == list(range(1, 17))
    assert np.mean(found["spectra"]["g"]["power"]) == pytest.approx((0.025 / 0.1 / stretched) ** 2, rel=0.1)


def test_without_a_source_nothing_is_divided_by_nothing(noise):
    found = of(noise, "gri")

    assert found["histograms"]["number"]["share"][0] == 1
    assert sum(found["histograms"]["magnitude"]["share"]) == 0
    assert found["colours"] == {"g_r": [], "r_i": []}


def test_brighter_sources_move_the_histogram_of_magnitudes(sky):
    one, other = (of(times * sky(0, 40), "r")["histograms"]["magnitude"] for times in (1, 10))

    assert middle(one) - middle(other) == pytest.approx(2.5, abs=0.3)


def test_colours_are_of_the_same_sources_and_not_of_too_many(sky, monkeypatch):
    tiles = sky(0, 12, 64, 3)
    tiles[:, 1] = 2 * tiles[:, 0]
    tiles[:, 2] = 2 * tiles[:, 1]
    colours = of(tiles, "gri")["colours"]

    assert 0 < len(colours["g_r"]) == len(colours["r_i"]) <= MOST_COLOURS
    np.testing.assert_allclose(colours["g_r"], 2.5 * math.log10(2), atol=1e-4)
    monkeypatch.setattr("skygen.evaluation.distributions.MOST_COLOURS", 5)
    assert of(tiles, "gri")["colours"]["g_r"] == colours["g_r"][:5]
