from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from skygen.evaluation.comparison import Run, compare, rank, read_runs
from skygen.evaluation.figures import SHEET_PX, save_intervals, save_picture, sheet, side_by_side
from skygen.evaluation.report import write_report
from skygen.files import write_json
from skygen.measure.table import MEANINGS
from skygen.params import load

PARAMS = load(Path(__file__).parents[2] / "params.yaml")
TIMES = {"gan": 4.0, "improved": 2.0, "scene": 1.0}  # the real-real distance


def section(times: float, diversity: float = 0.9, per_tile: float = 1.0) -> dict:
    """Metrics whose distances are `times` the real-real ones."""
    values = dict.fromkeys(MEANINGS, 0.1 * times) | {"diversity": diversity, "sources.per_tile": per_tile}
    return {
        key: {
            "value": value,
            "interval": [0.9 * value, 1.1 * value],
            "real_real": 0.1,
            "between_fields": 0.4,
            "collapsed": 0.7,
        }
        for key, value in values.items()
    }


def run(recipe: str, validation: float, test: float = 2.0, seed: int = 0, tiles: str = "r64", **flaws: float) -> Run:
    return Run(tiles, recipe, seed, section(validation, **flaws), section(test, **flaws))


def nested(flat: dict) -> dict:
    sources = {key.removeprefix("sources."): metric for key, metric in flat.items() if key.startswith("sources.")}
    return {key: metric for key, metric in flat.items() if "." not in key} | {"sources": sources}


def write_reports(folder: Path) -> None:
    for tiles in PARAMS.tiles.sets:
        for recipe, times in TIMES.items():
            content = {"validation": nested(section(times)), "test": nested(section(times + 1))}
            write_json(folder / tiles / recipe / "0" / "metrics.json", content)


def test_the_score_is_how_many_times_the_real_real_distance():
    assert run("gan", 3.0).score == pytest.approx(3)


def test_the_score_is_finite_where_luck_makes_a_distance_zero():
    lucky = run("gan", 3.0)
    lucky.validation["sources.number"]["real_real"] = 0.0
    lucky.validation["pixel_w1"]["value"] = 0.0

    assert 0 < lucky.score < np.inf


def test_the_champion_is_the_best_on_validation_whatever_the_test_says():
    comparison = compare([run("gan", 2.0, test=9.0), run("improved", 3.0, test=1.0), run("gan", 5.0, seed=1)])

    assert comparison["champions"] == {"r64": {"recipe": "gan", "seed": 0, "score": pytest.approx(2)}}


def test_each_set_has_its_own_champion_and_each_recipe_its_best_seed():
    runs = [run("gan", 2.0), run("gan", 1.5, seed=4), run("improved", 3.0), run("gan", 3.0, tiles="gri128")]
    comparison = compare([*runs, run("improved", 1.1, tiles="gri128")])

    assert {tiles: champion["recipe"] for tiles, champion in comparison["champions"].items()} == {
        "r64": "gan",
        "gri128": "improved",
    }
    assert comparison["bundles"] == {"r64": {"gan": 4, "improved": 0}, "gri128": {"gan": 0, "improved": 0}}


def test_a_collapsed_run_comes_last_and_is_named():
    collapsed, other = run("gan", 1.0, diversity=0.1), run("improved", 50.0)

    assert rank([collapsed, other]) == [other, collapsed]
    comparison = compare([collapsed, other])
    assert comparison["champions"]["r64"]["recipe"] == "improved"
    assert comparison["sets"]["r64"]["gan"]["flaws"] == [["collapsed (diversity 0.10, under 0.3)"]]
    assert "score 1; collapsed (diversity 0.10, under 0.3)." in write_report(comparison)


def test_where_all_collapsed_the_best_of_them_is_still_named():
    runs = [run("gan", 3.0, diversity=0.1), run("improved", 2.0, diversity=0.2)]

    assert compare(runs)["champions"]["r64"]["recipe"] == "improved"


@pytest.mark.parametrize("per_tile", [0.0, 0.3, 3.2])
def test_too_few_or_too_many_sources_are_named(per_tile):
    assert run("gan", 2.0, per_tile=per_tile).flaws == [f"holds {per_tile:.2f} times the real number of sources a tile"]


@pytest.mark.parametrize("per_tile", [0.34, 1.0, 2.9])
def test_about_as_many_sources_as_real_are_no_flaw(per_tile):
    assert run("gan", 2.0, per_tile=per_tile).flaws == []


def test_seeds_are_averaged_with_their_spread_and_the_hull_of_their_intervals():
    runs = [run("gan", 1.0, test=times, seed=seed) for seed, times in enumerate((1.0, 2.0, 3.0))]
    metric = compare(runs)["sets"]["r64"]["gan"]["test"]["pixel_w1"]

    assert metric["mean"] == pytest.approx(0.2)
    assert metric["spread"] == pytest.approx(0.1)
    assert metric["interval"] == pytest.approx([0.09, 0.33])
    assert (metric["real_real"], metric["between_fields"], metric["collapsed"]) == pytest.approx((0.1, 0.4, 0.7))


