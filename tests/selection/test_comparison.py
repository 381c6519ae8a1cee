"""Runs over their seeds, what is refused, and the champion rule: gates, then kernel, on validation alone."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from skygen.evaluation.scoring import CONTROLS
from skygen.files import write_json
from skygen.measure.table import MEANINGS
from skygen.params import ChampionParams, load
from skygen.selection.comparison import Run, compare, flaws, rank, read_runs, rule

PARAMS = load(Path(__file__).parents[2] / "params.yaml")
GATES = ChampionParams(least_diversity=0.3, most_memorised=0.9, sky_noise=[0.9, 1.1])
SOUND = {"diversity": 0.9, "memorised": 0.5, "sky_noise": 1.0}
RECIPES = ("gan", "improved", "scene")


def section(kernel: float, values: Mapping[str, float]) -> dict[str, dict[str, Any]]:
    """All metrics: those of `values`, the rest at `kernel`; the discriminator's accuracy without controls, as it is."""
    values = dict.fromkeys(MEANINGS, kernel) | SOUND | values
    bare = {key: {"value": value, "interval": [0.9 * value, 1.1 * value]} for key, value in values.items()}
    controls = {"real_real": 0.1, "between_fields": 0.4, "matched": 0.3, "collapsed": 0.7}
    excess = {"excess": 0.5, "excess_interval": [0.2, 0.9], "exceeds": True}
    without = {"excess": None, "excess_interval": None, "exceeds": False}
    return {
        key: metric
        if key == "discriminator_accuracy"
        else metric | controls | (without if key in ("accuracy", "precision", "recall", *SOUND) else excess)
        for key, metric in bare.items()
    }


def measured(run: str, of_set: str, **changes: Any) -> dict[str, Any]:
    same = {"encoder": f"encoder of {of_set}", "data": f"data of {of_set}"}
    counts = {"tiles": {"validation": 8, "test": 8}, "fields": {"validation": 1, "test": 2}}
    return {"bundle": f"bundle of {run}", **same, **counts, **changes}


def run(recipe: str, validation: float, test: float = 2.0, seed: int = 0, tiles: str = "r64", **values: float) -> Run:
    identity = measured(f"{tiles}-{recipe}-{seed}", tiles)
    return Run(tiles, recipe, seed, identity, section(validation, values), section(test, values))


def nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, metric in flat.items():
        *groups, name = key.split(".")
        place = found
        for group in groups:
            place = place.setdefault(group, {})
        place[name] = metric
    return found


def changed(run: Run, key: str, **changes: Any) -> Run:
    """The run with a test metric that says something else."""
    return replace(run, test={**run.test, key: {**run.test.get(key, {}), **changes}})


def content(run: Run) -> dict[str, Any]:
    return {**run.measured, "validation": nested(run.validation), "test": nested(run.test)}


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    """The metrics of every run that params.yaml names."""
    for tiles in PARAMS.judged:
        for times, recipe in enumerate(RECIPES, 1):
            write_json(tmp_path / tiles / recipe / "0" / "metrics.json", content(run(recipe, times, tiles=tiles)))
    return tmp_path


def test_the_champion_is_the_best_on_validation_whatever_the_test_says() -> None:
    comparison = compare([run("gan", 2.0, test=9.0), run("improved", 3.0, test=1.0), run("gan", 5.0, seed=1)], GATES)

    assert comparison["champions"] == {
        "r64": {"recipe": "gan", "seed": 0, "value": 2.0, "interval": pytest.approx([1.8, 2.2]), "flaws": []}
    }


def test_each_set_has_its_own_champion_and_each_recipe_its_best_seed() -> None:
    runs = [run("gan", 2.0), run("gan", 1.5, seed=4), run("improved", 3.0)]
    comparison = compare([*runs, run("gan", 3.0, tiles="gri128"), run("improved", 1.1, tiles="gri128")], GATES)

    assert {tiles: champion["recipe"] for tiles, champion in comparison["champions"].items()} == {
        "r64": "gan",
        "gri128": "improved",
    }
    assert comparison["bundles"] == {"r64": {"gan": 4, "improved": 0}, "gri128": {"gan": 0, "improved": 0}}
    assert comparison["sets"]["r64"]["gan"]["hashes"] == ["bundle of r64-gan-0", "bundle of r64-gan-4"]


