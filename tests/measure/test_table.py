from dataclasses import replace

import numpy as np
import pytest

from skygen.measure import diversity, kernel, noise, pixels, sources, spectrum
from skygen.measure.metric import GROUPS, Given
from skygen.measure.table import MEANINGS, METRICS, measures_of

TILES = 16


def half_samples(rows):
    """Ones on a random half of the tiles in each row, and on the other half."""
    first = np.random.default_rng(1).permuted(np.tile([1.0, 0.0], (rows, TILES // 2)), axis=1)
    return first, 1 - first


def encode(tiles):
    return (tiles.reshape(len(tiles), -1)[:, :4] / 0.025).astype(np.float32)


def logits(tiles):
    return tiles.mean(axis=(1, 2, 3)) - 0.1


def all_measures(bands="gri"):
    train = np.random.default_rng(5).normal(size=(50, 4)).astype(np.float32)
    return measures_of(Given(bands, encode, 0, train, logits))


def physics(bands):
    return measures_of(Given(bands))


def keys(measures):
    return [key for measure in measures for key in measure.keys]


@pytest.fixture(scope="module")
def sky():
    """Two sets of tiles with a source each."""
    rng = np.random.default_rng(0)
    tiles = rng.normal(0, 0.025, (2, TILES, 3, 32, 32)).astype(np.float32)
    tiles[..., 12:18, 12:18] += rng.uniform(1, 5, (2, TILES, 1, 1, 1)).astype(np.float32)
    return tiles


@pytest.mark.parametrize(("bands", "number"), [("r", 12), ("gr", 13), ("gri", 14)])
def test_every_metric_that_the_bands_allow_is_measured(bands, number):
    assert len(keys(physics(bands))) == number


def test_every_meaning_but_the_derived_accuracy_has_one_measure():
    measured = keys(all_measures())

    assert len(measured) == len(set(measured))
    assert {*measured, "accuracy"} == set(MEANINGS)


def test_meanings_are_whole_sentences_about_a_caption():
    assert [key for key, meaning in MEANINGS.items() if not meaning.caption or not meaning.reading.endswith(".")] == []


def test_all_that_measures_a_distance_says_how_it_is_squared():
    shares = {"precision", "recall", "density", "coverage", "accuracy", "diversity", "memorised"}
    squares = {key for key, meaning in MEANINGS.items() if meaning.excess == "itself"}

    assert {key for key, meaning in MEANINGS.items() if not meaning.excess} == {*shares, "discriminator_accuracy"}
    assert squares == {"frechet", "kernel"}


def test_what_describes_the_same_is_done_once():
    searches = {measure.describe for measure in physics("gri") if measure.keys[0].startswith("sources.")}
    features = measures_of(Given(encode=encode, train_features=np.ones((2, 4), np.float32)))
    encodings = {measure.describe for measure in features}

    assert len(searches) == 1
    assert encodings == {encode}


@pytest.mark.parametrize("measure", all_measures(), ids=lambda measure: measure.keys[0])
def test_a_measure_gives_each_key_a_value_a_row(measure, sky):
    statistic = measure.relate(*map(measure.describe, sky))
    rows = half_samples(3)
    together = statistic(*rows)
    apart = [statistic(*(of_set[[0, row]] for of_set in rows)) for row in range(3)]  # the first row trains classifiers

    assert set(together) == set(measure.keys)
    for key, values in together.items():
        assert values.shape == (3,)
        assert values == pytest.approx([one[key][1] for one in apart])


@pytest.mark.parametrize("measure", all_measures(), ids=lambda measure: measure.keys[0])
def test_half_samples_of_a_set_related_to_itself_are_its_disjoint_halves(measure, sky, monkeypatch):
    """So no tile meets itself, and one without weight counts nowhere."""
    monkeypatch.setattr(kernel, "scale_of", lambda real: 1.0)  # the one thing that all real tiles say
    tiles, (first, second) = sky[0], half_samples(1)
    described, halves = measure.describe(tiles), [measure.describe(tiles[row > 0]) for row in (*first, *second)]
    once = np.ones((1, TILES // 2))
    found, expected = measure.relate(described, described)(first, second), measure.relate(*halves)(once, once)

    assert {key: values[0] for key, values in found.items()} == pytest.approx(
        {key: values[0] for key, values in expected.items()}, rel=1e-5
    )


@pytest.mark.parametrize("measure", physics("gri"), ids=lambda measure: measure.keys[0])
def test_a_set_against_itself_is_ideal(measure, sky):
    described, once = measure.describe(sky[0]), np.ones((1, TILES))

    for key, values in measure.relate(described, described)(once, once).items():
        assert values == pytest.approx([MEANINGS[key].ideal], abs=1e-6)


@pytest.mark.parametrize(
    ("key", "module"),
    [("pixel_w1", pixels), ("power_spectrum", spectrum), ("sky_noise", noise), ("diversity", diversity)],
)
def test_a_row_is_what_the_module_makes_of_its_weights(key, module, sky):
    (measure,) = [measure for measure in physics("gri") if measure.keys == (key,)]
    described = [module.describe(tiles) for tiles in sky]
    weights = np.tile([2.0, 0, 1, 1, 3, 0, 1, 0], (1, 2))
    summaries = [module.summarise(part, weights[0]) for part in described]

    assert measure.relate(*described)(weights, weights)[key] == pytest.approx([module.compare(*summaries)], rel=1e-6)


def test_brighter_sources_are_found_by_their_magnitude_alone(sky):
    (measure,) = [measure for measure in physics("r") if measure.keys == ("sources.magnitude",)]
    catalogue = sources.describe(sky[0][:, 1:2], "r")
    brighter = replace(catalogue, quantities={"magnitude": catalogue.quantities["magnitude"] - 0.5})

    assert measure.relate(brighter, catalogue)(np.ones((1, TILES)), np.ones((1, TILES))) == {
        "sources.magnitude": pytest.approx([0.5])
    }


def test_the_table_is_in_the_order_of_its_groups_and_finds_what_a_module_offers():
    places = [GROUPS.index(metric.group) for metric in METRICS]

    assert places == sorted(places)
    assert {noise.METRIC, pixels.METRIC, sources.METRIC} <= set(METRICS)
    assert measures_of(Given()) == []
