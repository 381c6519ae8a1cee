"""Planted truths: models whose tiles are chosen so that what the metrics must say is known beforehand."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from skygen.bundle.bundle import Bundle
from skygen.evaluation.bundle import Evaluation
from skygen.evaluation.control_values import ControlValues, measure_controls
from skygen.evaluation.controls import between_fields, collapse, held_out
from skygen.evaluation.generated import generated_tiles, tiles_seed
from skygen.evaluation.scoring import CONTROLS, SAID, describe, entries, relate
from skygen.measure import two_sample_pixels
from skygen.measure.metric import Given
from skygen.measure.table import MEANINGS, measures_of

HELD, HALVINGS = 120, 60  # tiles of the split, and how often they are halved
KEYS = [key for key in MEANINGS if key not in ("sources.g_r", "sources.r_i")]


@pytest.fixture(scope="module", autouse=True)
def _short_trainings():
    """The classifier of pixels would take most of the time here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(two_sample_pixels, "_LEAST_STEPS", 25)
        yield


@pytest.fixture(scope="module")
def store(sky_store):
    return sky_store


@pytest.fixture(scope="module")
def held(store):
    return held_out(store, "test", 0, HALVINGS)


@pytest.fixture(scope="module")
def evaluation(store, encoder, train_features, held) -> Evaluation:
    """What models of the store are measured by; their discriminator knows nothing but the mean flux."""
    measures = measures_of(Given("r", encoder.encode, 0))
    controls = measure_controls(store, held, measures, encoder, train_features, 0).controls
    control_values = ControlValues(
        encoder=encoder.sha256,
        data=store.card.data_hash,
        seed=0,
        halvings=HALVINGS,
        validation=controls,
        test=controls,
    )
    given = Given("r", encoder.encode, 0, train_features, lambda tiles: 0.005 - tiles.mean(axis=(1, 2, 3)))
    return Evaluation(store, control_values, measures_of(given))


def planted(tiles: np.ndarray) -> SimpleNamespace:
    """A bundle that draws these tiles whatever the seed."""
    return SimpleNamespace(
        card=SimpleNamespace(size=tiles.shape[-1], bands=["r"], conditions=None),
        takes={"density": False},
        generate=lambda seed, n, first=0, noise="survey", conditions=None: tiles[first : first + n],
    )


@pytest.fixture(scope="module")
def measure(evaluation, held):
    def of(tiles):
        return dict(entries(evaluation.measure(planted(tiles), held).section))

    return of


def holds(metric, value):
    return metric["interval"][0] <= value <= metric["interval"][1]


def test_every_metric_has_its_controls_in_the_order_of_the_table(measure, sky):
    found = measure(sky(50, HELD))

    assert list(found) == KEYS
    assert list(found.pop("discriminator_accuracy")) == ["value", "interval"]
    for key, metric in found.items():
        assert list(metric) == ["value", "interval", *SAID, *CONTROLS], key
        assert holds(metric, metric["value"]), key


def test_the_real_tiles_themselves_get_the_real_real_value_and_no_excess(measure, store):
    for key, metric in measure(store.split("test").array()).items():
        if key != "discriminator_accuracy":
            assert metric["value"] == pytest.approx(metric["real_real"], rel=1e-5), key
            assert not metric["exceeds"], key
            assert (metric["excess"] or 0) < 1e-6, key


def test_training_tiles_get_the_value_between_fields_but_are_seen_to_be_copies(measure, store):
    found = measure(store.split("train").batch(between_fields(store.split("train"), HELD, 0)))

    assert found.pop("memorised")["value"] > 0.99
    del found["discriminator_accuracy"]
    for key, metric in found.items():
        assert metric["value"] == pytest.approx(metric["between_fields"], rel=1e-5), key


def test_training_tiles_are_no_copies_of_themselves_as_a_control(evaluation):
    values = evaluation.control_values.test.values["memorised"]
    assert 0.3 < values["between_fields"] < 0.7
    assert 0.3 < values["matched"] < 0.7


