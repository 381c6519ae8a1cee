"""What the folds say together, against numpy."""

import numpy as np
import pytest

from skygen.files import read_json
from skygen.folds.summary import earlier, excess, logged, numbers, over_fields, spread, write_summary


def metric(value, **more):
    return {"value": value, "interval": [0.0, 2 * value], "real_real": 1.0, **more}


def test_mean_and_spread_are_numpys():
    values = np.random.default_rng(1).lognormal(size=8)
    found = spread(list(values))
    assert found["mean"] == pytest.approx(np.mean(values), rel=1e-5)
    assert found["spread"] == pytest.approx(np.std(values, ddof=1), rel=1e-5)


def test_the_interval_is_that_of_the_mean_of_resampled_fields():
    """Of many fields it is the normal one, 1.96 standard errors to each side."""
    values = np.random.default_rng(2).normal(10, 3, 400)
    low, high = spread(list(values))["interval"]
    error = np.std(values, ddof=1) / 20
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.1 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.1 * error)


def test_of_one_field_there_is_no_spread():
    assert spread([2.0]) == {"mean": 2.0, "spread": None, "interval": None}


def test_a_fields_number_is_the_mean_over_its_seeds_of_whatever_numbers_there_are():
    first = {"frechet": metric(2.0, excess=None, exceeds=True), "c2st": {"pixels": metric(0.5, excess=0.25)}}
    second = {"frechet": metric(4.0, excess=None, exceeds=False), "c2st": {"pixels": metric(0.7, excess=0.75)}}
    found = numbers([first, second])
    assert found["frechet"] == {"value": 3.0, "real_real": 1.0, "exceeds": 0.5}
    assert found["c2st.pixels"] == pytest.approx({"value": 0.6, "real_real": 1.0, "excess": 0.5})


def test_what_some_fields_lack_is_of_those_that_have_it():
    fields = {"a": numbers([{"frechet": metric(2.0, matched=1.0)}]), "b": numbers([{"frechet": metric(4.0)}])}
    together = over_fields(fields)["frechet"]
    assert together["value"] == spread([2.0, 4.0]) | {"fields": {"a": 2.0, "b": 4.0}}
    assert together["matched"] == {"mean": 1.0, "spread": None, "interval": None, "fields": {"a": 1.0}}
    assert "excess" not in together


def test_the_excess_is_of_the_sums_over_all_fields():
    """Where a field's control happens to be below real-real, its own ratio would mean nothing."""
    found = excess([4.0, 1.0, 7.0, 4.0], [2.0, -0.1, 3.0, 2.1])
    assert found["mean"] == pytest.approx(16 / 7, rel=1e-5)
    assert 1.5 < found["interval"][0] < 16 / 7 < found["interval"][1] < 4


@pytest.mark.parametrize("matched", [[2.0], [1.0, -1.0, 0.5, -0.4], [-1.0, -2.0, -1.0, -3.0]])
def test_there_is_no_excess_over_a_control_that_may_be_as_real_tiles(matched):
    assert excess([1.0] * len(matched), matched) is None


def test_what_is_better_than_real_tiles_has_an_excess_of_0():
    assert excess([-1.0, -2.0, -1.5], [2.0, 3.0, 2.5]) == {"mean": 0, "spread": None, "interval": [0, 0]}


def test_mlflow_gets_means_and_spreads_of_values_and_the_excess():
    fields = {
        name: numbers([{"c2st": {"pixels": metric(value, margin=value, matched_margin=0.5)}}])
        for name, value in (("a", 1), ("b", 3))
    }
    assert dict(logged(over_fields(fields))) == {
        "test/c2st/pixels": 2.0,
        "spread/test/c2st/pixels": pytest.approx(np.sqrt(2), rel=1e-5),
        "excess/test/c2st/pixels": 4.0,
    }


def test_the_page_has_a_table_for_every_set_and_recipe_that_was_summed_up(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fields = {
        name: numbers([{"frechet": metric(value, margin=0.5, matched_margin=1.0)}])
        for name, value in (("a", 1.0), ("b", 3.0))
    }
    content = {"fields": list(fields), "failed": {"c": "no tiles"}, "seeds": [0], "test": over_fields(fields)}
    for recipe in ("gan", "scene"):
        path = write_summary("r64", recipe, content)
        assert read_json(path) == {"tiles": "r64", "recipe": recipe, **content}
    page = (tmp_path / "reports/folds.md").read_text()
    assert page.count("| metric | value | excess | real-real |") == 2
    assert "2 fields; seeds 0." in page
    assert "- c failed: no tiles" in page
    assert "| `frechet` | 2 ± 1.41 [1,\u00a03] | 0.5 [0.5,\u00a00.5] | 1 ± 0 [1,\u00a01] |" in page


def test_the_page_names_what_exceeds_the_aim_by_its_value_and_what_by_its_upper_bound(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    margins = {"frechet": (1.1, 1.1), "kernel": (0.4, 1.9), "pixel_w1": (2.0, 2.2), "c2st": {"pixels": (1.2, 1.2)}}

    def section(of_metric, number):
        if isinstance(of_metric, dict):
            return {key: section(each, number) for key, each in of_metric.items()}
        return metric(1.0, margin=of_metric[number], matched_margin=1.0)

    def page(of_metrics):
        fields = {name: numbers([section(of_metrics, number)]) for number, name in enumerate("ab")}
        write_summary("r64", "gan", {"fields": ["a", "b"], "failed": {}, "seeds": [0], "test": over_fields(fields)})
        return (tmp_path / "reports/folds.md").read_text()

    assert "Excess above 1.2 by point estimate: `pixel_w1`; by upper bound only: `kernel`." in page(margins)
    assert "Excess above 1.2 by point estimate: none; by upper bound only: none." in page({"frechet": (1.1, 1.1)})


def test_the_accuracy_with_the_field_s_density_has_a_row_and_how_often_it_is_that_of_real_tiles(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = {"a": (0.95, 0.97), "b": (0.99, 0.95)}
    fields = {
        name: numbers([{"accuracy_own_density": metric(value, real_10th_percentile=limit, reached=value >= limit)}])
        for name, (value, limit) in own.items()
    }
    write_summary("r64", "scene", {"fields": list(own), "failed": {}, "seeds": [0], "test": over_fields(fields)})
    page = (tmp_path / "reports/folds.md").read_text()

    assert "percentile of real tiles, 0.96 ± 0.0141 [0.95,\u00a00.97], in 50 % of fields and seeds." in page
    assert "| metric | value | real-real |" in page
    assert "| `accuracy_own_density` | 0.97 ± 0.0283 [0.95,\u00a00.99] |" in page


def test_the_fields_of_an_earlier_command_count_where_folds_and_seeds_are_the_same(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fields = {name: numbers([{"frechet": metric(value)}]) for name, value in (("a", 1.0), ("b", 3.0))}
    write_summary(
        "r64", "gan", {"identity": "i", "fields": ["a", "b"], "failed": {}, "seeds": [0], "test": over_fields(fields)}
    )
    assert earlier("r64", "gan", "i", [0]) == fields
    assert (
        earlier("r64", "gan", "another", [0])
        == earlier("r64", "gan", "i", [1])
        == earlier("r64", "scene", "i", [0])
        == {}
    )
