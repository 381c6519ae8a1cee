import numpy as np
import pytest

from skygen.measure.table import MEANINGS, discriminator_accuracy, metrics


def tiles(bands: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.025, (6, bands, 32, 32)).astype(np.float32)


@pytest.mark.parametrize(("bands", "number"), [("r", 9), ("gr", 10), ("gri", 11)])
def test_every_metric_that_the_bands_allow_has_a_row_and_a_meaning(bands, number):
    keys = [metric.key for metric in metrics(bands)]

    assert len(keys) == number == len(set(keys))
    assert set(keys) <= set(MEANINGS)


def test_three_bands_and_a_discriminator_have_all_metrics_in_the_order_of_the_meanings():
    rows = [*metrics("gri"), discriminator_accuracy(lambda sets: np.zeros(len(sets)))]

    assert [metric.key for metric in rows] == list(MEANINGS)


@pytest.mark.parametrize("metric", metrics("gri"), ids=lambda metric: metric.key)
def test_a_set_against_itself_is_ideal(metric):
    rng = np.random.default_rng(0)
    same = rng.normal(0, 0.025, (6, 3, 32, 32)).astype(np.float32)
    same[:, :, 12:18, 12:18] += rng.uniform(1, 5, (6, 1, 1, 1)).astype(np.float32)
    summary = metric.summarise(metric.describe(same), np.ones(6))

    assert metric.compare(summary, summary) == pytest.approx(MEANINGS[metric.key].ideal)


def test_rows_of_sources_share_one_search():
    searches = {metric.describe for metric in metrics("gri") if metric.key.startswith("sources.")}

    assert len(searches) == 1