def test_one_good_tile_repeated_gets_the_collapsed_value_and_looks_it(evaluation, measure, store):
    found = measure(collapse(store.split("test")[evaluation.control_values.test.repeated], HELD))

    del found["discriminator_accuracy"]
    for key, metric in found.items():
        assert metric["value"] == pytest.approx(metric["collapsed"], rel=1e-5), key
    assert found["precision"]["value"] > 0.9
    assert found["recall"]["value"] < 0.05
    assert found["diversity"]["value"] == 0
    assert found["accuracy"]["interval"][1] < 0.7


def halves_away(metric, value):
    """How far `value` is from the middle of the interval, in halves of its width: up to 1 it lies within."""
    low, high = metric["interval"]
    away, width = abs(2 * value - low - high), high - low
    return away / width if width else 0.0 if away < 1e-9 else np.inf


@pytest.mark.parametrize(("rounding", "seeds"), [(0, range(60, 64)), (2e-7, range(60, 62)), (-2e-7, range(62, 64))])
def test_perfect_copies_of_the_sky_are_perfect_to_twice_every_interval(measure, sky, rounding, seeds):
    """Twice a 95 % interval is missed once in 10,000; it was 1.5 times at most, by the noise of the few real tiles.

    How many of the intervals hold the truth would hang on what ran before: memory laid out otherwise changes a sum's
    last bits, and a network trained on them answers one or two of 120 tiles otherwise. So rounding is tried here.
    """
    perfect = dict.fromkeys(("accuracy", "sky_noise", "sources.per_tile", "diversity"), 1)
    perfect |= dict.fromkeys(("c2st.features", "c2st.pixels", "memorised", "discriminator_accuracy"), 0.5)
    for seed in seeds:
        found = measure(sky(seed, HELD) * np.float32(1 + rounding))
        away = {key: halves_away(found[key], value) for key, value in perfect.items()}
        assert {key: far for key, far in away.items() if far > 2} == {}
        assert found["coverage"]["interval"][1] >= found["coverage"]["real_real"]
        assert found["kernel"]["interval"][0] < 0.1 < found["kernel"]["collapsed"]


def test_copies_with_5_percent_more_noise_are_far_from_perfect(measure, sky):
    assert halves_away(measure(1.05 * sky(60, HELD))["sky_noise"], 1) > 4


def test_a_bias_of_5_percent_in_flux_is_found_on_paired_tiles(evaluation, store, held):
    real = store.split("test").array()
    described = (describe(tiles, evaluation.measures) for tiles in (np.float32(1.05) * real, real))
    same = held.weights[1], held.weights[1]
    metrics = dict(entries(evaluation.control_values.test.section(relate(*described, evaluation.measures, same))))

    assert metrics["sources.magnitude"]["value"] == pytest.approx(2.5 * np.log10(1.05), abs=1e-4)
    assert metrics["sources.magnitude"]["interval"][0] > 0.05
    assert metrics["sky_noise"]["value"] == pytest.approx(1.05, abs=1e-5)
    assert metrics["sources.number"]["value"] == 0


def test_evaluating_twice_gives_the_same_bytes(evaluation, held, sky):
    bundle = planted(sky(52, HELD))
    once, again = (json.dumps(evaluation.measure(bundle, held).section) for _ in range(2))

    assert once == again


def test_tiles_that_are_not_finite_are_refused(measure, sky):
    fake = sky(53, HELD)
    fake[5, 0, 1, 1] = np.nan

    with pytest.raises(ValueError, match="NaN or infinity"):
        measure(fake)


def test_the_diversity_of_scenes_is_that_of_clean_ones(evaluation, held, tmp_path, write_bundle):
    write_bundle(tmp_path, recipe="scene")
    bundle = Bundle.load(tmp_path)
    found = dict(entries(evaluation.measure(bundle, held).section))
    seen = generated_tiles(bundle, evaluation.store, held.readouts, tiles_seed("test", 0))
    as_seen = dict(entries(evaluation.measure(planted(seen), held).section))

    assert found.pop("diversity") != as_seen.pop("diversity")
    assert found.pop("accuracy_own_density")  # a process can be given a density
    assert found == as_seen