def test_one_seed_has_no_spread():
    assert compare([run("gan", 1.0)])["sets"]["r64"]["gan"]["test"]["diversity"]["spread"] is None


def test_reports_are_read_for_every_run_that_the_parameters_name(tmp_path):
    write_reports(tmp_path)
    runs = read_runs(tmp_path, PARAMS)

    assert [(run.tiles, run.recipe, run.seed) for run in runs] == [
        (tiles, recipe, 0) for tiles in ("r64", "gri128") for recipe in TIMES
    ]
    assert [run.score for run in runs] == pytest.approx(2 * list(TIMES.values()))


def test_a_missing_report_names_its_file_and_its_stage(tmp_path):
    write_reports(tmp_path)
    (tmp_path / "gri128/gan/0/metrics.json").unlink()

    with pytest.raises(FileNotFoundError, match=r"gri128/gan/0/metrics.json.*stage evaluate@gri128-gan-0"):
        read_runs(tmp_path, PARAMS)


def test_a_report_without_a_needed_metric_is_refused(tmp_path):
    write_reports(tmp_path)
    content = {name: nested(section(1.0)) for name in ("validation", "test")}
    del content["validation"]["diversity"]
    write_json(tmp_path / "r64/gan/0/metrics.json", content)

    with pytest.raises(ValueError, match="lacks diversity"):
        read_runs(tmp_path, PARAMS)


def test_the_report_shows_every_metric_of_both_sets_with_links_that_hold(tmp_path):
    write_reports(tmp_path)
    text = write_report(compare(read_runs(tmp_path, PARAMS)))

    for tiles in ("r64", "gri128"):
        assert f"(figures/{tiles}.png)" in text
        table = text.split(f"(figures/{tiles}.png)\n\n")[1].split("\n\n")[0]
        assert [row.split("|")[1].strip(" `") for row in table.splitlines()[2:]] == list(MEANINGS)
        assert f"[`gan`, seed 0]({tiles}/gan/0/metrics.json)" in text
    assert "| `pixel_w1` | 0.5 [0.45, 0.55] | 0.3 [0.27, 0.33] | 0.2 [0.18, 0.22] | 0.1 | 0.4 | 0.7 |" in text
    assert "Champion: **`scene`**, seed 0, at 1 times" in text
    assert "`improved` is nearer to perfect than `gan` in 8 of 12 metrics, in 8 of them" in text
    assert "`gan` has 1.25 in `pixel_w1`, 1.25 in `power_spectrum`, 1.25 in `sources.number`." in text
    assert "`scene` has 0.5 in `pixel_w1`, 0.5 in `power_spectrum`, 0.5 in `sources.number`." in text


def test_controls_that_differ_by_recipe_are_both_shown():
    gan, improved = run("gan", 1.0), run("improved", 1.0)
    gan.test["discriminator_accuracy"]["collapsed"] = 0.25

    assert "| 0.25 / 0.7 |" in write_report(compare([gan, improved]))


def test_figures_are_written_as_png(tmp_path):
    runs = [run(recipe, 1.0, tiles=tiles) for tiles in ("r64", "gri128") for recipe in TIMES]
    runs[0].test["diversity"] |= {"value": 0.0, "interval": [0.0, 0.0]}
    save_intervals(compare(runs)["sets"], tmp_path / "figures/intervals.png")

    with Image.open(tmp_path / "figures/intervals.png") as picture:
        assert picture.format == "PNG"
        assert picture.width > picture.height > 300
        assert len(picture.convert("L").getcolors()) > 10  # not a blank page


def test_the_interval_plot_of_the_same_numbers_is_the_same_bytes(tmp_path):
    sets = compare([run("gan", 1.0)])["sets"]
    for name in ("a.png", "b.png"):
        save_intervals(sets, tmp_path / name)

    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize(("size", "bands"), [(64, "r"), (128, "gri")])
def test_sheets_side_by_side_keep_every_pixel(tmp_path, size, bands):
    tiles = np.random.default_rng(0).normal(0, 0.03, (120, len(bands), size, size)).astype(np.float32)
    real, fake = sheet(tiles, bands), sheet(-tiles, bands)

    assert SHEET_PX <= real.width == real.height < 1.1 * SHEET_PX
    save_picture(side_by_side({"real": real, "gan": fake, "scene": real, "other": fake}), tmp_path / "page.png")
    with Image.open(tmp_path / "page.png") as page:
        bottom, right = page.height - real.height, page.width - fake.width
        assert page.width < 2.1 * real.width
        assert page.crop((0, bottom, real.width, page.height)).tobytes() == real.convert("RGB").tobytes()
        assert page.crop((right, bottom, page.width, page.height)).tobytes() == fake.convert("RGB").tobytes()