def test_of_runs_of_the_same_kernel_the_more_accurate_is_first_and_then_names_decide() -> None:
    runs = [run("scene", 0.0, accuracy=0.5), run("improved", 0.0, accuracy=0.9), run("gan", 0.0, accuracy=0.5)]

    assert [one.recipe for one in rank(runs, GATES)] == ["improved", "gan", "scene"]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"diversity": 0.1}, "collapsed (diversity 0.1, under 0.3)"),
        ({"memorised": 0.95}, "gives back training tiles (memorised 0.95, over 0.9)"),
        ({"sky_noise": 0.85}, "has 0.85 times the real sky noise (outside 0.9 to 1.1)"),
        ({"sky_noise": 1.2}, "has 1.2 times the real sky noise (outside 0.9 to 1.1)"),
        ({"sky_noise": float("nan")}, "has nan times the real sky noise (outside 0.9 to 1.1)"),
    ],
)
def test_what_fails_a_gate_is_named_and_ranks_after_what_does_not(values: dict[str, float], words: str) -> None:
    flawed, other = run("gan", 1.0, **values), run("improved", 50.0)

    assert flawed.flaws(GATES) == [words]
    assert rank([flawed, other], GATES) == [other, flawed]
    comparison = compare([flawed, other], GATES)
    assert comparison["champions"]["r64"]["recipe"] == "improved"
    assert comparison["sets"]["r64"]["gan"]["flaws"] == [[words]]


def test_on_the_bounds_every_gate_is_passed() -> None:
    for noise in GATES.sky_noise:
        assert flaws({"diversity": 0.3, "memorised": 0.9, "sky_noise": noise}, GATES) == []


def test_comparison_says_by_which_metric_it_ranks() -> None:
    comparison = compare([run("gan", 2.0), run("gan", 1.5, seed=4)], GATES)

    assert comparison["ranked_by"] == "kernel"
    assert comparison["sets"]["r64"]["gan"]["values"] == [2.0, 1.5]
    assert "the least `kernel` is first" in comparison["rule"]


def test_the_gates_are_those_of_the_parameters() -> None:
    strict = ChampionParams(least_diversity=0.95, most_memorised=0.5, sky_noise=[0.99, 1.01])

    assert run("gan", 1.0).flaws(GATES) == []
    assert len(run("gan", 1.0, memorised=0.6, sky_noise=1.02).flaws(strict)) == 3
    for bound in ("0.95", "0.5", "0.99", "1.01"):
        assert bound in rule(strict)


def test_where_all_fail_a_gate_the_best_of_them_is_named_with_what_is_wrong() -> None:
    champion = compare([run("gan", 3.0, diversity=0.1), run("improved", 2.0, memorised=1.0)], GATES)["champions"]["r64"]

    assert (champion["recipe"], len(champion["flaws"])) == ("improved", 1)


def test_several_seeds_give_student_s_interval_of_their_mean() -> None:
    runs = [run("gan", 1.0, test=value, seed=seed) for seed, value in enumerate((1.0, 2.0, 3.0))]
    metric = compare(runs, GATES)["sets"]["r64"]["gan"]["test"]["pixel_w1"]

    assert (metric["mean"], metric["spread"]) == pytest.approx((2.0, 1.0))
    assert metric["interval"] == pytest.approx([0.0, 2 + 4.302653 / 3**0.5], abs=1e-6)  # t of two degrees of freedom
    assert [metric[control] for control in CONTROLS] == pytest.approx([0.1, 0.4, 0.3, 0.7])


def test_the_excess_over_seeds_is_a_mean_with_student_s_interval() -> None:
    runs = [changed(run("gan", 1.0, seed=seed), "pixel_w1", excess=of) for seed, of in enumerate((0.2, 0.4, 0.6))]
    metric = compare(runs, GATES)["sets"]["r64"]["gan"]["test"]["pixel_w1"]

    assert metric["excess"] == pytest.approx(0.4)
    assert metric["excess_interval"] == pytest.approx([0.0, 0.4 + 0.2 * 4.302653 / 3**0.5], abs=1e-6)


def test_a_seed_without_an_excess_leaves_the_recipe_without_one() -> None:
    runs = [run("gan", 1.0), changed(run("gan", 1.0, seed=1), "pixel_w1", excess=None, excess_interval=None)]
    metric = compare(runs, GATES)["sets"]["r64"]["gan"]["test"]["pixel_w1"]

    assert (metric["excess"], metric["excess_interval"], metric["exceeds"]) == (None, None, True)


def test_one_seed_that_is_worse_than_real_real_is_enough_to_say_so() -> None:
    good, bad = (
        changed(run("gan", 1.0, seed=seed), "kernel", exceeds=worse) for seed, worse in ((0, False), (1, True))
    )

    assert compare([good], GATES)["sets"]["r64"]["gan"]["test"]["kernel"]["exceeds"] is False
    assert compare([good, bad], GATES)["sets"]["r64"]["gan"]["test"]["kernel"]["exceeds"] is True


def test_what_has_no_controls_gets_none() -> None:
    metric = compare([run("gan", 1.0)], GATES)["sets"]["r64"]["gan"]["test"]["discriminator_accuracy"]

    assert set(metric) == {"mean", "spread", "interval"}


def test_an_interval_over_seeds_reaches_below_0_where_values_do() -> None:
    runs = [run("gan", 1.0, seed=0, kernel=-0.1), run("gan", 1.0, seed=1, kernel=0.1)]

    assert compare(runs, GATES)["sets"]["r64"]["gan"]["test"]["kernel"]["interval"][0] == -0.1


def test_one_seed_has_the_interval_of_its_halvings_and_no_spread() -> None:
    metric = compare([run("gan", 1.0)], GATES)["sets"]["r64"]["gan"]["test"]["kernel"]

    assert (metric["mean"], metric["spread"], metric["interval"]) == (2.0, None, pytest.approx([1.8, 2.2]))
    assert (metric["excess"], metric["excess_interval"]) == (0.5, [0.2, 0.9])


def test_differences_are_paired_by_seed() -> None:
    """Seeds differ by far more than recipes do: pairs find what the means alone could not."""
    runs = [run("gan", 1.0, test=base, seed=seed) for seed, base in enumerate((10.0, 20.0, 30.0))]
    runs += [run("scene", 1.0, test=value, seed=seed) for seed, value in ((2, 29.0), (1, 19.1), (0, 8.9))]
    found = compare(runs, GATES)["differences"]["r64"]["scene - gan"]["kernel"]

    assert found["mean"] == pytest.approx(-1.0)
    assert found["interval"] == pytest.approx([-1 - 0.1 * 4.302653 / 3**0.5, -1 + 0.1 * 4.302653 / 3**0.5], abs=1e-6)
    assert sorted(found["seeds"]) == [0, 1, 2]


def test_seeds_that_only_one_recipe_has_are_no_pair() -> None:
    runs = [run("gan", 1.0, seed=0), run("gan", 1.0, test=9.0, seed=1), run("scene", 1.0, test=3.0, seed=0)]
    runs.append(run("improved", 1.0, seed=7))
    found = compare(runs, GATES)["differences"]["r64"]

    assert found["scene - gan"]["kernel"] == {"mean": 1.0, "interval": None, "seeds": [0]}
    assert found["improved - gan"] == {}


def test_every_two_recipes_have_a_difference_and_one_seed_gives_it_no_interval() -> None:
    found = compare([run(recipe, 1.0, test=test) for test, recipe in enumerate(RECIPES)], GATES)["differences"]["r64"]

    assert list(found) == ["improved - gan", "scene - gan", "scene - improved"]
    assert found["scene - gan"]["kernel"] == {"mean": 2.0, "interval": None, "seeds": [0]}
    assert set(found["scene - gan"]) == set(MEANINGS)


@pytest.mark.parametrize(
    ("key", "other"),
    [
        ("encoder", "another"),
        ("data", "another"),
        ("tiles", {"validation": 9, "test": 8}),
        ("fields", {"validation": 2, "test": 2}),
    ],
)
def test_runs_that_were_not_measured_alike_are_refused(key: str, other: object) -> None:
    different = Run("r64", "scene", 1, measured("", "r64", **{key: other}), section(1.0, {}), section(1.0, {}))

    with pytest.raises(
        ValueError, match=f"r64-gan-0 was measured with {key} .*, r64-scene-1 with .*evaluate them again"
    ):
        compare([run("gan", 1.0), different], GATES)


def test_tile_sets_have_encoders_and_data_of_their_own() -> None:
    comparison = compare([run("gan", 1.0), run("gan", 1.0, tiles="gri128")], GATES)

    assert comparison["encoder"] == {"r64": "encoder of r64", "gri128": "encoder of gri128"}
    assert comparison["data"]["gri128"] == "data of gri128"
    assert comparison["tiles"]["r64"] == {"validation": 8, "test": 8}
    assert comparison["fields"]["gri128"] == {"validation": 1, "test": 2}


def test_runs_with_other_metrics_are_refused() -> None:
    less = run("scene", 1.0)
    without = {key: metric for key, metric in less.test.items() if key != "recall"}

    with pytest.raises(ValueError, match="r64-gan-0 or r64-scene-0 lacks recall"):
        compare([run("gan", 1.0), Run("r64", "scene", 0, less.measured, less.validation, without)], GATES)


def test_a_process_is_compared_without_a_discriminator_of_its_own() -> None:
    painter, process = run("gan", 0.4), run("scene", 0.1)
    lacking = {key: metric for key, metric in process.test.items() if key != "discriminator_accuracy"}
    found = compare([painter, replace(process, test=lacking)], GATES)

    assert found["champions"]["r64"]["recipe"] == "scene"
    assert "discriminator_accuracy" in found["sets"]["r64"]["gan"]["test"]
    assert set(MEANINGS) - set(found["differences"]["r64"]["scene - gan"]) == {"discriminator_accuracy"}


def test_the_accuracy_with_the_field_s_density_is_of_a_process_alone_and_ranks_nobody() -> None:
    own = {"interval": [0.8, 1.0], "real_10th_percentile": 0.95}
    runs = [
        changed(run("scene", 0.1, seed=seed), "accuracy_own_density", value=value, reached=value >= 0.95, **own)
        for seed, value in enumerate((0.9, 0.96))
    ]
    found = compare([run("gan", 0.4), *runs], GATES)

    assert (found["champions"]["r64"]["recipe"], found["champions"]["r64"]["seed"]) == ("scene", 0)
    metric = found["sets"]["r64"]["scene"]["test"]["accuracy_own_density"]
    assert (metric["mean"], metric["real_10th_percentile"]) == pytest.approx((0.93, 0.95))


def test_reports_are_read_for_every_run_that_the_parameters_name(reports: Path) -> None:
    runs = read_runs(reports, PARAMS)

    assert [run.name for run in runs] == [f"{tiles}-{recipe}-0" for tiles in PARAMS.judged for recipe in RECIPES]
    assert [run.validation["kernel"]["value"] for run in runs] == [1, 2, 3, 1, 2, 3]
    assert runs[0].measured["bundle"] == "bundle of r64-gan-0"
    assert "sources.number" in runs[0].test


def test_a_missing_report_names_its_file_and_its_stage(reports: Path) -> None:
    (reports / "gri128/gan/0/metrics.json").unlink()

    with pytest.raises(FileNotFoundError, match=r"gri128/gan/0/metrics.json.*stage evaluate@gri128-gan-0"):
        read_runs(reports, PARAMS)


@pytest.mark.parametrize(
    "lost",
    ["encoder", "bundle", "data", "tiles", "fields", "kernel", "accuracy", "diversity", "memorised", "sky_noise"],
)
def test_a_report_that_lacks_what_the_rule_needs_is_refused(reports: Path, lost: str) -> None:
    found = content(run("gan", 1.0))
    for place in (found, found["validation"], found["test"]):
        place.pop(lost, None)
    write_json(reports / "r64/gan/0/metrics.json", found)

    with pytest.raises(ValueError, match=rf"r64/gan/0/metrics.json lacks {lost}; evaluate the run again"):
        read_runs(reports, PARAMS)


def test_a_report_whose_splits_have_different_metrics_is_refused(reports: Path) -> None:
    found = content(run("gan", 1.0))
    del found["test"]["recall"]
    write_json(reports / "r64/gan/0/metrics.json", found)

    with pytest.raises(ValueError, match="lacks recall"):
        read_runs(reports, PARAMS)
